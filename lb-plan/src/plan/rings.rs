//! The rings that are wanted, built.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot};

use super::nodes::Roster;
use super::settings::Settings;
use super::status::Share;
use super::vips::{RingId, WantedSet};
use crate::contents::{Slots, VipKey};
use crate::ring::{self, Member, Preferences};
use lb_model::{NodeName, Tier};

/// The first of a slot's choices that does not stand in it when a newcomer does.
const NEXT_BEST: usize = 3;

/// A wanted ring.
pub(super) struct Ring {
    /// Number of slots.
    pub(super) size: usize,
    /// The slots; `None` if there are more than the array could ever hold, which are not worth building. The best
    /// members lead; another is the former leader of what it would lead.
    pub(super) slots: Option<Slots>,
    /// What it would be without this machine, where that was asked for and it is a member.
    pub(super) without_own: Option<Slots>,
}

/// Members in the order of their names, and number of slots.
type Key = (Arc<[Share]>, usize);

/// The rings of the last plan, and which VIPs they were for.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    built: BTreeMap<Key, Built>,
    /// By the numbers that the rings had.
    keys: Vec<Key>,
    /// In the order of their keys.
    of_vips: Vec<(VipKey, RingId)>,
}

/// A ring by the numbers of its members.
#[derive(Clone, Debug)]
struct Built {
    preferences: Arc<Preferences>,
    tiers: Vec<Tier>,
    /// Leader and successors.
    order: Arc<[[u16; 4]]>,
    /// Who of those that drain has led while not all of them drained; empty if nobody does.
    drained: Arc<[[u16; 4]]>,
    /// The slots that came of it last.
    seated: Option<Seated>,
}

/// Slots, and what they were made from beside the ring.
#[derive(Clone, Debug)]
struct Seated {
    indices: Vec<NodeIndex>,
    silent: Vec<bool>,
    slots: Slots,
}

impl Memo {
    /// Builds each list of members into a ring; with `as_newcomer`, also without this machine. What was not
    /// asked for is forgotten.
    pub(super) fn build(
        &mut self,
        wanted: &WantedSet<'_>,
        roster: &Roster<'_>,
        settings: &Settings,
        as_newcomer: bool,
    ) -> Vec<Ring> {
        let before = std::mem::take(self);
        let first_vips = wanted.first_vips();
        let capacity = usize::try_from(settings.ring_capacity).unwrap_or(usize::MAX);
        let mut catalogue = Vec::with_capacity(wanted.rings.len());
        for (id, members) in wanted.rings.iter().enumerate() {
            let size = ring::slots_for(members.len(), settings.slots_per_node);
            let key = (members.clone(), size);
            self.keys.push(key.clone());
            if size > capacity {
                catalogue.push(Ring { size, slots: None, without_own: None });
                continue;
            }
            let mut built = before.built(&key, first_vips.get(id).and_then(|vip| *vip), roster);
            let without_own =
                as_newcomer.then(|| without(roster.own(), &built, members, roster, settings)).flatten();
            catalogue.push(Ring { size, slots: Some(built.slots(members, roster)), without_own });
            self.built.insert(key, built);
        }
        self.of_vips = wanted.vips.iter().map(|vip| (vip.key, vip.ring)).collect();
        catalogue
    }

    /// The ring as it was built before, or else made from the ring that its VIP had before.
    fn built(&self, key: &Key, vip: Option<VipKey>, roster: &Roster<'_>) -> Built {
        let (members, size) = key;
        let tiers: Vec<Tier> = members.iter().map(|share| roster.tier(share)).collect();
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
        Built::of(preferences, tiers)
    }

    /// What a VIP had wanted before.
    fn key_of(&self, vip: VipKey) -> Option<&Key> {
        let place = self.of_vips.binary_search_by_key(&vip, |(vip, _)| *vip).ok()?;
        self.keys.get(self.of_vips.get(place)?.1)
    }
}

impl Built {
    fn of(preferences: Arc<Preferences>, tiers: Vec<Tier>) -> Self {
        let best = tiers.iter().min().copied().unwrap_or_default();
        let leads = |number: u16| tiers.get(usize::from(number)) == Some(&best);
        let order = preferences.order(leads).into();
        // Where all drain, all lead, and still have led one after the other.
        let draining: Vec<bool> = tiers.iter().map(|tier| *tier > best || tier.draining).collect();
        let drained = drained(&preferences, &draining).into();
        Self { preferences, tiers, order, drained, seated: None }
    }

    /// The slots, by indices of nodes.
    fn slots(&mut self, members: &[Share], roster: &Roster<'_>) -> Slots {
        let indices: Vec<NodeIndex> =
            members.iter().map(|share| roster.index(&share.node).unwrap_or(NO_NODE)).collect();
        let silent: Vec<bool> = members.iter().map(|share| roster.is_silent(&share.node)).collect();
        let is_same = |seated: &&Seated| seated.indices == indices && seated.silent == silent;
        if let Some(seated) = self.seated.as_ref().filter(is_same) {
            return seated.slots.clone();
        }
        let slots = self.seat(&indices, &silent);
        self.seated = Some(Seated { indices, silent, slots: slots.clone() });
        slots
    }

    fn seat(&self, indices: &[NodeIndex], silent: &[bool]) -> Slots {
        let index = |number: u16| indices.get(usize::from(number)).copied().unwrap_or(NO_NODE);
        let is_silent = |number: u16| silent.get(usize::from(number)).is_none_or(|silent| *silent);
        let slot = |(slot, order): (usize, &[u16; 4])| {
            let mut former = [NO_NODE; FORMER];
            // Who takes new flows in place of a silent leader has them also when that one is back, or has
            // been taken out and the ring has moved on.
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

/// For each slot those of the nodes that drain that would lead it if none drained, or all but that one. In
/// which order they began to drain is not known, but the one that began last led while all others drained.
fn drained(preferences: &Preferences, draining: &[bool]) -> Vec<[u16; 4]> {
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
    for last in all.iter().filter(|_| all.len() > 1) {
        note_leaders(preferences.leaders(|number| number == *last || !is_draining(number)));
    }
    drained
}

/// Puts a node behind those that are there, if it is none of them and there is room.
fn note(noted: &mut [u16], node: u16) {
    let place = noted.iter().position(|other| *other == NO_NODE || *other == node);
    if let Some(place) = place.and_then(|place| noted.get_mut(place)) {
        *place = node;
    }
}

/// The ring before a member came; `None` if it is no member or the only one.
///
/// What else has been before is not known. Others know, but those that stand in a slot may all have come not
/// long ago. So its next best stand for former leaders: each of them that has been there for longer knows the
/// slot's past, and asks on.
fn without(
    node: &NodeName,
    built: &Built,
    members: &[Share],
    roster: &Roster<'_>,
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
    let tiers = others.iter().map(|share| roster.tier(share)).collect();
    let preferences = Arc::new(preferences);
    let index = |number: u16| roster.index(&others.get(usize::from(number))?.node);
    let mut built = Built::of(preferences.clone(), tiers);
    let with_strangers = |(slot, strangers): (&Slot, &[u16])| {
        let mut former = slot.former;
        strangers.iter().copied().filter_map(index).for_each(|node| note(&mut former, node));
        Slot { former, ..*slot }
    };
    Some(
        built.slots(&others, roster).iter().zip(preferences.choices(NEXT_BEST)).map(with_strangers).collect(),
    )
}

fn ring_members(members: &[Share]) -> Vec<Member<'_>> {
    members.iter().map(|share| Member { name: share.node.as_str(), weight: share.weight }).collect()
}
