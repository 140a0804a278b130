//! Where each ring lies in the flat array of slots.
//!
//! A ring may be written over another only where every VIP that stays there wants the new one; in any other
//! place that a VIP refers to now, it would be seen by a VIP that it is not for.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::maps::Vip;
use lb_common::ring::Slot;

use super::rings::{Ring, RingId};
use crate::contents::{Contents, Region, VipKey};

/// The region of each wanted ring; `None` where there is no room for it.
pub(super) type Placement = Vec<Option<Region>>;

pub(super) fn place(
    wanted: &BTreeMap<VipKey, RingId>,
    catalogue: &[Ring],
    installed: &Contents,
    capacity: u32,
) -> Placement {
    let mut placer = Placer {
        catalogue,
        installed,
        capacity,
        occupied: Occupied::by(&installed.vips),
        placement: vec![None; catalogue.len()],
    };
    let users = users(wanted, installed);
    let usable = usable(&installed.vips, capacity);
    let users: Vec<_> = users.iter().filter(|(region, _)| usable.contains(region)).collect();
    for (region, rings) in &users {
        placer.leave_unchanged(**region, rings);
    }
    for (region, rings) in &users {
        placer.write_over(**region, rings);
    }
    placer.find_free();
    placer.placement
}

/// For each installed region the rings that the VIPs want which refer to it and stay.
fn users(wanted: &BTreeMap<VipKey, RingId>, installed: &Contents) -> BTreeMap<Region, BTreeSet<RingId>> {
    let mut users: BTreeMap<Region, BTreeSet<RingId>> = BTreeMap::new();
    for (key, vip) in &installed.vips {
        if let (Some(region), Some(ring)) = (Region::of(vip), wanted.get(key)) {
            users.entry(region).or_default().insert(*ring);
        }
    }
    users
}

/// The installed regions that a ring may stay in: within the array, and apart from each other.
fn usable(vips: &BTreeMap<VipKey, Vip>, capacity: u32) -> BTreeSet<Region> {
    let regions: BTreeSet<Region> = vips.values().filter_map(Region::of).collect();
    let mut usable = BTreeSet::new();
    let mut end_before = 0;
    let mut following = regions.iter().skip(1);
    for region in &regions {
        let clear_after = following.next().is_none_or(|next| region.end() <= next.first);
        if region.first >= end_before && clear_after && region.end() <= capacity {
            usable.insert(*region);
        }
        end_before = end_before.max(region.end());
    }
    usable
}

struct Placer<'a> {
    catalogue: &'a [Ring],
    installed: &'a Contents,
    capacity: u32,
    occupied: Occupied,
    placement: Placement,
}

impl Placer<'_> {
    /// A ring that lies in a region already stays there, whatever the other VIPs of the region want.
    fn leave_unchanged(&mut self, region: Region, rings: &BTreeSet<RingId>) {
        let Some(before) = self.installed.rings.get(&region.first) else { return };
        let is_there = |ring: &&RingId| {
            let slots = self.catalogue.get(**ring).and_then(|ring| ring.slots.as_deref());
            slots.is_some_and(|slots| same_order(before, slots))
        };
        if let Some(ring) = rings.iter().find(is_there) {
            self.settle(*ring, region);
        }
    }

    /// A ring that all VIPs of a region want is written over the one that lies there.
    fn write_over(&mut self, region: Region, rings: &BTreeSet<RingId>) {
        if let (1, Some(ring)) = (rings.len(), rings.first()) {
            self.settle(*ring, region);
        }
    }

    /// Places a ring in a region of its size, unless it has a place.
    fn settle(&mut self, ring: RingId, region: Region) {
        let fits = self.catalogue.get(ring).is_some_and(|ring| u32::try_from(ring.size) == Ok(region.slots));
        if let Some(place @ None) = self.placement.get_mut(ring).filter(|_| fits) {
            *place = Some(region);
        }
    }

    /// Places the rest wherever nothing lies now.
    fn find_free(&mut self) {
        for (ring, place) in self.catalogue.iter().zip(&mut self.placement) {
            if place.is_none() && ring.slots.is_some() {
                *place = self.occupied.take_first_fit(ring.size, self.capacity);
            }
        }
    }
}

/// Whether new flows go to the same nodes; former leaders do not matter.
fn same_order(before: &[Slot], slots: &[Slot]) -> bool {
    before.len() == slots.len() && before.iter().zip(slots).all(|(a, b)| a.order_word() == b.order_word())
}

/// Slots in use: first → behind the last.
struct Occupied {
    spans: BTreeMap<u32, u32>,
}

impl Occupied {
    fn by(vips: &BTreeMap<VipKey, Vip>) -> Self {
        let mut occupied = Self { spans: BTreeMap::new() };
        for region in vips.values().filter_map(Region::of) {
            occupied.take(region);
        }
        occupied
    }

    fn take(&mut self, region: Region) {
        let end = self.spans.entry(region.first).or_default();
        *end = region.end().max(*end);
    }

    /// Takes the first free region of a power of two of slots that begins at a multiple of its size: so the
    /// array does not fall into pieces that nothing fits.
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
