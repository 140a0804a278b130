//! Replay of the fuzz corpus.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::laws;

#[test]
fn fuzz_corpus_holds_the_laws() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/bfd_session");
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let inputs: Vec<_> = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() > 20, "{}: {} inputs", directory.display(), inputs.len());
    let came_up = inputs.iter().filter(|input| laws::check(input) > 0).count();
    assert!(came_up > 10, "only {came_up} inputs bring a session up");
}

proptest! {
    #[test]
    fn arbitrary_octets_hold_the_laws(input in proptest::collection::vec(any::<u8>(), 0..400)) {
        laws::check(&input);
    }
}
