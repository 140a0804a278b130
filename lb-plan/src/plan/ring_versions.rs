//! Versions of rings: a ring together with former leaders. VIPs with the same ring share it; but VIPs that
//! had different rings before have different former leaders, and need separate versions until these expire.
//!
//! The history is read from the installed contents, so it outlives the agent. Only points in time are
//! remembered; anything older than the memory is taken to have happened now.

mod former_leaders;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lb_common::maps::{VIP_NEW_LEADER, Vip};
use lb_common::ring::NodeIndex;

use super::clock::Clock;
use super::rings::Ring;
use super::settings::Settings;
use super::vips::{DesiredVip, DesiredVips, RingId};
use crate::contents::{Contents, Region, Slots, VipKey};
use former_leaders::{CarryOver, CarryOverCache};
use lb_model::Protocol;

/// The position of a version in the list.
pub(super) type VersionId = usize;

/// A desired ring with the former leaders of VIPs that have the same history.
pub(super) struct RingVersion {
    ring: RingId,
    /// Number of slots.
    pub(super) size: usize,
    /// The slots; `None` if they exceed the capacity of the array.
    pub(super) slots: Option<Slots>,
    /// When a former leader was last recorded; `None` if it has only the former leaders of the ring itself.
    noted: Option<Duration>,
}

/// All desired versions.
#[derive(Default)]
pub(super) struct RingVersions {
    /// The versions; those of one ring differ.
    pub(super) list: Vec<RingVersion>,
    /// The version of each VIP, addresses themselves included, in the order of the desired VIPs.
    pub(super) of_vips: Vec<VersionId>,
    /// The UDP VIPs of which this machine has recently come to lead slots.
    pub(super) young: BTreeSet<VipKey>,
    of_rings: BTreeMap<RingId, Vec<VersionId>>,
}

/// The points in time that are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// When a former leader was last recorded in a region.
    noted: BTreeMap<Region, Duration>,
    /// When this machine last came to lead slots of a VIP.
    came_to_lead: BTreeMap<VipKey, Duration>,
    /// Results of carrying former leaders over that need no recomputation.
    carry_over: CarryOverCache,
}

/// The inputs of versions.
pub(super) struct VersionBuilder<'a> {
    pub(super) desired: &'a DesiredVips<'a>,
    pub(super) rings: &'a [Ring],
    pub(super) installed: &'a Contents,
    pub(super) settings: &'a Settings,
    /// This machine's index.
    pub(super) own: NodeIndex,
    /// For every index, whether it denotes a node that exists or may return.
    pub(super) known: Vec<bool>,
}

/// The version for the VIPs that want one ring and had one region before, or none.
#[derive(Clone, Copy)]
struct Outcome {
    version: VersionId,
    came_to_lead: bool,
}

impl VersionBuilder<'_> {
    /// Builds a version for each VIP.
    pub(super) fn versions(&self, history: &mut History, clock: &mut Clock) -> RingVersions {
        let vips = &self.desired.vips;
        let mut versions = RingVersions { of_vips: vec![0; vips.len()], ..RingVersions::default() };
        let mut outcomes = BTreeMap::new();
        let before = std::mem::take(&mut history.came_to_lead);
        history.carry_over.begin(self.own, &self.known);
        let regions: Vec<_> = vips.iter().map(|vip| self.region(vip)).collect();
        // VIPs without a history come last: any version suits them, so they take an existing one.
        for has_past in [true, false] {
            for (place, (vip, &region)) in vips.iter().zip(&regions).enumerate() {
                let Some(ring) = self.rings.get(vip.ring).filter(|_| vip.port.is_some()) else {
                    continue;
                };
                if self.before(ring, region).is_some() != has_past {
                    continue;
                }
                let outcome = *outcomes
                    .entry((vip.ring, region))
                    .or_insert_with(|| self.outcome(vip.ring, ring, region, history, clock, &mut versions));
                if let Some(version) = versions.of_vips.get_mut(place) {
                    *version = outcome.version;
                }
                if self.is_young(vip, outcome.came_to_lead, &before, history, clock) {
                    versions.young.insert(vip.key);
                }
            }
        }
        history.carry_over.end();
        versions.add_addresses(self.desired);
        versions
    }

    /// Returns the installed region of a port, if its contents are known.
    fn region(&self, vip: &DesiredVip<'_>) -> Option<Region> {
        let installed = vip.installed?;
        self.installed.ring_of(installed)?;
        Region::of(installed)
    }

    /// Returns the slots that a VIP had before it gets a ring.
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
        history: &mut History,
        clock: &Clock,
        versions: &mut RingVersions,
    ) -> Outcome {
        let (Some(slots), Some(before)) = (&ring.slots, self.before(ring, region)) else {
            let slots = ring.slots.iter().flat_map(|slots| slots.iter());
            let came_to_lead = slots.clone().any(|slot| slot.leader == self.own);
            return Outcome { version: versions.any_of(id, ring), came_to_lead };
        };
        let known = region.and_then(|region| history.noted.get(&region).copied());
        let noted = known.unwrap_or(clock.now());
        let keeps_former = !clock.is_over(noted, self.settings.former_grace);
        let carry_over = CarryOver { known: &self.known, own: self.own, keeps_former };
        let carried = history.carry_over.apply(&carry_over, slots, before);
        let noted = if carried.has_new_former { clock.now() } else { noted };
        let noted = (carried.slots != *slots).then_some(noted);
        let slots = Some(carried.slots);
        let version = versions.put(RingVersion { ring: id, size: ring.size, slots, noted });
        Outcome { version, came_to_lead: carried.came_to_lead }
    }

    /// Returns whether UDP flows of a VIP may still live on other nodes. For TCP the flag would change
    /// nothing, and cost a write for each VIP.
    fn is_young(
        &self,
        vip: &DesiredVip<'_>,
        came_to_lead: bool,
        before: &BTreeMap<VipKey, Duration>,
        history: &mut History,
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
        history.came_to_lead.insert(vip.key, since);
        is_young
    }
}

impl RingVersions {
    /// Adds a version to the list, unless it is there.
    fn put(&mut self, version: RingVersion) -> VersionId {
        let of_ring = self.of_rings.entry(version.ring).or_default();
        for id in of_ring.iter() {
            if let Some(same) = self.list.get_mut(*id).filter(|other| other.slots == version.slots) {
                same.noted = same.noted.max(version.noted);
                return *id;
            }
        }
        of_ring.push(self.list.len());
        self.list.push(version);
        self.list.len() - 1
    }

    /// Returns a version of a ring: the one without a history if there is one.
    fn any_of(&mut self, id: RingId, ring: &Ring) -> VersionId {
        let of_ring = self.of_rings.get(&id).map_or(&[][..], Vec::as_slice);
        let has_no_past =
            |id: &&VersionId| self.list.get(**id).is_some_and(|version| version.noted.is_none());
        if let Some(version) = of_ring.iter().find(has_no_past).or(of_ring.first()) {
            return *version;
        }
        self.put(RingVersion { ring: id, size: ring.size, slots: ring.slots.clone(), noted: None })
    }

    /// Gives each address the version of its first port, which follows it.
    fn add_addresses(&mut self, desired: &DesiredVips<'_>) {
        let mut of_first_port = None;
        for (version, vip) in self.of_vips.iter_mut().zip(&desired.vips).rev() {
            match of_first_port.filter(|_| vip.port.is_none()) {
                Some(of_port) => *version = of_port,
                None => of_first_port = Some(*version),
            }
        }
    }
}

impl History {
    /// Records when the contents of the regions in use were established, and when each VIP's flag was set for
    /// as long as it is visible. A VIP whose ring did not fit has not come to lead anything.
    pub(super) fn remember(
        &mut self,
        versions: &RingVersions,
        placement: &[Option<Region>],
        [installed, contents]: [&Contents; 2],
        former_grace: Duration,
        clock: &mut Clock,
    ) {
        let is_seen = |of: &Contents, key: &VipKey| of.vips.get(key).is_some_and(is_young);
        self.came_to_lead.retain(|key, _| is_seen(contents, key) || is_seen(installed, key));
        let in_use = contents.regions();
        self.noted.retain(|region, _| in_use.contains(region));
        for (version, place) in versions.list.iter().zip(placement) {
            let Some(region) = place.filter(|region| in_use.contains(region)) else { continue };
            if let Some(noted) = version.noted {
                self.noted.insert(region, noted);
                clock.await_end(noted, former_grace);
            } else {
                self.noted.remove(&region);
            }
        }
    }
}

fn is_young(vip: &Vip) -> bool {
    vip.flags & VIP_NEW_LEADER != 0
}
