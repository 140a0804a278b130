//! Dependencies between crates and between the modules of each, and the size of crates.

mod crates;
mod cycles;
mod modules;

use self::modules::Modules;
use super::floors::{FLOORS, LARGEST};
use super::project::Project;

pub(super) use self::crates::{departures, undocumented};

/// Modules that use each other in a circle.
pub(super) fn cycles(project: &Project<'_>) -> Vec<String> {
    let crates = project.crates();
    crates.flat_map(|(directory, sources)| cycles::of(directory, &Modules::of(directory, &sources))).collect()
}

/// Crates with more lines of production code than one crate should have.
pub(super) fn large_crates(project: &Project<'_>) -> Vec<String> {
    let is_exempt = |directory: &str| {
        FLOORS.iter().any(|floor| floor.directory == directory && floor.is_exempt_from_size)
    };
    let sizes = sizes(project).filter(|&(directory, lines, _)| lines > LARGEST && !is_exempt(directory));
    sizes
        .map(|(directory, lines, _)| {
            format!("{directory}: {lines} lines of production code, more than {LARGEST}")
        })
        .collect()
}

/// One line a crate: its lines of production code, and how many modules use an item of their parent.
///
/// A parent uses its children, so each such use is a small circle. They are allowed, because most are types
/// that siblings share, but worth a look where there are many.
pub(super) fn overview(project: &Project<'_>) -> Vec<String> {
    sizes(project)
        .map(|(directory, lines, modules)| {
            let upward = cycles::children_that_use_their_parent(&modules);
            format!(
                "{directory}: {lines} lines of production code; {upward} of {} modules use an item of their parent",
                modules.len()
            )
        })
        .collect()
}

fn sizes<'a>(project: &'a Project<'_>) -> impl Iterator<Item = (&'a str, usize, Modules)> {
    project.crates().map(|(directory, sources)| {
        let modules = Modules::of(directory, &sources);
        let production = sources.iter().filter(|source| !modules.is_for_tests(source));
        (directory, production.map(|source| source.production_lines()).sum(), modules)
    })
}

#[cfg(test)]
mod tests;
