//! The desired VIPs and their rings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::maps::{VIP_AFFINITY, VIP_SOURCES, Vip};

use super::nodes::NodeTable;
use super::status::Share;
use crate::contents::{Contents, MergeCursor, VipKey};
use lb_model::{Model, ServiceName, ServiceVip, SourceSet, TrafficPolicy};

/// The position of a ring in the list of desired rings.
pub(super) type RingId = usize;

/// The desired VIPs and their rings.
#[derive(Default)]
pub(super) struct DesiredVips<'a> {
    /// Ordered by key, so each address precedes its ports. Parallel lists elsewhere use the same order, which
    /// avoids searching tens of thousands of entries.
    pub(super) vips: Vec<DesiredVip<'a>>,
    /// Members of each ring, ordered by name; no two lists have the same proportions.
    pub(super) rings: Vec<Arc<[Share]>>,
}

/// A desired VIP.
pub(super) struct DesiredVip<'a> {
    pub(super) key: VipKey,
    pub(super) ring: RingId,
    /// `None` for an address itself.
    pub(super) port: Option<Port<'a>>,
    /// The installed entry.
    pub(super) installed: Option<&'a Vip>,
}

/// A desired port.
pub(super) struct Port<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) flags: u32,
    /// The clients that it admits; `None`: all.
    pub(super) sources: Option<&'a SourceSet>,
}

impl<'a> DesiredVips<'a> {
    /// Returns all ports, ordered by key.
    pub(super) fn ports(&self) -> impl Iterator<Item = (VipKey, &Port<'a>)> {
        self.vips.iter().filter_map(|vip| Some((vip.key, vip.port.as_ref()?)))
    }

    /// Returns one VIP of each ring.
    pub(super) fn first_vips(&self) -> Vec<Option<VipKey>> {
        let mut first = vec![None; self.rings.len()];
        for vip in &self.vips {
            if let Some(first @ None) = first.get_mut(vip.ring) {
                *first = Some(vip.key);
            }
        }
        first
    }

    /// Returns the Services with a port in one of these rings, ordered by name.
    pub(super) fn services_of(&self, rings: &BTreeSet<RingId>) -> BTreeSet<&ServiceName> {
        let of_rings = self.vips.iter().filter(|vip| rings.contains(&vip.ring));
        of_rings.filter_map(|vip| Some(vip.port.as_ref()?.service)).collect()
    }
}

/// Returns the key of a Service's VIP.
pub(super) fn vip_key(vip: &ServiceVip) -> VipKey {
    VipKey { address: vip.address, port: vip.port, protocol: vip.protocol.number() }
}

/// Collects all ports that some node can serve, and their addresses. `local_shares` returns the shares of the
/// nodes with endpoints.
pub(super) fn desired<'a>(
    model: &'a Model,
    table: &NodeTable<'_>,
    installed: &'a Contents,
    mut local_shares: impl FnMut(&ServiceVip) -> Vec<Share>,
) -> DesiredVips<'a> {
    let mut ports = Vec::with_capacity(model.services.len());
    let mut numbers = RingNumbers::default();
    // Numbered at most once: most Services use this ring, and it has the most members.
    let mut all_nodes = None;
    for (name, service) in &model.services {
        let flags = if service.affinity { VIP_AFFINITY } else { 0 };
        for vip in service.vips.iter().filter(|vip| vip.is_served(service.policy)) {
            let ring = match service.policy {
                TrafficPolicy::Cluster => *all_nodes.get_or_insert_with(|| numbers.of(table.equal_shares())),
                TrafficPolicy::Local => numbers.of(local_shares(vip)),
            };
            let sources = service.sources.of(vip.address);
            let flags = if sources.is_some() { flags | VIP_SOURCES } else { flags };
            let port = Some(Port { service: name, flags, sources });
            ports.extend(ring.map(|ring| DesiredVip { key: vip_key(vip), ring, port, installed: None }));
        }
    }
    ports.sort_by_key(|port| port.key);
    let mut vips = with_addresses(ports);
    let mut installed = MergeCursor::new(&installed.vips);
    vips.iter_mut().for_each(|vip| vip.installed = installed.get(&vip.key));
    DesiredVips { vips, rings: numbers.lists }
}

/// Inserts each address before its ports, with the ring of the first.
fn with_addresses(ports: Vec<DesiredVip<'_>>) -> Vec<DesiredVip<'_>> {
    let mut vips: Vec<DesiredVip<'_>> = Vec::with_capacity(2 * ports.len());
    for port in ports {
        let address = VipKey::of_address(port.key.address);
        if vips.last().is_none_or(|last| last.key.address != address.address) {
            vips.push(DesiredVip { key: address, ring: port.ring, port: None, installed: None });
        }
        vips.push(port);
    }
    vips
}

/// Numbers of rings by members, so that VIPs with the same members share one.
#[derive(Default)]
struct RingNumbers {
    ids: BTreeMap<Arc<[Share]>, RingId>,
    lists: Vec<Arc<[Share]>>,
}

impl RingNumbers {
    /// Returns the ring's number; `None` without members.
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
