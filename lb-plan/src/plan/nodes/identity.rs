//! The nodes' IDs on the wire: 32-bit hashes of their names.

use std::collections::BTreeMap;

use crate::ring;
use lb_api::problem::{PlanReason, Problem};
use lb_model::NodeName;

/// Returns the ID of each node. IDs depend on the names alone, so all nodes of the cluster compute the same.
///
/// If two names hash to the same ID, the node with the first name has it, and the other gets the next hash of
/// its name. The latter's ID changes when the first node joins or leaves, and until all nodes know of that,
/// some take its probes for a stranger's; so it is reported as a problem, which a new name solves.
pub(super) fn identities<'a>(
    names: impl Iterator<Item = &'a NodeName>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'a NodeName, u32> {
    let mut holders: BTreeMap<u32, &NodeName> = BTreeMap::new();
    let mut identities = BTreeMap::new();
    for name in names {
        let mut seed = ring::seed(name.as_str().as_bytes());
        while let Some(holder) = holders.get(&number(seed)) {
            let reason = PlanReason::NodeIdentityTaken { by: holder.to_string() };
            problems.push(Problem::about(name.reference(), reason));
            seed = ring::mix(seed);
        }
        holders.insert(number(seed), name);
        identities.insert(name, number(seed));
    }
    identities
}

fn number(seed: u64) -> u32 {
    // Zero marks an unused entry.
    ((seed >> 32) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns two names that hash to the same ID, in order.
    fn colliding() -> [NodeName; 2] {
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        // By the birthday paradox, 80,000 names suffice in half of all cases.
        for name in (0..1_000_000).map(|number| format!("node-{number:06}")) {
            if let Some(first) = names.insert(number(ring::seed(name.as_bytes())), name.clone()) {
                return [first.as_str().into(), name.as_str().into()];
            }
        }
        panic!("no two of a million names make one number");
    }

    #[test]
    fn of_two_colliding_names_the_second_gets_another_id_and_is_reported() {
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
