//! Names of public types: one name, one type in the whole workspace.

use std::collections::BTreeMap;

use super::super::project::Project;
use super::super::rust::Source;

/// Names of several types, with the reason. Each is used in one of the crates, or by its module's name.
const REPEATABLE: [(&str, &str); 6] = [
    ("BgpAdvertisement", AS_WRITTEN),
    ("L2Advertisement", AS_WRITTEN),
    ("Node", AS_WRITTEN),
    ("Peer", AS_WRITTEN),
    ("Service", AS_WRITTEN),
    ("Frame", OF_TESTS),
];

const AS_WRITTEN: &str = "an object in lb-api, its valid value in lb-model, its form in a map or a session";
const OF_TESTS: &str = "the product's, and its counterpart in the tests";

/// Public types whose name another public type has, too.
pub(in super::super) fn repeated(project: &Project<'_>) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in &project.sources {
        for (name, byte) in public_types(source) {
            places.entry(name).or_default().push(source.file.at(source.line(byte)));
        }
    }
    let repeated = places.iter().filter(|(name, places)| places.len() > 1 && !is_repeatable(name));
    let is_stale = |name: &str| places.get(name).is_none_or(|places| places.len() < 2);
    let stale = REPEATABLE.iter().filter(|(name, _)| project.is_whole() && is_stale(name));
    let repeated = repeated.map(|(name, places)| {
        format!("{}: {name} is {} types: {}", places[0], places.len(), places.join(", "))
    });
    repeated
        .chain(
            stale.map(|(name, reason)| format!("{name}: one type only ({reason}); remove it from the list")),
        )
        .collect()
}

fn is_repeatable(name: &str) -> bool {
    REPEATABLE.iter().any(|(repeatable, _)| *repeatable == name)
}

/// Names of structs, enums, unions, traits and aliases with `pub`, outside tests.
fn public_types<'a>(source: &Source<'a>) -> Vec<(&'a str, usize)> {
    let is_type = |at: usize| {
        source.word(at) == "pub"
            && matches!(source.word(at + 1), "struct" | "enum" | "union" | "trait" | "type")
    };
    let found = (0..source.tokens.len()).filter(|&at| is_type(at));
    found
        .map(|at| (source.word(at + 2), source.tokens[at].range.start))
        .filter(|&(_, byte)| !source.is_test(byte))
        .collect()
}
