//! The states of Services, read from the desired contents.

use std::sync::Arc;

use lb_common::maps::{VIP_SOURCES, Vip};

use super::nodes::NodeTable;
use super::status::{AnnouncedAddress, RingState, ServiceState, Share, VipState};
use super::vips::{DesiredVip, DesiredVips, vip_key};
use crate::contents::{Contents, MergeCursor, Region};
use lb_model::{Model, NodeName, Service, ServiceName, ServiceVip};

pub(super) fn services(
    model: &Model,
    desired: &DesiredVips<'_>,
    table: &NodeTable<'_>,
    contents: &Contents,
    announced: &[AnnouncedAddress],
) -> Vec<ServiceState> {
    // Once for each ring: thousands of Services share one.
    let rings: Vec<_> = desired.rings.iter().map(|members| divided(members, table)).collect();
    let vips = planned(desired, &rings, contents, announced);
    let vip = |vip: &ServiceVip| {
        let place = desired.vips.binary_search_by_key(&vip_key(vip), |it| it.key).ok();
        vip_state(vip, place.and_then(|place| vips.get(place)))
    };
    let service = |(name, service): (&ServiceName, &Arc<Service>)| ServiceState {
        service: name.clone(),
        policy: service.policy,
        affinity: service.affinity,
        vips: service.vips.iter().map(vip).collect(),
    };
    model.services.iter().map(service).collect()
}

/// The members that get new flows, and those that keep what they own.
type Divided = (Arc<[Share]>, Arc<[NodeName]>);

fn divided(members: &Arc<[Share]>, table: &NodeTable<'_>) -> Divided {
    let best = members.iter().map(|share| table.tier(share)).min().unwrap_or_default();
    let leads = |share: &&Share| table.tier(share) == best;
    if members.iter().all(|share| leads(&share)) {
        return (Arc::clone(members), Arc::default());
    }
    let (leading, others): (Vec<_>, Vec<_>) = members.iter().partition(leads);
    (leading.into_iter().cloned().collect(), others.into_iter().map(|share| share.node.clone()).collect())
}

/// What is planned for a VIP.
struct PlannedVip<'a> {
    entry: Option<&'a Vip>,
    ring: Option<&'a Divided>,
    announcer: Option<&'a NodeName>,
    source_ranges: Option<usize>,
}

/// Returns what is planned for each desired VIP, in their order. That is the order of all these lists, too,
/// and in the order of Services each of them would have to be searched.
fn planned<'a>(
    desired: &DesiredVips<'_>,
    rings: &'a [Divided],
    contents: &'a Contents,
    announced: &'a [AnnouncedAddress],
) -> Vec<PlannedVip<'a>> {
    let mut entries = MergeCursor::new(&contents.vips);
    let mut announced = announced.iter().peekable();
    let ranges_of = |vip: &Vip| contents.sources.get(&vip.number).map_or(0, |sources| sources.len());
    let planned = |vip: &DesiredVip<'_>| {
        let entry = entries.get(&vip.key);
        while announced.next_if(|it| it.address < vip.key.address).is_some() {}
        let announced = announced.peek().filter(|it| it.address == vip.key.address);
        PlannedVip {
            entry,
            ring: rings.get(vip.ring),
            announcer: announced.and_then(|it| it.ranks.first()).map(|(name, _)| name),
            source_ranges: entry.filter(|vip| vip.flags & VIP_SOURCES != 0).map(ranges_of),
        }
    };
    desired.vips.iter().map(planned).collect()
}

fn vip_state(vip: &ServiceVip, planned: Option<&PlannedVip<'_>>) -> VipState {
    let entry = planned.and_then(|it| it.entry);
    let ring = entry.and_then(Region::of).zip(planned.and_then(|it| it.ring));
    VipState {
        address: vip.address,
        port: vip.port,
        protocol: vip.protocol,
        number: entry.map(|vip| vip.number),
        ring: ring.map(|(region, (members, keeping))| RingState {
            first: region.first,
            slots: region.slots,
            members: Arc::clone(members),
            keeping: Arc::clone(keeping),
        }),
        announcer: planned.and_then(|it| it.announcer).cloned(),
        source_ranges: planned.and_then(|it| it.source_ranges),
    }
}
