//! The contents of the maps, as a value, and the ordered operations between two contents.

mod diff;
mod key;
mod merge_cursor;
mod slots;

pub use diff::diff;
pub use key::{MapKey, VipKey};
pub(crate) use key::{address_key, mac_key};
pub(crate) use merge_cursor::MergeCursor;
pub use slots::Slots;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::maps::{Announcer, Config, Link, Node, Vip};
use lb_common::ring::{NodeIndex, Slot};
use lb_model::{SourceRange, SourceSet};

/// The contents of all maps that the agent writes.
///
/// Read back from the kernel, an array has no absent entries: `nodes` are then the entries that are not
/// [`Node::NONE`], and the entries of every index in `node_addresses`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// `lb_config`; `None` before it has been written.
    pub config: Option<Config>,
    /// `lb_links`.
    pub links: BTreeMap<u32, Link>,
    /// `lb_nodes`.
    pub nodes: BTreeMap<NodeIndex, Node>,
    /// `lb_node_addrs`: all addresses of all nodes, this one's too, so that the index of every node can be
    /// read back.
    pub node_addresses: BTreeMap<[u8; 16], NodeIndex>,
    /// `lb_node_macs`.
    pub node_macs: BTreeMap<[u8; 8], NodeIndex>,
    /// `lb_vips4` and `lb_vips6`.
    pub vips: BTreeMap<VipKey, Vip>,
    /// The parts of `lb_rings` that VIPs refer to, by their first slot.
    pub rings: BTreeMap<u32, Slots>,
    /// `lb_arp` and `lb_ndp`.
    pub announcers: BTreeMap<IpAddr, Announcer>,
    /// `lb_sources`, by the numbers of VIPs; VIPs without ranges are absent.
    pub sources: BTreeMap<u32, SourceSet>,
}

/// A part of `lb_rings`: the slots of one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    /// First slot.
    pub first: u32,
    /// Number of slots.
    pub slots: u32,
}

impl Region {
    /// Returns the region that a VIP refers to; `None` if the VIP's numbers are not those of a region.
    pub fn of(vip: &Vip) -> Option<Self> {
        let slots = vip.mask.checked_add(1)?;
        vip.ring.checked_add(slots)?;
        slots.is_power_of_two().then_some(Self { first: vip.ring, slots })
    }

    /// Returns the first slot after it.
    pub fn end(self) -> u32 {
        self.first.saturating_add(self.slots)
    }
}

/// A map operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Writes the configuration.
    WriteConfig(Box<Config>),
    /// Writes an interface.
    WriteLink(u32, Link),
    /// Removes an interface.
    RemoveLink(u32),
    /// Writes a node.
    WriteNode(NodeIndex, Node),
    /// Empties a node's entry.
    RemoveNode(NodeIndex),
    /// Writes a node's address.
    WriteNodeAddress([u8; 16], NodeIndex),
    /// Removes a node's address.
    RemoveNodeAddress([u8; 16]),
    /// Writes a node's MAC.
    WriteNodeMac([u8; 8], NodeIndex),
    /// Removes a node's MAC.
    RemoveNodeMac([u8; 8]),
    /// Writes consecutive slots.
    WriteSlots {
        /// Number of the first.
        first: u32,
        /// The slots.
        slots: Vec<Slot>,
    },
    /// Resets the counters of a VIP number, because another VIP had it before.
    ClearVipStats(u32),
    /// Writes a VIP.
    WriteVip(VipKey, Vip),
    /// Removes a VIP.
    RemoveVip(VipKey),
    /// Writes the announcer of a VIP.
    WriteAnnouncer(IpAddr, Announcer),
    /// Removes the announcer of a VIP.
    RemoveAnnouncer(IpAddr),
    /// Admits a range of clients to the VIP with this number.
    WriteSource(u32, SourceRange),
    /// Removes such a range.
    RemoveSource(u32, SourceRange),
}

impl Contents {
    /// Returns the slots of the region that a VIP refers to; `None` if they are unknown.
    pub fn ring_of(&self, vip: &Vip) -> Option<&Slots> {
        let region = Region::of(vip)?;
        let slots = self.rings.get(&region.first)?;
        (u32::try_from(slots.len()) == Ok(region.slots)).then_some(slots)
    }

    /// Returns all regions that VIPs refer to.
    pub(crate) fn regions(&self) -> BTreeSet<Region> {
        let mut regions: Vec<Region> = self.vips.values().filter_map(Region::of).collect();
        // Most VIPs share a few rings.
        regions.dedup();
        regions.into_iter().collect()
    }

    /// Shares equal rings with other contents, so that they are known to be equal from now on.
    pub fn share_rings(&mut self, other: &Self) {
        for (first, ring) in &mut self.rings {
            if let Some(same) = other.rings.get(first).filter(|same| *same == ring) {
                *ring = same.clone();
            }
        }
    }

    /// Shares equal source ranges with other contents.
    pub fn share_sources(&mut self, other: &Self) {
        for (vip, sources) in &mut self.sources {
            if let Some(same) = other.sources.get(vip).filter(|same| *same == sources) {
                *sources = same.clone();
            }
        }
    }

    /// Applies an operation. A region that no VIP refers to any more is forgotten, as it would be by reading
    /// back.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::WriteConfig(config) => self.config = Some(**config),
            Op::WriteLink(ifindex, link) => put(&mut self.links, *ifindex, *link),
            Op::RemoveLink(ifindex) => drop_entry(&mut self.links, ifindex),
            Op::WriteNode(index, node) => put(&mut self.nodes, *index, *node),
            Op::RemoveNode(index) => drop_entry(&mut self.nodes, index),
            Op::WriteNodeAddress(address, index) => put(&mut self.node_addresses, *address, *index),
            Op::RemoveNodeAddress(address) => drop_entry(&mut self.node_addresses, address),
            Op::WriteNodeMac(mac, index) => put(&mut self.node_macs, *mac, *index),
            Op::RemoveNodeMac(mac) => drop_entry(&mut self.node_macs, mac),
            Op::WriteSlots { first, slots } => self.write_slots(*first, slots),
            Op::ClearVipStats(_) => {}
            Op::WriteVip(key, vip) => {
                let before = self.vips.insert(*key, *vip);
                self.forget_unused_ring(key, before);
            }
            Op::RemoveVip(key) => {
                let before = self.vips.remove(key);
                self.forget_unused_ring(key, before);
            }
            Op::WriteAnnouncer(vip, announcer) => put(&mut self.announcers, *vip, *announcer),
            Op::RemoveAnnouncer(vip) => drop_entry(&mut self.announcers, vip),
            Op::WriteSource(vip, range) => self.sources.entry(*vip).or_default().insert(*range),
            Op::RemoveSource(vip, range) => self.remove_source(*vip, range),
        }
    }

    fn remove_source(&mut self, vip: u32, range: &SourceRange) {
        let Some(sources) = self.sources.get_mut(&vip) else { return };
        sources.remove(range);
        if sources.is_empty() {
            self.sources.remove(&vip);
        }
    }

    fn write_slots(&mut self, first: u32, slots: &[Slot]) {
        if let Some((start, ring)) = self.rings.range_mut(..=first).next_back() {
            let within = (first - start) as usize;
            if ring.overwrite(within, slots) {
                return;
            }
        }
        self.rings.insert(first, slots.into());
    }

    /// `key` is that of the VIP that has moved. VIPs move in the order of their keys, so another VIP of the
    /// ring usually follows directly.
    fn forget_unused_ring(&mut self, key: &VipKey, before: Option<Vip>) {
        let Some(before) = before else { return };
        let mut others = self.vips.range(key..).chain(self.vips.range(..key));
        if !others.any(|(_, vip)| vip.ring == before.ring) {
            self.rings.remove(&before.ring);
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    map.insert(key, value);
}

fn drop_entry<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K) {
    map.remove(key);
}

#[cfg(test)]
mod tests;
