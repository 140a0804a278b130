//! The VIPs: which are wanted, and with which rings.

mod installation;

pub(super) use installation::Installation;

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::maps::VIP_AFFINITY;

use super::nodes::Roster;
use super::rings::RingId;
use super::state::Share;
use crate::contents::VipKey;
use crate::model::{Model, ServiceName, ServiceVip, TrafficPolicy};

/// The VIPs that are wanted, and their rings.
#[derive(Default)]
pub(super) struct WantedSet<'a> {
    /// Ring of each VIP, addresses themselves included.
    pub(super) vips: BTreeMap<VipKey, RingId>,
    /// Members of each ring, in order of their names; no two lists are in the same proportion.
    pub(super) rings: Vec<Arc<[Share]>>,
    /// The ports, without the addresses themselves.
    pub(super) ports: BTreeMap<VipKey, Port<'a>>,
}

/// A port that is wanted.
pub(super) struct Port<'a> {
    service: &'a ServiceName,
    flags: u32,
}

impl WantedSet<'_> {
    /// For each ring one VIP that wants it.
    pub(super) fn first_vips(&self) -> Vec<Option<VipKey>> {
        let mut first = vec![None; self.rings.len()];
        for (key, ring) in &self.vips {
            if let Some(first @ None) = first.get_mut(*ring) {
                *first = Some(*key);
            }
        }
        first
    }
}

/// The key of a VIP of a Service.
pub(super) fn vip_key(vip: &ServiceVip) -> VipKey {
    VipKey { address: vip.address, port: vip.port, protocol: vip.protocol.number() }
}

/// All ports that some node can serve, and their addresses. `local_shares` says how a ring is shared by the
/// nodes with endpoints.
pub(super) fn wanted<'a>(
    model: &'a Model,
    roster: &Roster<'_>,
    mut local_shares: impl FnMut(&ServiceVip) -> Vec<Share>,
) -> WantedSet<'a> {
    let mut wanted = WantedSet::default();
    let mut numbers = RingNumbers::default();
    // Numbered once, if at all: most Services want this ring, and it has the most members.
    let mut everybody = None;
    for (name, service) in &model.services {
        let flags = if service.affinity { VIP_AFFINITY } else { 0 };
        for vip in service.vips.iter().filter(|vip| vip.is_served(service.policy)) {
            let ring = match service.policy {
                TrafficPolicy::Cluster => *everybody.get_or_insert_with(|| numbers.of(roster.equal_shares())),
                TrafficPolicy::Local => numbers.of(local_shares(vip)),
            };
            if let Some(ring) = ring {
                wanted.vips.insert(vip_key(vip), ring);
                wanted.ports.insert(vip_key(vip), Port { service: name, flags });
            }
        }
    }
    wanted.add_addresses();
    wanted.rings = numbers.lists;
    wanted
}

/// Numbers of rings by their members, so that VIPs with the same members share one.
#[derive(Default)]
struct RingNumbers {
    ids: BTreeMap<Arc<[Share]>, RingId>,
    lists: Vec<Arc<[Share]>>,
}

impl RingNumbers {
    /// `None` for no members.
    fn of(&mut self, mut members: Vec<Share>) -> Option<RingId> {
        // Two endpoints on each node make the same ring as one on each.
        let divisor = members.iter().fold(0, |divisor, share| gcd(divisor, share.weight));
        members.iter_mut().for_each(|share| share.weight = share.weight.checked_div(divisor).unwrap_or(0));
        if divisor == 0 {
            return None;
        }
        if let Some(id) = self.ids.get(&members[..]) {
            return Some(*id);
        }
        let id = self.lists.len();
        let members: Arc<[Share]> = members.into();
        self.lists.push(members.clone());
        self.ids.insert(members, id);
        Some(id)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl WantedSet<'_> {
    /// Each address, with the ring of its first port.
    fn add_addresses(&mut self) {
        let mut addresses: BTreeMap<VipKey, RingId> = BTreeMap::new();
        for (key, ring) in &self.vips {
            addresses.entry(VipKey::of_address(key.address)).or_insert(*ring);
        }
        self.vips.extend(addresses);
    }
}
