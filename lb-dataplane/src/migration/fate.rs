//! The decision about each map of another layout: shared, copied or left behind. Pure.

use std::collections::BTreeMap;

use lb_common::map_table::{MapKind, MapSpec, name};

use super::record::{Fields, Record};

/// A map of another layout, as the kernel and its record describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldMap {
    /// Its type (`BPF_MAP_TYPE_*`).
    pub(super) kind: u32,
    /// The sizes of its keys and values.
    pub(super) sizes: [usize; 2],
    /// Its number of entries.
    pub(super) entries: usize,
    /// The flags that it was created with.
    pub(super) flags: u32,
    /// Its record; an error if it has none, or none that fits.
    pub(super) record: Result<Record, Left>,
}

/// The treatment of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Both layouts use the same map.
    Shared,
    /// A new map gets the entries of the old one, converted.
    Copied(Vec<Move>),
    /// A new map is written from the plan.
    Left(Left),
}

/// Bytes that are at another place in the new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) length: usize,
}

/// Why the entries of a map are left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Left {
    /// The other layout lacks it.
    #[error("the other layout has no such map")]
    New,
    /// There is no record.
    #[error("the other build recorded no fields of it")]
    NoRecord,
    /// The record does not fit the map.
    #[error("the record of its fields is damaged")]
    Damaged,
    /// The meaning of its entries differs.
    #[error("its entries have another meaning")]
    Meaning,
    /// It is organized in another way.
    #[error("it is another kind of map")]
    Kind,
    /// Its keys differ.
    #[error("its keys differ")]
    Key,
    /// Its values share no field.
    #[error("its values have no field in common")]
    Value,
    /// It is an array of another size, so the indices mean something else.
    #[error("it has another number of entries")]
    Entries,
    /// It holds numbers that a map that is left behind gives.
    #[error("it holds numbers from {0}, which is left behind")]
    Needs(&'static str),
    /// It cannot be read or written.
    #[error("{0}")]
    Failed(String),
}

/// Maps whose size the operator chooses.
const SIZED: [&str; 3] = [name::RINGS, name::LEADERS, name::FLOWS];

/// The maps that give nodes their indices: a plan is made with those that it finds there.
const NODES: &[&str] = &[name::NODES, name::NODE_ADDRESSES];
/// The maps that give VIPs their numbers and their slots.
const VIPS: &[&str] = &[name::VIPS4, name::VIPS6, name::VIPS_MORE];
/// The same with the slots.
const RINGS: &[&str] = &[name::RINGS, name::VIPS4, name::VIPS6, name::VIPS_MORE];

/// The maps that hold indices of nodes, numbers or slots of VIPs, or discriminators, and the maps that these
/// come from.
const NEEDS: &[(&str, &[&[&str]])] = &[
    (name::NODES, &[NODES]),
    (name::NODE_ADDRESSES, &[NODES]),
    (name::NODE_MACS, &[NODES]),
    (name::NODE_STATS, &[NODES]),
    (name::LIVENESS, &[NODES]),
    (name::ANSWERED, &[NODES]),
    (name::FLOWS, &[NODES]),
    (name::LEADERS, &[NODES, RINGS]),
    (name::RINGS, &[NODES, VIPS]),
    (name::VIPS4, &[RINGS]),
    (name::VIPS6, &[RINGS]),
    (name::VIPS_MORE, &[RINGS]),
    (name::ARP, &[NODES, VIPS]),
    (name::NDP, &[NODES, VIPS]),
    (name::SOURCES, &[VIPS]),
    // Discriminators.
    (name::BFD, &[&[name::BFD_ADDRESSES]]),
    (name::BFD_ADDRESSES, &[&[name::BFD]]),
    (name::FRAGMENTS, &[VIPS]),
    (name::VIP_STATS, &[VIPS]),
    (name::VIP_FLOWS, &[VIPS]),
    (name::L2_STATS, &[VIPS]),
    (name::SOURCE_REFUSED, &[VIPS]),
];

/// The maps that the program writes and the plan does not: a copy lacks what the old program still writes.
const OF_PROGRAM: [&str; 13] = [
    name::BFD,
    name::FLOWS,
    name::FLOW_EVENTS,
    name::LIVENESS,
    name::ANSWERED,
    name::FRAGMENTS,
    name::NODE_STATS,
    name::VIP_STATS,
    name::VIP_FLOWS,
    name::L2_STATS,
    name::SOURCE_REFUSED,
    name::VERDICTS,
    name::ICMP_BUDGET,
];

/// Decides about all maps of layout `to`, whose specs are `maps`; `old` are the maps of layout `from`. Maps
/// in
/// `failed` are left behind.
pub(super) fn decide(
    (from, to): (u32, u32),
    maps: &[MapSpec],
    old: &BTreeMap<&str, OldMap>,
    failed: &BTreeMap<&'static str, String>,
) -> BTreeMap<&'static str, Fate> {
    let fate = |map: &MapSpec| match (failed.get(map.name), old.get(map.name)) {
        (Some(reason), _) => Fate::Left(Left::Failed(reason.clone())),
        (None, None) => Fate::Left(Left::New),
        (None, Some(old)) => alone((from, to), map, old).unwrap_or_else(Fate::Left),
    };
    let mut fates = maps.iter().map(|map| (map.name, fate(map))).collect();
    while leave_dependents(&mut fates) || copy_dependents(maps, &mut fates) {}
    fates
}

/// Decides about a map by itself.
fn alone((from, to): (u32, u32), map: &MapSpec, old: &OldMap) -> Result<Fate, Left> {
    let then = old.record.clone()?;
    let now = Record::of(map);
    if map.since > from || then.since > to {
        return Err(Left::Meaning);
    }
    if old.kind != kernel_kind(map.kind) {
        return Err(Left::Kind);
    }
    if then.key != now.key || old.sizes[0] != kernel_key_size(map) {
        return Err(Left::Key);
    }
    let keeps_size = old.entries == map.entries || SIZED.contains(&map.name);
    if !keeps_size && map.kind == MapKind::Array {
        return Err(Left::Entries);
    }
    if keeps_size && old.flags == map.option as u32 && then.value == now.value {
        return Ok(Fate::Shared);
    }
    let moves = moves(&then.value, &now.value);
    if moves.is_empty() { Err(Left::Value) } else { Ok(Fate::Copied(moves)) }
}

/// Leaves maps behind whose numbers come from maps that are. Returns whether there were any.
fn leave_dependents(fates: &mut BTreeMap<&'static str, Fate>) -> bool {
    let is_left = |name: &&&'static str| matches!(fates.get(**name), Some(Fate::Left(_)));
    let left: Vec<_> = needs()
        .filter(|(map, _)| fates.get(map).is_some_and(|fate| !matches!(fate, Fate::Left(_))))
        .filter_map(|(map, mut needed)| Some((map, *needed.find(|name| is_left(name))?)))
        .collect();
    for (map, needed) in &left {
        fates.insert(map, Fate::Left(Left::Needs(needed)));
    }
    !left.is_empty()
}

/// Copies maps that refer to copied ones instead of sharing them: the agent writes its plan into the new
/// copies, and in a shared map the program that still forwards would find numbers that it cannot look up.
/// Returns whether there were any.
fn copy_dependents(maps: &[MapSpec], fates: &mut BTreeMap<&'static str, Fate>) -> bool {
    let is_copied = |name: &'static &'static str| matches!(fates.get(name), Some(Fate::Copied(_)));
    let shared = |map: &str| fates.get(map) == Some(&Fate::Shared) && !OF_PROGRAM.contains(&map);
    let copied: Vec<_> = needs()
        .filter(|(map, _)| shared(map))
        .filter_map(|(map, mut needed)| needed.any(is_copied).then_some(map))
        .collect();
    for spec in maps.iter().filter(|spec| copied.contains(&spec.name)) {
        let whole = Move { from: 0, to: 0, length: spec.sizes[1] };
        fates.insert(spec.name, Fate::Copied(vec![whole]));
    }
    !copied.is_empty()
}

fn needs() -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'static &'static str>)> {
    NEEDS.iter().map(|(map, groups)| (*map, groups.iter().flat_map(|group| group.iter())))
}

/// Returns the moves that turn an old value into a new one that is zero where it has new fields. Fields
/// belong together by name; of a longer or shorter array, the elements that both have.
fn moves(old: &Fields, new: &Fields) -> Vec<Move> {
    let mut moves = Vec::<Move>::new();
    for to in &new.0 {
        let Some(from) = old.0.iter().find(|from| from.path == to.path) else { continue };
        let elements = from.count.min(to.count);
        if from.size == to.size {
            push(&mut moves, Move { from: from.offset, to: to.offset, length: elements * to.size });
        } else if from.size < to.size {
            // A wider integer, on a little-endian machine.
            for n in 0..elements {
                let (from_at, to_at) = (from.offset + n * from.size, to.offset + n * to.size);
                push(&mut moves, Move { from: from_at, to: to_at, length: from.size });
            }
        }
    }
    moves
}

/// Appends a move, as a part of the last one where it continues it.
fn push(moves: &mut Vec<Move>, next: Move) {
    match moves.last_mut() {
        Some(last) if last.from + last.length == next.from && last.to + last.length == next.to => {
            last.length += next.length;
        }
        _ => moves.push(next),
    }
}

/// Returns a map's type (`BPF_MAP_TYPE_*`).
pub(super) const fn kernel_kind(kind: MapKind) -> u32 {
    match kind {
        MapKind::HashMap => 1,
        MapKind::Array => 2,
        MapKind::PerCpuArray => 6,
        MapKind::LruHashMap => 9,
        MapKind::LpmTrie => 11,
    }
}

/// Returns the size of a map's keys in the kernel: a trie's begin with the length of the prefix.
pub(super) fn kernel_key_size(map: &MapSpec) -> usize {
    map.sizes[0] + if map.kind == MapKind::LpmTrie { size_of::<u32>() } else { 0 }
}

#[cfg(test)]
mod tests;
