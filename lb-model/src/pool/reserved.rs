//! Pools that contain addresses of Nodes or BGP peers.

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

use super::Pools;

/// Number of reserved addresses that a message lists.
const NAMED: usize = 3;

/// Reports each pool that contains reserved addresses.
pub(crate) fn problems<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    pools: &Pools,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for object in objects.filter(|object| matches!(object.value, Object::IpAddressPool(_))) {
        let (namespace, name) = (object.value.namespace().unwrap_or_default(), &object.value.metadata().name);
        let pool = pools.iter().find(|(it, _)| it.namespace == namespace && it.name == *name);
        let ranges = pool.iter().flat_map(|(_, pool)| &pool.ranges);
        let held: Vec<_> =
            ranges.flat_map(|range| pools.reserved().within(range.start(), range.end())).collect();
        if held.is_empty() {
            continue;
        }
        let named = held.iter().take(NAMED).map(|(address, owner)| format!("{address} of {owner}"));
        let mut addresses = named.collect::<Vec<_>>().join(", ");
        if let more @ 1.. = held.len().saturating_sub(NAMED) {
            addresses += &format!(" and {more} more addresses of Nodes and BGP peers");
        }
        problems.push(Problem::at(object, "spec.addresses", Reason::PoolHoldsReserved { addresses }));
    }
    problems
}
