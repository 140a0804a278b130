//! The entries of VIPs, with their rings and numbers.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::map_table::name;
use lb_common::maps::{VIP_ECHO, VIP_NEW_LEADER, Vip, capacity};

use super::placement::Placement;
use super::ring_versions::RingVersions;
use super::vips::{DesiredVip, DesiredVips, Port};
use crate::contents::{Contents, Slots};
use lb_api::problem::{PlanReason, Problem};
use lb_model::ServiceName;

/// The inputs of the VIPs' entries.
pub(super) struct VipEntries<'a> {
    pub(super) desired: &'a DesiredVips<'a>,
    pub(super) versions: &'a RingVersions,
    pub(super) placement: &'a Placement,
    pub(super) installed: &'a Contents,
    pub(super) ring_capacity: u32,
}

impl VipEntries<'_> {
    /// Writes the VIPs and their rings. Returns the first slots of the rings that stay as installed, because
    /// there is no room for the desired ones.
    pub(super) fn install(&self, contents: &mut Contents, problems: &mut Vec<Problem>) -> BTreeSet<u32> {
        let mut numbers = Numbers::by(self.installed);
        let mut entries: Vec<Option<Vip>> = vec![None; self.desired.vips.len()];
        self.install_ports(&mut entries, &mut numbers, problems);
        self.install_addresses(&mut entries, &mut numbers, problems);
        let keys = self.desired.vips.iter().map(|vip| vip.key);
        contents.vips = keys.zip(entries).filter_map(|(key, entry)| Some((key, entry?))).collect();
        self.install_rings(contents)
    }

    fn install_ports(&self, entries: &mut [Option<Vip>], numbers: &mut Numbers, problems: &mut Vec<Problem>) {
        let mut reported = BTreeSet::new();
        for (place, (vip, entry)) in self.desired.vips.iter().zip(entries).enumerate() {
            let Some(port) = &vip.port else { continue };
            let young = if self.versions.young.contains(&vip.key) { VIP_NEW_LEADER } else { 0 };
            let flags = port.flags | young;
            let desired = self.entry(place, flags);
            if desired.is_none() && reported.insert(port.service) {
                problems.push(self.no_space(place, port));
            }
            *entry = desired.or_else(|| self.installed_entry(vip, flags)).and_then(|entry| {
                let service = Some(port.service);
                numbers.give(vip, entry, service, problems)
            });
        }
    }

    /// Writes each address that has a port, in its desired ring, or else in that of a port.
    fn install_addresses(
        &self,
        entries: &mut [Option<Vip>],
        numbers: &mut Numbers,
        problems: &mut Vec<Problem>,
    ) {
        for (place, vip) in self.desired.vips.iter().enumerate().filter(|(_, vip)| vip.port.is_none()) {
            let ports = self.desired.vips.iter().zip(&*entries).skip(place + 1);
            let mut ports = ports.take_while(|(port, _)| port.key.address == vip.key.address);
            let Some(of_port) = ports.find_map(|(_, entry)| *entry) else { continue };
            let entry = self.entry(place, VIP_ECHO).unwrap_or(Vip { flags: VIP_ECHO, ..of_port });
            if let Some(free) = entries.get_mut(place) {
                *free = numbers.give(vip, entry, None, problems);
            }
        }
    }

    /// Writes the slots of every ring that a VIP refers to: the desired ones, or else the installed ones.
    fn install_rings(&self, contents: &mut Contents) -> BTreeSet<u32> {
        let places = self.placement.iter().zip(&self.versions.list);
        let desired: BTreeMap<u32, &Slots> =
            places.filter_map(|(place, version)| Some(((*place)?.first, version.slots.as_ref()?))).collect();
        let mut kept = BTreeSet::new();
        for first in contents.regions().into_iter().map(|region| region.first) {
            if let Some(slots) = desired.get(&first) {
                contents.rings.insert(first, (*slots).clone());
            } else if let Some(slots) = self.installed.rings.get(&first) {
                contents.rings.insert(first, slots.clone());
                kept.insert(first);
            }
        }
        kept
    }

    /// Returns the entry for the desired ring, without its number; `None` if the ring has no place.
    fn entry(&self, place: usize, flags: u32) -> Option<Vip> {
        let region = (*self.placement.get(*self.versions.of_vips.get(place)?)?)?;
        Some(Vip { ring: region.first, mask: region.slots - 1, number: 0, flags })
    }

    /// Returns the entry for the installed ring, if that is known.
    fn installed_entry(&self, vip: &DesiredVip<'_>, flags: u32) -> Option<Vip> {
        let installed = vip.installed?;
        self.installed.ring_of(installed)?;
        Some(Vip { flags, ..*installed })
    }

    fn no_space(&self, place: usize, port: &Port<'_>) -> Problem {
        let version = self.versions.of_vips.get(place).and_then(|version| self.versions.list.get(*version));
        let slots = version.map_or(0, |version| version.size);
        let reason = PlanReason::NoRingSpace { map: name::RINGS, slots, capacity: self.ring_capacity };
        Problem::about(port.service.reference(), reason)
    }
}

// One number for each VIP: while there are numbers, both families' maps have room.
const _: () = assert!(capacity::VIP_STATS <= capacity::VIPS);

/// Numbers of VIPs in `lb_vip_stats`. A VIP keeps its number; a freed number is not reused in the same plan,
/// because it is in use until the plan has been applied.
struct Numbers {
    /// By number.
    in_use: Vec<bool>,
    given: Vec<bool>,
    /// No lower number is free.
    next: usize,
}

impl Numbers {
    fn by(installed: &Contents) -> Self {
        let mut in_use = vec![false; capacity::VIP_STATS];
        // Left-over source ranges would apply to another VIP.
        let numbers = installed.vips.values().map(|vip| &vip.number).chain(installed.sources.keys());
        for number in numbers {
            if let Some(in_use) = in_use.get_mut(*number as usize) {
                *in_use = true;
            }
        }
        Self { in_use, given: vec![false; capacity::VIP_STATS], next: 0 }
    }

    /// Returns the entry with a number, if there is one.
    fn give(
        &mut self,
        vip: &DesiredVip<'_>,
        entry: Vip,
        service: Option<&ServiceName>,
        problems: &mut Vec<Problem>,
    ) -> Option<Vip> {
        let number = vip.installed.and_then(|vip| self.keep(vip.number)).or_else(|| self.lowest_free());
        if number.is_none() {
            let reason = PlanReason::MapFull { map: name::VIP_STATS, capacity: capacity::VIP_STATS };
            let object = service.map(ServiceName::reference);
            problems.push(Problem { object, ..Problem::general(reason) });
        }
        Some(Vip { number: number?, ..entry })
    }

    /// Returns the number, unless it is invalid or already given: what is read back may be anything.
    fn keep(&mut self, number: u32) -> Option<u32> {
        let given = self.given.get_mut(number as usize)?;
        (!std::mem::replace(given, true)).then_some(number)
    }

    fn lowest_free(&mut self) -> Option<u32> {
        let free = self.in_use.iter().skip(self.next).position(|in_use| !in_use);
        let number = free.map(|free| free + self.next);
        self.next = number.map_or(self.in_use.len(), |number| number + 1);
        u32::try_from(number?).ok()
    }
}
