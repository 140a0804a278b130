//! The placement of ring versions in the flat array of slots.
//!
//! A version may overwrite another only where every VIP that keeps the region wants the new one; anywhere
//! else, a VIP that refers to the region now would see slots that are not its own.

use std::collections::{BTreeMap, BTreeSet};

use super::ring_versions::{RingVersion, RingVersions, VersionId};
use super::vips::{DesiredVip, DesiredVips};
use crate::contents::{Contents, Region};

/// The region of each version; `None` if there is no room for it.
pub(super) type Placement = Vec<Option<Region>>;

pub(super) fn place(
    desired: &DesiredVips<'_>,
    versions: &RingVersions,
    installed: &Contents,
    capacity: u32,
) -> Placement {
    let regions = installed.regions();
    let mut placer = Placer {
        versions: &versions.list,
        installed,
        capacity,
        occupied: Occupied::by(&regions),
        placement: vec![None; versions.list.len()],
    };
    let users = users(desired, versions);
    let usable = usable(&regions, capacity);
    let users: Vec<_> = users.iter().filter(|(region, _)| usable.contains(region)).collect();
    for (region, desired) in &users {
        placer.leave_unchanged(**region, desired);
    }
    for (region, desired) in &users {
        placer.write_over(**region, desired);
    }
    placer.find_free();
    placer.placement
}

/// For each installed region, the desired versions of the VIPs that refer to it and stay.
fn users(desired: &DesiredVips<'_>, versions: &RingVersions) -> BTreeMap<Region, BTreeSet<VersionId>> {
    let region = |vip: &DesiredVip<'_>| vip.installed.and_then(Region::of);
    let uses = desired.vips.iter().zip(&versions.of_vips);
    let mut uses: Vec<_> = uses.filter_map(|(vip, version)| Some((region(vip)?, *version))).collect();
    // Most VIPs share a few rings.
    uses.dedup();
    let mut users: BTreeMap<Region, BTreeSet<VersionId>> = BTreeMap::new();
    for (region, version) in uses {
        users.entry(region).or_default().insert(version);
    }
    users
}

/// Returns the installed regions that a ring may stay in: within the array, and not overlapping.
fn usable(regions: &BTreeSet<Region>, capacity: u32) -> BTreeSet<Region> {
    let mut usable = BTreeSet::new();
    let mut end_before = 0;
    let mut following = regions.iter().skip(1);
    for region in regions {
        let clear_after = following.next().is_none_or(|next| region.end() <= next.first);
        if region.first >= end_before && clear_after && region.end() <= capacity {
            usable.insert(*region);
        }
        end_before = end_before.max(region.end());
    }
    usable
}

struct Placer<'a> {
    versions: &'a [RingVersion],
    installed: &'a Contents,
    capacity: u32,
    occupied: Occupied,
    placement: Placement,
}

impl Placer<'_> {
    /// Keeps a version in the region that already contains it, whatever the other VIPs of the region want.
    fn leave_unchanged(&mut self, region: Region, desired: &BTreeSet<VersionId>) {
        let Some(before) = self.installed.rings.get(&region.first) else { return };
        let is_there = |id: &&VersionId| {
            self.versions.get(**id).and_then(|version| version.slots.as_ref()) == Some(before)
        };
        if let Some(id) = desired.iter().find(is_there) {
            self.settle(*id, region);
        }
    }

    /// Overwrites a region with the version that all its VIPs want.
    fn write_over(&mut self, region: Region, desired: &BTreeSet<VersionId>) {
        if let (1, Some(id)) = (desired.len(), desired.first()) {
            self.settle(*id, region);
        }
    }

    /// Places a version in a region of its size, unless it has a place.
    fn settle(&mut self, id: VersionId, region: Region) {
        let fits =
            self.versions.get(id).is_some_and(|version| u32::try_from(version.size) == Ok(region.slots));
        if let Some(place @ None) = self.placement.get_mut(id).filter(|_| fits) {
            *place = Some(region);
        }
    }

    /// Places the remaining versions in free regions.
    fn find_free(&mut self) {
        for (version, place) in self.versions.iter().zip(&mut self.placement) {
            if place.is_none() && version.slots.is_some() {
                *place = self.occupied.take_first_fit(version.size, self.capacity);
            }
        }
    }
}

/// Slots in use: first → end (exclusive).
struct Occupied {
    spans: BTreeMap<u32, u32>,
}

impl Occupied {
    fn by(regions: &BTreeSet<Region>) -> Self {
        let mut occupied = Self { spans: BTreeMap::new() };
        regions.iter().for_each(|region| occupied.take(*region));
        occupied
    }

    fn take(&mut self, region: Region) {
        let end = self.spans.entry(region.first).or_default();
        *end = region.end().max(*end);
    }

    /// Takes the first free region whose size is a power of two and that begins at a multiple of its size,
    /// which limits the fragmentation of the array.
    fn take_first_fit(&mut self, size: usize, capacity: u32) -> Option<Region> {
        let slots = u32::try_from(size).ok()?;
        let mut first: u32 = 0;
        for (start, end) in &self.spans {
            if first.checked_add(slots)? <= *start {
                break;
            }
            first = first.max(end.checked_next_multiple_of(slots)?);
        }
        let region = Region { first, slots };
        if first.checked_add(slots)? > capacity {
            return None;
        }
        self.take(region);
        Some(region)
    }
}
