//! The entries of the VIPs, with their rings and numbers.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use lb_common::maps::{VIP_ECHO, VIP_YOUNG, Vip, capacity, name};
use lb_common::ring::Slot;

use super::{Port, WantedSet};
use crate::contents::{Contents, VipKey};
use crate::model::ServiceName;
use crate::plan::editions::Editions;
use crate::plan::placement::Placement;
use lb_api::problem::{Problem, Reason};

/// What the entries of VIPs are made from.
pub(in crate::plan) struct Installation<'a> {
    pub(in crate::plan) wanted: &'a WantedSet<'a>,
    pub(in crate::plan) editions: &'a Editions,
    pub(in crate::plan) placement: &'a Placement,
    pub(in crate::plan) installed: &'a Contents,
    pub(in crate::plan) ring_capacity: u32,
}

impl Installation<'_> {
    /// Writes the VIPs and their rings. Returns the first slots of the rings that stay as they are installed,
    /// because there is no room for what their VIPs want.
    pub(in crate::plan) fn install(
        &self,
        contents: &mut Contents,
        problems: &mut Vec<Problem>,
    ) -> BTreeSet<u32> {
        let mut numbers = Numbers::by(self.installed);
        let mut cramped = BTreeSet::new();
        for (key, port) in &self.wanted.ports {
            let young = if self.editions.young.contains(key) { VIP_YOUNG } else { 0 };
            let flags = port.flags | young;
            let entry = self.entry(key, flags);
            if entry.is_none() && cramped.insert(port.service) {
                problems.push(self.no_space(key, port));
            }
            if let Some(entry) = entry.or_else(|| self.installed_entry(key, flags)) {
                let service = Some(port.service);
                numbers.give(contents, *key, entry, service, problems);
            }
        }
        self.install_addresses(contents, &mut numbers, problems);
        self.install_rings(contents)
    }

    /// Each address with a port, in the ring that it wants, or else in that of a port.
    fn install_addresses(&self, contents: &mut Contents, numbers: &mut Numbers, problems: &mut Vec<Problem>) {
        let mut first_ports: BTreeMap<VipKey, Vip> = BTreeMap::new();
        for (key, vip) in &contents.vips {
            first_ports.entry(VipKey::of_address(key.address)).or_insert(*vip);
        }
        for (key, of_port) in first_ports {
            let entry = self.entry(&key, VIP_ECHO).unwrap_or(Vip { flags: VIP_ECHO, ..of_port });
            numbers.give(contents, key, entry, None, problems);
        }
    }

    /// The slots of every ring that a VIP refers to: as they are wanted, or else as they are installed.
    fn install_rings(&self, contents: &mut Contents) -> BTreeSet<u32> {
        let places = self.placement.iter().zip(&self.editions.list);
        let wanted: BTreeMap<u32, &[Slot]> = places
            .filter_map(|(place, edition)| Some(((*place)?.first, edition.slots.as_deref()?)))
            .collect();
        let mut kept = BTreeSet::new();
        for vip in contents.vips.values() {
            let (Entry::Vacant(place), first) = (contents.rings.entry(vip.ring), vip.ring) else { continue };
            if let Some(slots) = wanted.get(&first) {
                place.insert(slots.to_vec());
            } else if let Some(slots) = self.installed.rings.get(&first) {
                place.insert(slots.clone());
                kept.insert(first);
            }
        }
        kept
    }

    /// The entry in the ring that is wanted, without its number; `None` if the ring has no place.
    fn entry(&self, key: &VipKey, flags: u32) -> Option<Vip> {
        let region = (*self.placement.get(*self.editions.of_vips.get(key)?)?)?;
        Some(Vip { ring: region.first, mask: region.slots - 1, number: 0, flags })
    }

    /// The entry in the ring that is installed, if that is known.
    fn installed_entry(&self, key: &VipKey, flags: u32) -> Option<Vip> {
        let vip = self.installed.vips.get(key)?;
        self.installed.ring_of(vip)?;
        Some(Vip { flags, ..*vip })
    }

    fn no_space(&self, key: &VipKey, port: &Port<'_>) -> Problem {
        let edition = self.editions.of_vips.get(key).and_then(|edition| self.editions.list.get(*edition));
        let slots = edition.map_or(0, |edition| edition.size);
        let reason = Reason::NoRingSpace { map: name::RINGS, slots, capacity: self.ring_capacity };
        Problem::about(port.service.reference(), reason)
    }
}

// One number a VIP: as long as there are numbers, there is room for the VIP of either family too.
const _: () = assert!(capacity::VIP_STATS <= capacity::VIPS);

/// Numbers of VIPs in `lb_vip_stats`. A VIP keeps its number; one that is given up is not given to another
/// VIP in the same plan, because it is in use until the plan has been carried out.
struct Numbers<'a> {
    installed: &'a Contents,
    in_use: BTreeSet<u32>,
    given: BTreeSet<u32>,
    next: u32,
}

impl<'a> Numbers<'a> {
    fn by(installed: &'a Contents) -> Self {
        let in_use = installed.vips.values().map(|vip| vip.number).collect();
        Self { installed, in_use, given: BTreeSet::new(), next: 0 }
    }

    /// Writes an entry with its number, if there is one.
    fn give(
        &mut self,
        contents: &mut Contents,
        key: VipKey,
        entry: Vip,
        service: Option<&ServiceName>,
        problems: &mut Vec<Problem>,
    ) {
        if let Some(number) = self.number(&key) {
            contents.vips.insert(key, Vip { number, ..entry });
            return;
        }
        let reason = Reason::MapFull { map: name::VIP_STATS, capacity: capacity::VIP_STATS };
        let object = service.map(ServiceName::reference);
        problems.push(Problem { object, ..Problem::general(reason) });
    }

    fn number(&mut self, key: &VipKey) -> Option<u32> {
        let before = self.installed.vips.get(key).map(|vip| vip.number);
        let valid = before.filter(|number| is_number(*number) && self.given.insert(*number));
        valid.or_else(|| self.lowest_free())
    }

    fn lowest_free(&mut self) -> Option<u32> {
        while self.in_use.contains(&self.next) {
            self.next += 1;
        }
        let number = self.next;
        self.next += 1;
        is_number(number).then_some(number)
    }
}

fn is_number(number: u32) -> bool {
    usize::try_from(number).is_ok_and(|number| number < capacity::VIP_STATS)
}
