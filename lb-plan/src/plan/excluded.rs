//! Rings that have no member but nodes that are excluded from load balancing. They serve all the same, and that is
//! reported.

use std::collections::BTreeSet;

use super::nodes::Roster;
use super::vips::{RingId, WantedSet};
use lb_api::problem::{Problem, Reason};

pub(super) fn report(wanted: &WantedSet<'_>, roster: &Roster<'_>, problems: &mut Vec<Problem>) {
    if roster.are_all_excluded() {
        // Of every Service alike.
        problems.push(Problem::general(Reason::AllNodesExcluded));
        return;
    }
    let is_excluded = |id: &RingId| {
        wanted.rings.get(*id).is_some_and(|ring| ring.iter().all(|share| roster.tier(share).excluded))
    };
    let rings: BTreeSet<RingId> = (0..wanted.rings.len()).filter(is_excluded).collect();
    if rings.is_empty() {
        return;
    }
    for service in wanted.services_of(&rings) {
        problems.push(Problem::about(service.reference(), Reason::EndpointsExcluded));
    }
}
