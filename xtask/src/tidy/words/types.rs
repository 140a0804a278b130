//! Names of public types: one name, one type in the whole workspace.

use std::collections::BTreeMap;

use super::super::project::Project;
use super::super::rust::Source;

/// Names that may stand for a type in several crates, because each of them is only used with its module's
/// name.
const REPEATABLE: [&str; 0] = [];

/// Public types whose name another public type has, too.
pub(in super::super) fn repeated(project: &Project<'_>) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in &project.sources {
        for (name, byte) in public_types(source) {
            places.entry(name).or_default().push(source.file.at(source.line(byte)));
        }
    }
    let repeated = places.iter().filter(|(name, places)| places.len() > 1 && !REPEATABLE.contains(name));
    let stale = REPEATABLE.iter().filter(|name| places.get(*name).is_none_or(|places| places.len() < 2));
    let repeated = repeated.map(|(name, places)| {
        format!("{}: {name} is {} types: {}", places[0], places.len(), places.join(", "))
    });
    repeated.chain(stale.map(|name| format!("{name}: one type only; remove it from the list"))).collect()
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
