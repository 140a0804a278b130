//! The operations between two contents of the maps, ordered so that no packet ever finds a gap: an entry is
//! written before anything refers to it, and removed after.
//!
//! ```text
//! written   links → nodes → node addresses → config → slots → source ranges → VIPs → announcers
//! removed   announcers → VIPs → source ranges → node addresses → nodes → links
//! ```
//!
//! The first configuration comes last: from then on the program answers the probes of other nodes, which send
//! it the packets of every VIP.
//!
//! A VIP gets its flag after its source ranges, and loses its ranges after the flag. While ranges change, a
//! client that is admitted before and after stays admitted, and one that is neither stays excluded.

use std::collections::BTreeMap;

use lb_common::maps::Vip;
use lb_common::ring::Slot;

use super::{Contents, MergeCursor, Op, SourceRange, SourceSet, VipKey};

/// Returns the operations that turn `installed` into `desired`, in order. Only differences are written.
pub fn diff(installed: &Contents, desired: &Contents) -> Vec<Op> {
    let mut ops = Vec::new();
    write(&mut ops, &installed.links, &desired.links, Op::WriteLink);
    write(&mut ops, &installed.nodes, &desired.nodes, Op::WriteNode);
    write(&mut ops, &installed.node_addresses, &desired.node_addresses, Op::WriteNodeAddress);
    write(&mut ops, &installed.node_macs, &desired.node_macs, Op::WriteNodeMac);
    let config = desired.config.filter(|config| installed.config != Some(*config));
    let config = config.map(|config| Op::WriteConfig(Box::new(config)));
    let (first_config, config) = if installed.config.is_none() { (config, None) } else { (None, config) };
    ops.extend(config);
    write_rings(&mut ops, installed, desired);
    let write_source = |vip, range| ops.push(Op::WriteSource(vip, range));
    new_sources(&installed.sources, &desired.sources, write_source);
    write_vips(&mut ops, &installed.vips, &desired.vips);
    write(&mut ops, &installed.announcers, &desired.announcers, Op::WriteAnnouncer);
    ops.extend(first_config);

    remove(&mut ops, &installed.announcers, &desired.announcers, Op::RemoveAnnouncer);
    remove(&mut ops, &installed.vips, &desired.vips, Op::RemoveVip);
    let remove_source = |vip, range| ops.push(Op::RemoveSource(vip, range));
    new_sources(&desired.sources, &installed.sources, remove_source);
    remove(&mut ops, &installed.node_macs, &desired.node_macs, Op::RemoveNodeMac);
    remove(&mut ops, &installed.node_addresses, &desired.node_addresses, Op::RemoveNodeAddress);
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
    let changed = merged(desired, installed).filter(|(_, value, before)| *before != Some(*value));
    ops.extend(changed.map(|(key, value, _)| op(*key, *value)));
}

fn remove<K: Ord + Copy, V>(
    ops: &mut Vec<Op>,
    installed: &BTreeMap<K, V>,
    desired: &BTreeMap<K, V>,
    op: impl Fn(K) -> Op,
) {
    let gone = merged(installed, desired).filter(|(_, _, after)| after.is_none());
    ops.extend(gone.map(|(key, _, _)| op(*key)));
}

/// Pairs the entries of a map with those of another map with the same key.
fn merged<'a, K: Ord, V, W>(
    map: &'a BTreeMap<K, V>,
    other: &'a BTreeMap<K, W>,
) -> impl Iterator<Item = (&'a K, &'a V, Option<&'a W>)> {
    let mut other = MergeCursor::new(other);
    map.iter().map(move |(key, value)| (key, value, other.get(key)))
}

/// Returns the source ranges that `of` has and `without` does not.
fn new_sources(
    without: &BTreeMap<u32, SourceSet>,
    of: &BTreeMap<u32, SourceSet>,
    mut take: impl FnMut(u32, SourceRange),
) {
    for (vip, sources, other) in merged(of, without) {
        if other.is_some_and(|other| other.is_same(sources)) {
            continue;
        }
        let is_new = |range: &&SourceRange| other.is_none_or(|other| !other.contains(*range));
        sources.iter().filter(is_new).for_each(|range| take(*vip, *range));
    }
}

/// A number that moves to another VIP is cleared first, or the VIP would start with the other's traffic.
fn write_vips(ops: &mut Vec<Op>, installed: &BTreeMap<VipKey, Vip>, desired: &BTreeMap<VipKey, Vip>) {
    for (key, vip, before) in merged(desired, installed) {
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
        // The contents of a region that no installed VIP refers to are unknown, so all of it is written.
        let before = installed.rings.get(&region.first).filter(|_| known.contains(&region));
        if before != Some(slots) {
            write_slots(ops, region.first, before.map_or(&[][..], |before| before), slots);
        }
    }
}

/// Writes runs of slots that differ. A run ends at the first equal slot.
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
