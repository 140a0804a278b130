//! Replay of the fuzz corpus.

use std::fs;
use std::path::Path;

use crate::wire::{contexts, message};
use crate::{agreement, laws};

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let inputs: Vec<_> = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() > 50, "{}: {} inputs", directory.display(), inputs.len());
    inputs
}

#[test]
fn fuzz_corpus_of_streams_holds_the_laws() {
    for input in inputs("bgp_message") {
        laws::check(&input);
    }
}

#[test]
fn fuzz_corpus_of_updates_agrees_with_other_codecs() {
    for body in inputs("bgp_differential") {
        let frame = message(2, &body);
        for (_, decoding) in contexts().filter(|(_, decoding)| decoding.extended_next_hop) {
            agreement::check(&frame, &decoding);
        }
    }
}
