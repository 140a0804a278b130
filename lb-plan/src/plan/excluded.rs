//! Rings whose members are all excluded from load balancing. They serve nevertheless, which is reported.

use std::collections::BTreeSet;

use super::nodes::NodeTable;
use super::vips::{DesiredVips, RingId};
use lb_api::problem::{PlanReason, Problem};

pub(super) fn report(desired: &DesiredVips<'_>, table: &NodeTable<'_>, problems: &mut Vec<Problem>) {
    if table.are_all_excluded() {
        // This holds for every Service alike.
        problems.push(Problem::general(PlanReason::AllNodesExcluded));
        return;
    }
    let is_excluded = |id: &RingId| {
        desired.rings.get(*id).is_some_and(|ring| ring.iter().all(|share| table.tier(share).excluded))
    };
    let rings: BTreeSet<RingId> = (0..desired.rings.len()).filter(is_excluded).collect();
    if rings.is_empty() {
        return;
    }
    for service in desired.services_of(&rings) {
        problems.push(Problem::about(service.reference(), PlanReason::EndpointsExcluded));
    }
}
