//! The desired rings, built.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot};

use super::nodes::NodeTable;
use super::settings::Settings;
use super::status::Share;
use super::vips::{DesiredVips, RingId};
use crate::contents::{Slots, VipKey};
use crate::ring::{self, Preferences, RingMember};
use lb_model::{NodeName, Tier};

/// Further choices of a slot that become former leaders when a newcomer plans for the first time.
const NEXT_BEST: usize = 3;

/// A desired ring.
pub(super) struct Ring {
    /// Number of slots.
    pub(super) size: usize,
    /// The slots; `None` if they exceed the capacity of the array, where building them is pointless. The
    /// members of the best tier lead; a member that would lead otherwise is a former leader.
    pub(super) slots: Option<Slots>,
    /// The slots without this machine, if requested and if it is a member.
    pub(super) without_own: Option<Slots>,
}

/// Members ordered by name, and number of slots.
type Key = (Arc<[Share]>, usize);

/// The rings of the last plan, and the VIPs that they were for.
#[derive(Clone, Debug, Default)]
pub(super) struct RingCache {
    built: BTreeMap<Key, BuiltRing>,
    /// By the rings' numbers.
    keys: Vec<Key>,
    /// Ordered by key.
    of_vips: Vec<(VipKey, RingId)>,
}

/// A ring in terms of the positions of its members.
#[derive(Clone, Debug)]
struct BuiltRing {
    preferences: Arc<Preferences>,
    tiers: Vec<Tier>,
    /// Leader and successors.
    order: Arc<[[u16; 4]]>,
    /// The draining nodes that led while not all of them drained; empty if no node drains.
    drained: Arc<[[u16; 4]]>,
    /// The slots that were last made from it.
    cached: Option<CachedSlots>,
}

/// Slots, and their inputs besides the ring.
#[derive(Clone, Debug)]
struct CachedSlots {
    indices: Vec<NodeIndex>,
    silent: Vec<bool>,
    slots: Slots,
}

impl RingCache {
    /// Builds each list of members into a ring; with `as_newcomer`, also without this machine. Forgets rings
    /// that are not requested.
    pub(super) fn build(
        &mut self,
        desired: &DesiredVips<'_>,
        table: &NodeTable<'_>,
        settings: &Settings,
        as_newcomer: bool,
    ) -> Vec<Ring> {
        let before = std::mem::take(self);
        let first_vips = desired.first_vips();
        let capacity = usize::try_from(settings.ring_capacity).unwrap_or(usize::MAX);
        let mut rings = Vec::with_capacity(desired.rings.len());
        for (id, members) in desired.rings.iter().enumerate() {
            let size = ring::slots_for(members.len(), settings.slots_per_node);
            let key = (members.clone(), size);
            self.keys.push(key.clone());
            if size > capacity {
                rings.push(Ring { size, slots: None, without_own: None });
                continue;
            }
            let mut built = before.built(&key, first_vips.get(id).and_then(|vip| *vip), table);
            let without_own =
                as_newcomer.then(|| without(table.own(), &built, members, table, settings)).flatten();
            rings.push(Ring { size, slots: Some(built.slots(members, table)), without_own });
            self.built.insert(key, built);
        }
        self.of_vips = desired.vips.iter().map(|vip| (vip.key, vip.ring)).collect();
        rings
    }

    /// Returns the cached ring, or builds it from the ring that its VIP had before.
    fn built(&self, key: &Key, vip: Option<VipKey>, table: &NodeTable<'_>) -> BuiltRing {
        let (members, size) = key;
        let tiers: Vec<Tier> = members.iter().map(|share| table.tier(share)).collect();
        let same = self.built.get(key);
        if let Some(built) = same.filter(|built| built.tiers == tiers) {
            return built.clone();
        }
        let of_vip = || self.built.get(self.key_of(vip?)?);
        let preferences = match (same, of_vip()) {
            (Some(same), _) => same.preferences.clone(),
            (None, Some(base)) if base.preferences.slots() == *size => {
                Arc::new(base.preferences.adapted(&ring_members(members)))
            }
            (None, _) => Arc::new(Preferences::new(&ring_members(members), *size)),
        };
        BuiltRing::of(preferences, tiers)
    }

    /// Returns the key of the ring that a VIP had before.
    fn key_of(&self, vip: VipKey) -> Option<&Key> {
        let place = self.of_vips.binary_search_by_key(&vip, |(vip, _)| *vip).ok()?;
        self.keys.get(self.of_vips.get(place)?.1)
    }
}

impl BuiltRing {
    fn of(preferences: Arc<Preferences>, tiers: Vec<Tier>) -> Self {
        let best = tiers.iter().min().copied().unwrap_or_default();
        let leads = |number: u16| tiers.get(usize::from(number)) == Some(&best);
        let order: Arc<[_]> = preferences.order(leads).into();
        // If all nodes drain, all lead, and have still led one after the other.
        let draining: Vec<bool> = tiers.iter().map(|tier| *tier > best || tier.draining).collect();
        let drained = drained(&preferences, &order, &draining).into();
        Self { preferences, tiers, order, drained, cached: None }
    }

    /// Returns the slots in terms of the nodes' indices.
    fn slots(&mut self, members: &[Share], table: &NodeTable<'_>) -> Slots {
        let indices: Vec<NodeIndex> =
            members.iter().map(|share| table.index(&share.node).unwrap_or(NO_NODE)).collect();
        let silent: Vec<bool> = members.iter().map(|share| table.is_silent(&share.node)).collect();
        let is_same = |cached: &&CachedSlots| cached.indices == indices && cached.silent == silent;
        if let Some(cached) = self.cached.as_ref().filter(is_same) {
            return cached.slots.clone();
        }
        let slots = self.indexed(&indices, &silent);
        self.cached = Some(CachedSlots { indices, silent, slots: slots.clone() });
        slots
    }

    fn indexed(&self, indices: &[NodeIndex], silent: &[bool]) -> Slots {
        let index = |number: u16| indices.get(usize::from(number)).copied().unwrap_or(NO_NODE);
        let is_silent = |number: u16| silent.get(usize::from(number)).is_none_or(|silent| *silent);
        let slot = |(slot, order): (usize, &[u16; 4])| {
            let mut former = [NO_NODE; FORMER];
            // The node that takes new flows in place of a silent leader still owns them when the leader
            // returns, or has been removed and the ring has moved on.
            let acting = order.iter().copied().find(|number| !is_silent(*number)).unwrap_or(order[0]);
            let drained = self.drained.get(slot).copied().unwrap_or([NO_NODE; 4]);
            for number in std::iter::once(acting).chain(drained).filter(|number| *number != order[0]) {
                note(&mut former, index(number));
            }
            let [leader, a, b, c] = order.map(index);
            Slot { leader, successors: [a, b, c], former }
        };
        self.order.iter().enumerate().map(slot).collect()
    }
}

/// Draining nodes each of which may have been the last one to lead, and is computed by itself.
const MOST_LAST: usize = 8;

/// For each slot, the draining nodes that may have led it: the one that would if none drained, and those that
/// would if all others did. The order in which they began to drain is unknown, but the last one led while all
/// others drained.
fn drained(preferences: &Preferences, order: &[[u16; 4]], draining: &[bool]) -> Vec<[u16; 4]> {
    let is_draining = |number: u16| draining.get(usize::from(number)).is_some_and(|draining| *draining);
    let all: Vec<u16> = (0..).take(draining.len()).filter(|number| is_draining(*number)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let mut drained = vec![[NO_NODE; 4]; preferences.slots()];
    let mut note_leaders = |leaders: Vec<u16>| {
        for (noted, leader) in drained.iter_mut().zip(leaders).filter(|(_, leader)| is_draining(*leader)) {
            note(noted, leader);
        }
    };
    note_leaders(preferences.leaders(|_| true));
    match all.len() {
        1 => {}
        2..=MOST_LAST => {
            for last in all {
                note_leaders(preferences.leaders(|number| number == last || !is_draining(number)));
            }
        }
        _ => note_preferred(&mut drained, preferences, order, is_draining),
    }
    drained
}

/// Notes for each slot the draining nodes that it prefers to its leader. They are those of the exact answer,
/// but for few slots, and cost as much for a hundred nodes as for one.
fn note_preferred(
    drained: &mut [[u16; 4]],
    preferences: &Preferences,
    order: &[[u16; 4]],
    is_draining: impl Fn(u16) -> bool,
) {
    let mut reader = preferences.reader();
    for (slot, (noted, [leader, ..])) in drained.iter_mut().zip(order).enumerate() {
        let choices = (0..).map_while(|nth| reader.choice(slot, nth));
        // If all nodes drain, the leader does, too, and any of them may have led.
        let preferred = choices.take_while(|number| number != leader || is_draining(*leader));
        preferred.filter(|it| is_draining(*it)).take(noted.len()).for_each(|number| note(noted, number));
    }
}

/// Appends a node, unless it is listed or there is no room.
fn note(noted: &mut [u16], node: u16) {
    let place = noted.iter().position(|other| *other == NO_NODE || *other == node);
    if let Some(place) = place.and_then(|place| noted.get_mut(place)) {
        *place = node;
    }
}

/// Returns the ring before a member joined; `None` if it is no member or the only one.
///
/// No earlier history is known here. Other nodes know it, but those in a slot may all have joined recently.
/// So the slot's next choices become former leaders: each of them that has been there for longer knows the
/// slot's history, and passes the question on.
fn without(
    node: &NodeName,
    built: &BuiltRing,
    members: &[Share],
    table: &NodeTable<'_>,
    settings: &Settings,
) -> Option<Slots> {
    let others: Vec<Share> = members.iter().filter(|share| share.node != *node).cloned().collect();
    if others.len() == members.len() || others.is_empty() {
        return None;
    }
    let size = ring::slots_for(others.len(), settings.slots_per_node);
    let preferences = if size == built.preferences.slots() {
        built.preferences.adapted(&ring_members(&others))
    } else {
        Preferences::new(&ring_members(&others), size)
    };
    let tiers = others.iter().map(|share| table.tier(share)).collect();
    let preferences = Arc::new(preferences);
    let index = |number: u16| table.index(&others.get(usize::from(number))?.node);
    let mut built = BuiltRing::of(preferences.clone(), tiers);
    let with_strangers = |(slot, strangers): (&Slot, &[u16])| {
        let mut former = slot.former;
        strangers.iter().copied().filter_map(index).for_each(|node| note(&mut former, node));
        Slot { former, ..*slot }
    };
    Some(built.slots(&others, table).iter().zip(preferences.choices(NEXT_BEST)).map(with_strangers).collect())
}

fn ring_members(members: &[Share]) -> Vec<RingMember<'_>> {
    members.iter().map(|share| RingMember { name: share.node.as_str(), weight: share.weight }).collect()
}
