//! The operations that turn one content of the maps into another, in an order that leaves no moment in which
//! a packet finds a hole: whatever is referred to is written before what refers to it, and removed after.
//!
//! ```text
//! written   links → nodes → peers → config → slots → source ranges → VIPs → ARP
//! removed   ARP → VIPs → source ranges → peers → nodes → links
//! ```
//!
//! A VIP is flagged once its source ranges are there, and they go once it is not. Where ranges change, a client that is
//! admitted before and after is admitted meanwhile, and one that is neither is not.

use std::collections::BTreeMap;

use lb_common::maps::Vip;
use lb_common::ring::Slot;

use super::{Contents, MergeCursor, Op, SourceRange, SourceSet, VipKey};

/// The operations that turn `installed` into `desired`, to be done in their order. Only what differs is
/// written.
pub fn diff(installed: &Contents, desired: &Contents) -> Vec<Op> {
    let mut ops = Vec::new();
    write(&mut ops, &installed.links, &desired.links, Op::WriteLink);
    write(&mut ops, &installed.nodes, &desired.nodes, Op::WriteNode);
    write(&mut ops, &installed.peers, &desired.peers, Op::WriteNodeAddress);
    write(&mut ops, &installed.peer_macs, &desired.peer_macs, Op::WriteNodeMac);
    if let Some(config) = desired.config.filter(|config| installed.config != Some(*config)) {
        ops.push(Op::WriteConfig(Box::new(config)));
    }
    write_rings(&mut ops, installed, desired);
    let write_source = |vip, range| ops.push(Op::WriteSource(vip, range));
    new_sources(&installed.sources, &desired.sources, write_source);
    write_vips(&mut ops, &installed.vips, &desired.vips);
    write(&mut ops, &installed.arp, &desired.arp, Op::WriteArp);

    remove(&mut ops, &installed.arp, &desired.arp, Op::RemoveArp);
    remove(&mut ops, &installed.vips, &desired.vips, Op::RemoveVip);
    let remove_source = |vip, range| ops.push(Op::RemoveSource(vip, range));
    new_sources(&desired.sources, &installed.sources, remove_source);
    remove(&mut ops, &installed.peer_macs, &desired.peer_macs, Op::RemoveNodeMac);
    remove(&mut ops, &installed.peers, &desired.peers, Op::RemoveNodeAddress);
    remove(&mut ops, &installed.nodes, &desired.nodes, Op::RemoveNode);
    remove(&mut ops, &installed.links, &desired.links, Op::RemoveLink);
    ops
}

fn write<K: Ord + Copy, V: PartialEq + Copy>(
    ops: &mut Vec<Op>,
    installed: &BTreeMap<K, V>,
    desired: &BTreeMap<K, V>,
    op: impl Fn(K, V) -> Op,
) {
    let changed = beside(desired, installed).filter(|(_, value, before)| *before != Some(*value));
    ops.extend(changed.map(|(key, value, _)| op(*key, *value)));
}

fn remove<K: Ord + Copy, V>(
    ops: &mut Vec<Op>,
    installed: &BTreeMap<K, V>,
    desired: &BTreeMap<K, V>,
    op: impl Fn(K) -> Op,
) {
    let gone = beside(installed, desired).filter(|(_, _, after)| after.is_none());
    ops.extend(gone.map(|(key, _, _)| op(*key)));
}

/// The entries of a map, each with what another one has of its key.
fn beside<'a, K: Ord, V, W>(
    map: &'a BTreeMap<K, V>,
    other: &'a BTreeMap<K, W>,
) -> impl Iterator<Item = (&'a K, &'a V, Option<&'a W>)> {
    let mut other = MergeCursor::new(other);
    map.iter().map(move |(key, value)| (key, value, other.get(key)))
}

/// The source ranges that `of` has and `without` has not.
fn new_sources(
    without: &BTreeMap<u32, SourceSet>,
    of: &BTreeMap<u32, SourceSet>,
    mut take: impl FnMut(u32, SourceRange),
) {
    for (vip, sources, other) in beside(of, without) {
        if other.is_some_and(|other| other.is_same(sources)) {
            continue;
        }
        let is_new = |range: &&SourceRange| other.is_none_or(|other| !other.contains(*range));
        sources.iter().filter(is_new).for_each(|range| take(*vip, *range));
    }
}

/// A number that comes to another VIP is cleared first, or the VIP would begin with the other's traffic.
fn write_vips(ops: &mut Vec<Op>, installed: &BTreeMap<VipKey, Vip>, desired: &BTreeMap<VipKey, Vip>) {
    for (key, vip, before) in beside(desired, installed) {
        if before == Some(vip) {
            continue;
        }
        if before.is_none_or(|before| before.number != vip.number) {
            ops.push(Op::ClearVipStats(vip.number));
        }
        ops.push(Op::WriteVip(*key, *vip));
    }
}

fn write_rings(ops: &mut Vec<Op>, installed: &Contents, desired: &Contents) {
    let known = installed.regions();
    for region in desired.regions() {
        let Some(slots) = desired.rings.get(&region.first) else { continue };
        // What lies in a region that no installed VIP refers to is not known, so all of it is written.
        let before = installed.rings.get(&region.first).filter(|_| known.contains(&region));
        if before != Some(slots) {
            write_slots(ops, region.first, before.map_or(&[][..], |before| before), slots);
        }
    }
}

/// Runs of slots that differ. A run ends at the first slot that does not.
fn write_slots(ops: &mut Vec<Op>, first: u32, before: &[Slot], slots: &[Slot]) {
    let mut run: Option<(u32, Vec<Slot>)> = None;
    for (number, (i, slot)) in (first..).zip(slots.iter().enumerate()) {
        if before.get(i) == Some(slot) {
            ops.extend(run.take().map(|(first, slots)| Op::WriteSlots { first, slots }));
        } else {
            run.get_or_insert_with(|| (number, Vec::new())).1.push(*slot);
        }
    }
    ops.extend(run.map(|(first, slots)| Op::WriteSlots { first, slots }));
}
