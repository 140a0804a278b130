//! The rules of the tree that no compiler checks.

mod clocks;
mod floors;
mod hosts;
mod json;
mod layers;
mod links;
mod manifests;
mod project;
mod rust;
mod sources;
mod tree;
mod words;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::lint;
use crate::tidy::project::{Project, area};
use crate::tidy::tree::Tree;
use crate::workspace;

/// Violations of one rule that are printed, unless the rule was asked for by name.
const SHOWN: usize = 20;

/// How many rules hold and how many are broken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kept: u32,
    pub(crate) broken: u32,
}

struct Rule {
    /// What to ask for: `cargo xtask test tidy -- words`.
    group: &'static str,
    /// What holds.
    statement: &'static str,
    /// Where it does not, one line each.
    violations: fn(&Project<'_>) -> Vec<String>,
}

const RULES: [Rule; 16] = [
    rule("manifests", "Pure crates depend on nothing that does I/O", |it| manifests::impurities(it.tree)),
    rule("manifests", "Versions are chosen in the workspace's manifest only", |it| {
        manifests::own_versions(it.tree)
    }),
    rule("clocks", "Each pure crate bans clocks, for a reason of its own", clocks::missing_bans),
    rule("sources", "Unsafe code stands only in the files that are listed for it", |it| {
        sources::misplaced_unsafe(it.tree)
    }),
    rule("sources", "Names of maps are whole in the kernel, and the product's are lb_*", |it| {
        sources::map_names(it.tree)
    }),
    rule("hosts", "No file names the host of a package registry", |it| hosts::registries(it.tree)),
    rule("layers", "Crates depend on each other as the table of floors says", layers::departures),
    rule("layers", "ARCHITECTURE.md prints the table of floors", layers::undocumented),
    rule("layers", "No modules use each other in a circle", layers::cycles),
    rule("layers", "No crate is too large", layers::large_crates),
    rule("words", "No banned words", words::banned_words),
    rule("words", "Comments are as wide as code", words::wide_comments),
    rule("words", "Names of public types are unique", words::repeated_types),
    rule("links", "Links between pages lead somewhere", links::broken),
    rule("links", "The book holds all pages of docs/, and no others", links::outside_the_book),
    rule("reference", "docs/reference/json.md is what the sources say", json::outdated),
];

const fn rule(
    group: &'static str,
    statement: &'static str,
    violations: fn(&Project<'_>) -> Vec<String>,
) -> Rule {
    Rule { group, statement, violations }
}

/// Checks the format and all rules, or only the groups that `args` name, and prints every violation.
pub(crate) fn run(args: &[String]) -> Result<Counts> {
    let mut counts = Counts::default();
    // Other words are filters of other lanes.
    let chosen: Vec<&String> =
        args.iter().filter(|arg| RULES.iter().any(|rule| rule.group == **arg)).collect();
    if chosen.is_empty() {
        let unformatted = lint::format().err().map(|error| error.to_string());
        counts.note("The code is formatted", unformatted.as_slice(), SHOWN);
    }
    let tree = Tree::read(workspace::root())?;
    let project = Project::of(&tree);
    for rule in &RULES {
        if chosen.is_empty() || chosen.iter().any(|group| *group == rule.group) {
            let shown = if chosen.is_empty() { SHOWN } else { usize::MAX };
            counts.note(rule.statement, &(rule.violations)(&project), shown);
        }
    }
    for line in sources::long_files(&tree).into_iter().chain(layers::overview(&project)) {
        println!("look    {line}");
    }
    Ok(counts)
}

/// Generates the reference page that is read from the sources.
pub(crate) fn write_reference() -> Result<()> {
    let tree = Tree::read(workspace::root())?;
    let text = json::page(&Project::of(&tree)).map_err(anyhow::Error::msg)?;
    Ok(std::fs::write(workspace::root().join(json::PAGE), text)?)
}

impl Counts {
    fn note(&mut self, statement: &str, violations: &[String], shown: usize) {
        if violations.is_empty() {
            self.kept += 1;
            println!("ok      {statement}");
            return;
        }
        self.broken += 1;
        println!("BROKEN  {statement}: {}", by_area(violations));
        for violation in violations.iter().take(shown) {
            println!("        {violation}");
        }
        if violations.len() > shown {
            println!("        … and {} more", violations.len() - shown);
        }
    }
}

/// How many violations there are in each crate.
fn by_area(violations: &[String]) -> String {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for violation in violations {
        *totals.entry(area(violation)).or_default() += 1;
    }
    let parts: Vec<String> = totals.iter().map(|(area, count)| format!("{area} {count}")).collect();
    format!("{} ({})", violations.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::by_area;

    #[test]
    fn violations_are_counted_by_crate() {
        let violations =
            ["b/src/x.rs:1: y", "a/z", "b::c: d/e", "a: f", "README.md:1: g/h"].map(str::to_owned);
        assert_eq!(by_area(&violations), "5 ((root) 1, a 2, b 2)");
    }
}
