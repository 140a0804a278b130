//! The rules of the tree that no compiler knows.

mod hosts;
mod manifests;
mod sources;
mod tree;

use anyhow::Result;

use crate::lint;
use crate::tidy::tree::Tree;
use crate::workspace;

/// How many rules are kept and how many are broken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kept: u32,
    pub(crate) broken: u32,
}

struct Rule {
    /// What holds.
    law: &'static str,
    /// Where it does not, one line each.
    breaches: fn(&Tree) -> Vec<String>,
}

const RULES: [Rule; 5] = [
    Rule { law: "Pure crates depend on nothing that does I/O", breaches: manifests::impurities },
    Rule { law: "Versions are chosen in the workspace's manifest only", breaches: manifests::own_versions },
    Rule { law: "Unsafe has an address", breaches: sources::misplaced_unsafe },
    Rule {
        law: "Names of maps are whole in the kernel, and the product's are lb_*",
        breaches: sources::map_names,
    },
    Rule { law: "No file names the host of a package registry", breaches: hosts::registries },
];

/// Checks the format and all rules, and prints every breach.
pub(crate) fn run() -> Result<Counts> {
    let mut counts = Counts::default();
    let unformatted = lint::format().err().map(|error| error.to_string());
    counts.note("The code is formatted", unformatted.as_slice());
    let tree = Tree::read(workspace::root())?;
    for rule in &RULES {
        counts.note(rule.law, &(rule.breaches)(&tree));
    }
    for long in sources::long_files(&tree) {
        println!("look    {long}");
    }
    Ok(counts)
}

impl Counts {
    fn note(&mut self, law: &str, breaches: &[String]) {
        if breaches.is_empty() {
            self.kept += 1;
            println!("ok      {law}");
            return;
        }
        self.broken += 1;
        println!("BROKEN  {law}");
        for breach in breaches {
            println!("        {breach}");
        }
    }
}
