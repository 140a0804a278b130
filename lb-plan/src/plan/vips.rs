//! The VIPs: which are wanted, and with which rings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::maps::{VIP_AFFINITY, VIP_SOURCES, Vip};

use super::nodes::Roster;
use super::status::Share;
use crate::contents::{Beside, Contents, VipKey};
use lb_model::{Model, ServiceName, ServiceVip, Sources, TrafficPolicy};

/// Which of the wanted rings: its place in the catalogue.
pub(super) type RingId = usize;

/// The VIPs that are wanted, and their rings.
#[derive(Default)]
pub(super) struct WantedSet<'a> {
    /// In the order of their keys, so each address comes before its ports. What is said of each elsewhere is said
    /// in this order too, so that none of tens of thousands need be searched for.
    pub(super) vips: Vec<Wanted<'a>>,
    /// Members of each ring, in order of their names; no two lists are in the same proportion.
    pub(super) rings: Vec<Arc<[Share]>>,
}

/// A VIP that is wanted.
pub(super) struct Wanted<'a> {
    pub(super) key: VipKey,
    pub(super) ring: RingId,
    /// `None` for an address itself.
    pub(super) port: Option<Port<'a>>,
    /// What is installed of it.
    pub(super) installed: Option<&'a Vip>,
}

/// A port that is wanted.
pub(super) struct Port<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) flags: u32,
    /// The clients that it admits; `None`: all of them.
    pub(super) sources: Option<&'a Sources>,
}

impl<'a> WantedSet<'a> {
    /// All ports, in the order of their keys.
    pub(super) fn ports(&self) -> impl Iterator<Item = (VipKey, &Port<'a>)> {
        self.vips.iter().filter_map(|vip| Some((vip.key, vip.port.as_ref()?)))
    }

    /// For each ring one VIP that wants it.
    pub(super) fn first_vips(&self) -> Vec<Option<VipKey>> {
        let mut first = vec![None; self.rings.len()];
        for vip in &self.vips {
            if let Some(first @ None) = first.get_mut(vip.ring) {
                *first = Some(vip.key);
            }
        }
        first
    }

    /// The ring of a VIP; `None` if the VIP is not wanted.
    pub(super) fn ring(&self, key: &VipKey) -> Option<RingId> {
        let place = self.vips.binary_search_by_key(key, |vip| vip.key).ok()?;
        Some(self.vips.get(place)?.ring)
    }

    /// The Services with a port whose ring is one of these, in the order of their names.
    pub(super) fn services_of(&self, rings: &BTreeSet<RingId>) -> BTreeSet<&ServiceName> {
        let of_rings = self.vips.iter().filter(|vip| rings.contains(&vip.ring));
        of_rings.filter_map(|vip| Some(vip.port.as_ref()?.service)).collect()
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
    installed: &'a Contents,
    mut local_shares: impl FnMut(&ServiceVip) -> Vec<Share>,
) -> WantedSet<'a> {
    let mut ports = Vec::with_capacity(model.services.len());
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
            let sources = service.sources.of(vip.address);
            let flags = if sources.is_some() { flags | VIP_SOURCES } else { flags };
            let port = Some(Port { service: name, flags, sources });
            ports.extend(ring.map(|ring| Wanted { key: vip_key(vip), ring, port, installed: None }));
        }
    }
    ports.sort_by_key(|port| port.key);
    let mut vips = with_addresses(ports);
    let mut installed = Beside::new(&installed.vips);
    vips.iter_mut().for_each(|vip| vip.installed = installed.get(&vip.key));
    WantedSet { vips, rings: numbers.lists }
}

/// Each address before its ports, with the ring of the first.
fn with_addresses(ports: Vec<Wanted<'_>>) -> Vec<Wanted<'_>> {
    let mut vips: Vec<Wanted<'_>> = Vec::with_capacity(2 * ports.len());
    for port in ports {
        let address = VipKey::of_address(port.key.address);
        if vips.last().is_none_or(|last| last.key.address != address.address) {
            vips.push(Wanted { key: address, ring: port.ring, port: None, installed: None });
        }
        vips.push(port);
    }
    vips
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
