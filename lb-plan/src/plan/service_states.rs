//! The states of Services, read from the desired contents.

use std::sync::Arc;

use lb_common::maps::{VIP_SOURCES, Vip};

use super::nodes::NodeTable;
use super::status::{AnnouncedAddress, RingState, ServiceState, Share, VipState};
use super::vips::{DesiredVips, vip_key};
use crate::contents::{Contents, Region};
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
    let vip = |vip: &ServiceVip| vip_state(vip, desired, &rings, contents, announced);
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

fn vip_state(
    vip: &ServiceVip,
    desired: &DesiredVips<'_>,
    rings: &[Divided],
    contents: &Contents,
    announced: &[AnnouncedAddress],
) -> VipState {
    let key = vip_key(vip);
    let installed = contents.vips.get(&key);
    let of_ring = || rings.get(desired.ring(&key)?).cloned();
    let ring = installed.and_then(Region::of).and_then(|region| {
        let (members, keeping) = of_ring()?;
        Some(RingState { first: region.first, slots: region.slots, members, keeping })
    });
    let ranges_of = |vip: &Vip| contents.sources.get(&vip.number).map_or(0, |sources| sources.len());
    let announcer = || {
        let place = announced.binary_search_by_key(&vip.address, |it| it.address).ok()?;
        Some(announced.get(place)?.ranks.first()?.0.clone())
    };
    VipState {
        address: vip.address,
        port: vip.port,
        protocol: vip.protocol,
        number: installed.map(|vip| vip.number),
        ring,
        announcer: announcer(),
        source_ranges: installed.filter(|vip| vip.flags & VIP_SOURCES != 0).map(ranges_of),
    }
}
