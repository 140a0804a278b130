//! Rings with their past. VIPs that want the same ring share it; but those of them that had different rings
//! before have different former leaders, and each needs its own edition until that is forgotten.
//!
//! The past is read from what is installed, so it outlives the agent. Remembered are only moments; of what was
//! there before they are known, it is taken that it has happened now.

mod inheritance;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lb_common::maps::{VIP_YOUNG, Vip};
use lb_common::ring::NodeIndex;

use super::clock::Clock;
use super::rings::Ring;
use super::settings::Settings;
use super::vips::{RingId, Wanted, WantedSet};
use crate::contents::{Contents, Region, Slots, VipKey};
use inheritance::{Heir, Settled};
use lb_model::Protocol;

/// Which edition: its place in the list.
pub(super) type EditionId = usize;

/// A wanted ring with the former leaders of VIPs that have one past.
pub(super) struct Edition {
    ring: RingId,
    /// Number of slots.
    pub(super) size: usize,
    /// The slots; `None` if there are more than the array could ever hold.
    pub(super) slots: Option<Slots>,
    /// When a former leader was last noted in it; `None` if all that it has are those of the ring.
    noted: Option<Duration>,
}

/// All editions that are wanted.
#[derive(Default)]
pub(super) struct Editions {
    /// The editions; those of one ring differ.
    pub(super) list: Vec<Edition>,
    /// Edition of each VIP, addresses themselves included, in the order in which the VIPs are wanted.
    pub(super) of_vips: Vec<EditionId>,
    /// The UDP VIPs of which this machine has come to lead slots not long ago.
    pub(super) young: BTreeSet<VipKey>,
    of_rings: BTreeMap<RingId, Vec<EditionId>>,
}

/// The moments that are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// When a former leader was last noted in a region.
    noted: BTreeMap<Region, Duration>,
    /// When this machine last came to lead slots of a VIP.
    came_to_lead: BTreeMap<VipKey, Duration>,
    /// What need not be found out again.
    settled: Settled,
}

/// What editions are made from.
pub(super) struct Archive<'a> {
    pub(super) wanted: &'a WantedSet<'a>,
    pub(super) catalogue: &'a [Ring],
    pub(super) installed: &'a Contents,
    pub(super) settings: &'a Settings,
    /// This machine's index.
    pub(super) own: NodeIndex,
    /// Whether an index means a node, that is there or away.
    pub(super) seated: Vec<bool>,
}

/// What became of the VIPs that want one ring and had one region before, or none.
#[derive(Clone, Copy)]
struct Outcome {
    edition: EditionId,
    came_to_lead: bool,
}

impl Archive<'_> {
    /// An edition for each VIP.
    pub(super) fn editions(&self, past: &mut Past, clock: &mut Clock) -> Editions {
        let vips = &self.wanted.vips;
        let mut editions = Editions { of_vips: vec![0; vips.len()], ..Editions::default() };
        let mut outcomes = BTreeMap::new();
        let before = std::mem::take(&mut past.came_to_lead);
        past.settled.begin(self.own, &self.seated);
        let regions: Vec<_> = vips.iter().map(|vip| self.region(vip)).collect();
        // Those without a past come last: any edition is as good to them, so they take one that there is.
        for has_past in [true, false] {
            for (place, (vip, &region)) in vips.iter().zip(&regions).enumerate() {
                let Some(ring) = self.catalogue.get(vip.ring).filter(|_| vip.port.is_some()) else {
                    continue;
                };
                if self.before(ring, region).is_some() != has_past {
                    continue;
                }
                let outcome = *outcomes
                    .entry((vip.ring, region))
                    .or_insert_with(|| self.outcome(vip.ring, ring, region, past, clock, &mut editions));
                if let Some(edition) = editions.of_vips.get_mut(place) {
                    *edition = outcome.edition;
                }
                if self.is_young(vip, outcome.came_to_lead, &before, past, clock) {
                    editions.young.insert(vip.key);
                }
            }
        }
        past.settled.end();
        editions.add_addresses(self.wanted);
        editions
    }

    /// The region that a port has, if what is in it is known.
    fn region(&self, vip: &Wanted<'_>) -> Option<Region> {
        let installed = vip.installed?;
        self.installed.ring_of(installed)?;
        Region::of(installed)
    }

    /// What a VIP had in place of a ring that it wants.
    fn before<'a>(&'a self, ring: &'a Ring, region: Option<Region>) -> Option<&'a Slots> {
        match region {
            Some(region) => self.installed.rings.get(&region.first),
            None => ring.without_own.as_ref(),
        }
    }

    fn outcome(
        &self,
        id: RingId,
        ring: &Ring,
        region: Option<Region>,
        past: &mut Past,
        clock: &Clock,
        editions: &mut Editions,
    ) -> Outcome {
        let (Some(slots), Some(before)) = (&ring.slots, self.before(ring, region)) else {
            let slots = ring.slots.iter().flat_map(|slots| slots.iter());
            let came_to_lead = slots.clone().any(|slot| slot.leader == self.own);
            return Outcome { edition: editions.any_of(id, ring), came_to_lead };
        };
        let known = region.and_then(|region| past.noted.get(&region).copied());
        let noted = known.unwrap_or(clock.now());
        let keeps_former = !clock.is_over(noted, self.settings.former_grace);
        let heir = Heir { seated: &self.seated, own: self.own, keeps_former };
        let inheritance = past.settled.inherit(&heir, slots, before);
        let noted = if inheritance.has_news { clock.now() } else { noted };
        let noted = (inheritance.slots != *slots).then_some(noted);
        let slots = Some(inheritance.slots);
        let edition = editions.put(Edition { ring: id, size: ring.size, slots, noted });
        Outcome { edition, came_to_lead: inheritance.came_to_lead }
    }

    /// Whether UDP flows of a VIP may still live elsewhere. For TCP it would change nothing, and cost a write
    /// for each VIP.
    fn is_young(
        &self,
        vip: &Wanted<'_>,
        came_to_lead: bool,
        before: &BTreeMap<VipKey, Duration>,
        past: &mut Past,
        clock: &mut Clock,
    ) -> bool {
        if vip.key.protocol != Protocol::Udp.number() {
            return false;
        }
        let was_young = vip.installed.is_some_and(is_young);
        let known = before.get(&vip.key).copied().or(was_young.then_some(clock.now()));
        let just_now = came_to_lead.then_some(clock.now());
        let Some(since) = just_now.or(known) else { return false };
        let is_young = !clock.await_end(since, self.settings.udp_grace);
        past.came_to_lead.insert(vip.key, since);
        is_young
    }
}

impl Editions {
    /// Puts an edition into the list, if it is not there.
    fn put(&mut self, edition: Edition) -> EditionId {
        let of_ring = self.of_rings.entry(edition.ring).or_default();
        for id in of_ring.iter() {
            if let Some(same) = self.list.get_mut(*id).filter(|other| other.slots == edition.slots) {
                same.noted = same.noted.max(edition.noted);
                return *id;
            }
        }
        of_ring.push(self.list.len());
        self.list.push(edition);
        self.list.len() - 1
    }

    /// An edition of a ring: the one without a past, unless there are only others.
    fn any_of(&mut self, id: RingId, ring: &Ring) -> EditionId {
        let of_ring = self.of_rings.get(&id).map_or(&[][..], Vec::as_slice);
        let has_no_past =
            |id: &&EditionId| self.list.get(**id).is_some_and(|edition| edition.noted.is_none());
        if let Some(edition) = of_ring.iter().find(has_no_past).or(of_ring.first()) {
            return *edition;
        }
        self.put(Edition { ring: id, size: ring.size, slots: ring.slots.clone(), noted: None })
    }

    /// Each address, with the edition of its first port, which follows it.
    fn add_addresses(&mut self, wanted: &WantedSet<'_>) {
        let mut of_first_port = None;
        for (edition, vip) in self.of_vips.iter_mut().zip(&wanted.vips).rev() {
            match of_first_port.filter(|_| vip.port.is_none()) {
                Some(of_port) => *edition = of_port,
                None => of_first_port = Some(*edition),
            }
        }
    }
}

impl Past {
    /// Remembers when the regions that are in use came to what is in them, and how old each VIP's flag is for as
    /// long as it is to be seen. A VIP for whose ring there was no room has not come to lead anything.
    pub(super) fn remember(
        &mut self,
        editions: &Editions,
        placement: &[Option<Region>],
        [installed, contents]: [&Contents; 2],
        former_grace: Duration,
        clock: &mut Clock,
    ) {
        let is_seen = |of: &Contents, key: &VipKey| of.vips.get(key).is_some_and(is_young);
        self.came_to_lead.retain(|key, _| is_seen(contents, key) || is_seen(installed, key));
        let in_use = contents.regions();
        self.noted.retain(|region, _| in_use.contains(region));
        for (edition, place) in editions.list.iter().zip(placement) {
            let Some(region) = place.filter(|region| in_use.contains(region)) else { continue };
            if let Some(noted) = edition.noted {
                self.noted.insert(region, noted);
                clock.await_end(noted, former_grace);
            } else {
                self.noted.remove(&region);
            }
        }
    }
}

fn is_young(vip: &Vip) -> bool {
    vip.flags & VIP_YOUNG != 0
}
