//! Who the nodes are on the wire: 32-bit numbers made from their names.

use std::collections::BTreeMap;

use crate::ring;
use lb_api::problem::{Problem, Reason};
use lb_model::NodeName;

/// The number of each node. They depend on the names alone, so every node of the cluster comes to the same.
///
/// Of two nodes whose names make the same number the first by name has it, and the other the next that its
/// name makes. The other's number changes when the first comes or goes, and while some nodes have not heard of
/// that, they take its probes for a stranger's; so it is a problem, which a new name solves.
pub(super) fn identities<'a>(
    names: impl Iterator<Item = &'a NodeName>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'a NodeName, u32> {
    let mut holders: BTreeMap<u32, &NodeName> = BTreeMap::new();
    let mut identities = BTreeMap::new();
    for name in names {
        let mut seed = ring::seed(name.as_str().as_bytes());
        while let Some(holder) = holders.get(&number(seed)) {
            let reason = Reason::NodeIdentityTaken { by: holder.to_string() };
            problems.push(Problem::about(name.reference(), reason));
            seed = ring::mix(seed);
        }
        holders.insert(number(seed), name);
        identities.insert(name, number(seed));
    }
    identities
}

fn number(seed: u64) -> u32 {
    // Zero is what an unused entry has.
    ((seed >> 32) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two names that make one number, in order.
    fn colliding() -> [NodeName; 2] {
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        // By the birthday paradox, 80,000 names are enough as often as not.
        for name in (0..1_000_000).map(|number| format!("node-{number:06}")) {
            if let Some(first) = names.insert(number(ring::seed(name.as_bytes())), name.clone()) {
                return [first.as_str().into(), name.as_str().into()];
            }
        }
        panic!("no two of a million names make one number");
    }

    #[test]
    fn of_two_names_that_make_one_number_the_second_gets_another_and_both_are_named() {
        let [first, second] = colliding();
        let others: Vec<NodeName> = ["a", "z"].map(NodeName::from).into();
        let names = [&others[0], &first, &second, &others[1]];
        let mut problems = Vec::new();
        let all = identities(names.into_iter(), &mut problems);
        let alone = |name| identities([name].into_iter(), &mut Vec::new())[name];
        assert_eq!(
            [all[&first], all[&others[0]], all[&others[1]]],
            [&first, &others[0], &others[1]].map(alone)
        );
        assert_eq!(alone(&first), alone(&second));
        assert_ne!(all[&first], all[&second]);
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let words = problem.to_string();
        assert!(words.contains(first.as_str()) && words.contains(second.as_str()), "{words}");
    }
}
