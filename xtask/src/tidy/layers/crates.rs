//! Dependencies between crates of the workspace, as manifests, sources and ARCHITECTURE.md state them.

use super::super::floors::{FLOORS, Floor, is_ours};
use super::super::manifests::{self, Dependency};
use super::super::project::Project;
use super::super::tree::File;

/// The page that prints the table.
const PAGE: &str = "ARCHITECTURE.md";

/// A workspace of its own beside the house.
const FUZZ: &str = "fuzz";

/// Dependencies that the table of floors does not allow, and floors that the tree does not have.
pub(in super::super) fn departures(project: &Project<'_>) -> Vec<String> {
    let mut found = upward(FLOORS);
    let unlisted = project.tree.ending("/Cargo.toml").filter(|manifest| floor_of(manifest).is_none());
    found.extend(unlisted.map(|manifest| format!("{}: not in the table of floors", manifest.path)));
    for floor in FLOORS {
        match project.tree.file(&format!("{}/Cargo.toml", floor.directory)) {
            None => {
                found.push(format!("{}: in the table of floors, but there is no such crate", floor.directory))
            }
            Some(manifest) => found.extend(of_manifest(project, floor, manifest)),
        }
    }
    found
}

/// Crates whose row in ARCHITECTURE.md differs from the table.
///
/// A row is `| name | … | dependencies |`; in the last cell, names of packages stand in backticks.
pub(in super::super) fn undocumented(project: &Project<'_>) -> Vec<String> {
    let Some(page) = project.tree.file(PAGE) else { return vec![format!("{PAGE}: not found")] };
    FLOORS
        .iter()
        .filter(|floor| floor.directory != FUZZ)
        .filter_map(|floor| difference(page, floor))
        .collect()
}

fn difference(page: &File, floor: &Floor) -> Option<String> {
    let head = format!("| `{}` |", floor.directory);
    let mut expected = floor.uses.to_vec();
    expected.sort_unstable();
    let expected = if expected.is_empty() { "nothing of ours".to_owned() } else { expected.join(", ") };
    let Some((line, row)) = page.lines().find(|(_, line)| line.starts_with(&head)) else {
        return Some(format!("{PAGE}: no row for `{}`", floor.directory));
    };
    let cell = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    let mut named: Vec<&str> = cell.split('`').skip(1).step_by(2).filter(|name| is_ours(name)).collect();
    named.sort_unstable();
    let named = if named.is_empty() { "nothing of ours".to_owned() } else { named.join(", ") };
    (named != expected).then(|| {
        format!("{}: `{}` may depend on {expected}; the page says {named}", page.at(line), floor.directory)
    })
}

/// Floors that use one which does not stand below them, and pure crates that use one which is not.
pub(super) fn upward(floors: &[Floor]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, floor) in floors.iter().enumerate() {
        for used in floor.uses {
            let name = floor.package;
            match floors.iter().take(at).find(|below| below.package == *used) {
                None => found.push(format!("table of floors: {used} does not stand below {name}")),
                Some(below) if floor.is_pure && !below.is_pure => {
                    found.push(format!("table of floors: {name} is pure, and {used} is not"));
                }
                Some(_) => {}
            }
        }
    }
    found
}

fn of_manifest(project: &Project<'_>, floor: &Floor, manifest: &File) -> Vec<String> {
    let dependencies = manifests::dependencies(manifest);
    let ours: Vec<&Dependency<'_>> = dependencies.iter().filter(|found| is_ours(found.name)).collect();
    let is_allowed = |found: &Dependency<'_>| {
        floor.uses.contains(&found.name) || found.is_for_tests && floor.tests_use.contains(&found.name)
    };
    let refused = ours.iter().filter(|found| !is_allowed(found));
    let mut found: Vec<String> = refused
        .map(|found| {
            format!("{}: {} may not depend on {}", manifest.at(found.line), floor.package, found.name)
        })
        .collect();
    let is_used = |name: &str| ours.iter().any(|found| found.name == name);
    let stale = floor.uses.iter().chain(floor.tests_use).filter(|name| !is_used(name));
    found.extend(stale.map(|name| {
        format!("{}: does not depend on {name}; remove it from the table of floors", manifest.path)
    }));
    // Targets of the fuzzer include tests of other crates by their path, and need what those need.
    let unused =
        ours.iter().filter(|found| floor.directory != FUZZ && !is_imported(project, floor, found.name));
    found.extend(unused.map(|found| format!("{}: {} is not used", manifest.at(found.line), found.name)));
    found
}

/// Whether a source of the crate names a path of the package.
fn is_imported(project: &Project<'_>, floor: &Floor, package: &str) -> bool {
    let name = package.replace('-', "_");
    let prefix = format!("{}/", floor.directory);
    let mut sources = project.sources.iter().filter(|source| source.file.path.starts_with(&prefix));
    sources.any(|source| {
        source.file.text.contains(&name) && (0..source.tokens.len()).any(|at| source.word(at) == name)
    })
}

fn floor_of(manifest: &File) -> Option<&'static Floor> {
    let directory = manifest.path.strip_suffix("/Cargo.toml")?;
    FLOORS.iter().find(|floor| floor.directory == directory)
}
