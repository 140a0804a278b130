//! The project: all its files, and its Rust sources after lexing.

use super::rust::Source;
use super::tree::Tree;

/// What the rules are checked on.
#[derive(Debug)]
pub(super) struct Project<'a> {
    pub(super) tree: &'a Tree,
    pub(super) sources: Vec<Source<'a>>,
}

impl<'a> Project<'a> {
    /// Lexes all Rust files of a tree.
    pub(super) fn of(tree: &'a Tree) -> Self {
        Self { tree, sources: tree.ending(".rs").filter_map(Source::of).collect() }
    }

    /// Whether it is a workspace, not a few files of a test.
    pub(super) fn is_whole(&self) -> bool {
        self.tree.file("Cargo.toml").is_some()
    }

    /// Directories with a manifest, each with the sources below its `src`.
    pub(super) fn crates(&self) -> impl Iterator<Item = (&'a str, Vec<&Source<'a>>)> {
        let manifests = self.tree.ending("/Cargo.toml");
        manifests.filter_map(|manifest| manifest.path.strip_suffix("/Cargo.toml")).map(|directory| {
            let is_inside = |source: &&Source<'a>| {
                let rest = source.file.path.strip_prefix(directory);
                rest.is_some_and(|rest| rest.starts_with("/src/"))
            };
            (directory, self.sources.iter().filter(is_inside).collect())
        })
    }
}

/// The crate or top directory that a path or a path of modules is in, for totals.
pub(super) fn area(place: &str) -> &str {
    let place = place.split_once(": ").map_or(place, |(place, _)| place);
    match place.split_once('/').or_else(|| place.split_once("::")) {
        Some((area, _)) => area,
        None if place.contains('.') => "(root)",
        None => place,
    }
}
