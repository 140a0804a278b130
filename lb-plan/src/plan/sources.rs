//! Source ranges: the clients that each VIP admits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_common::map_table::name;
use lb_common::maps::{VIP_SOURCES, capacity};

use super::clock::Clock;
use super::settings::Facts;
use super::vips::DesiredVips;
use crate::contents::{Contents, VipKey};
use lb_api::problem::{PlanReason, Problem};
use lb_model::{ServiceName, SourceRange, SourceSet};

/// How long to wait for removed entries before the entries that did not fit are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the ranges of ports, whose entries already have the flag, and those of addresses.
///
/// A range that does not fit is left out, which excludes its clients: better than to admit all others.
pub(super) fn admit(
    contents: &mut Contents,
    desired: &DesiredVips<'_>,
    facts: &Facts,
    installed: &Contents,
    clock: &mut Clock,
    problems: &mut Vec<Problem>,
) {
    let mut room = SourceCapacity::beside(installed, capacity::SOURCES);
    for (key, port) in desired.ports() {
        if let (Some(vip), Some(sources)) = (contents.vips.get(&key), port.sources) {
            let fitting = room.take(vip.number, sources, Some(port.service));
            put(contents, vip.number, fitting);
        }
    }
    for (address, sources) in of_addresses(desired, facts) {
        let Some(vip) = contents.vips.get_mut(&VipKey::of_address(address)) else { continue };
        vip.flags |= VIP_SOURCES;
        let number = vip.number;
        let fitting = room.take(number, &sources, None);
        put(contents, number, fitting);
    }
    room.report(contents, clock, problems);
}

fn put(contents: &mut Contents, number: u32, sources: SourceSet) {
    if !sources.is_empty() {
        contents.sources.insert(number, sources);
    }
}

/// Returns the addresses all of whose ports have ranges, with the union of these: a client that no port
/// admits gets no answer from the address either. Addresses of this machine are left out: other traffic to
/// them is its own.
fn of_addresses(desired: &DesiredVips<'_>, facts: &Facts) -> Vec<(IpAddr, SourceSet)> {
    let own: BTreeSet<IpAddr> = facts.next_hops.values().map(|way| way.source).collect();
    let mut addresses: Vec<(IpAddr, Option<SourceSet>)> = Vec::new();
    // The ports of an address are adjacent.
    for (key, port) in desired.ports() {
        match addresses.last_mut().filter(|(address, _)| *address == key.address) {
            Some((_, all)) => *all = union(all.take(), port.sources),
            None => {
                // Most have none, and are dropped at once.
                addresses.pop_if(|(_, sources)| sources.is_none());
                addresses.push((key.address, port.sources.cloned()));
            }
        }
    }
    let restricted = addresses.into_iter().filter_map(|(address, sources)| Some((address, sources?)));
    restricted.filter(|(address, _)| !own.contains(address)).collect()
}

/// `None` admits every client.
fn union(all: Option<SourceSet>, more: Option<&SourceSet>) -> Option<SourceSet> {
    let (all, more) = (all?, more?);
    if all == *more { Some(all) } else { Some(all.union(more).copied().collect()) }
}

fn entries(contents: &Contents) -> usize {
    contents.sources.values().map(|sources| sources.len()).sum()
}

/// The free capacity of the map, which entries to be removed still take up.
struct SourceCapacity<'a> {
    installed: &'a Contents,
    capacity: usize,
    free: usize,
    /// Number of ranges of each Service, or of addresses, that did not fit.
    lacking: BTreeMap<Option<&'a ServiceName>, usize>,
}

impl<'a> SourceCapacity<'a> {
    fn beside(installed: &'a Contents, capacity: usize) -> Self {
        Self {
            installed,
            capacity,
            free: capacity.saturating_sub(entries(installed)),
            lacking: BTreeMap::new(),
        }
    }

    /// Returns the ranges that are installed or fit.
    fn take(&mut self, number: u32, desired: &SourceSet, service: Option<&'a ServiceName>) -> SourceSet {
        let before = self.installed.sources.get(&number);
        if before.is_some_and(|before| before.is_same(desired)) {
            return desired.clone();
        }
        let is_there = |range: &SourceRange| before.is_some_and(|before| before.contains(range));
        let new = desired.iter().filter(|range| !is_there(range)).count();
        let fitting = new.min(self.free);
        self.free -= fitting;
        if fitting == new {
            return desired.clone();
        }
        *self.lacking.entry(service).or_default() += new - fitting;
        let mut left = fitting;
        let mut fits = |range: &SourceRange| {
            is_there(range)
                || left.checked_sub(1).is_some_and(|after| {
                    left = after;
                    true
                })
        };
        desired.iter().filter(|range| fits(range)).copied().collect()
    }

    fn report(self, contents: &Contents, clock: &mut Clock, problems: &mut Vec<Problem>) {
        if !self.lacking.is_empty() && entries(contents) < self.capacity {
            clock.await_end(clock.now(), RETRY);
        }
        for (service, lacking) in self.lacking {
            let reason = PlanReason::SourcesFull { map: name::SOURCES, capacity: self.capacity, lacking };
            let object = service.map(ServiceName::reference);
            problems.push(Problem { object, ..Problem::general(reason) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;

    fn ranges(hosts: impl IntoIterator<Item = u8>) -> SourceSet {
        let net = |host| IpNet::from(IpAddr::from([10, 0, 0, host]));
        hosts.into_iter().map(|host| SourceRange::from(net(host))).collect()
    }

    fn name(name: &str) -> ServiceName {
        ServiceName { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn ranges_that_do_not_fit_are_left_out_and_counted_by_service() {
        let installed = Contents { sources: BTreeMap::from([(7, ranges(1..=4))]), ..Contents::default() };
        let (a, b) = (name("a"), name("b"));
        let mut room = SourceCapacity::beside(&installed, 6);
        assert_eq!(room.take(7, &ranges(3..=5), Some(&a)), ranges(3..=5), "one is new, two go later");
        assert_eq!(room.take(8, &ranges(1..=3), Some(&b)), ranges([1]), "the last place");
        assert_eq!(room.take(9, &ranges([1]), Some(&b)), ranges([]));
        assert_eq!(room.take(10, &ranges([1]), None), ranges([]));
        assert_eq!(room.lacking, BTreeMap::from([(Some(&b), 3), (None, 1)]));
    }

    #[test]
    fn removed_ranges_make_room_a_moment_later() {
        let now = Duration::from_secs(7);
        for (after, wake) in [(ranges(1..=2), None), (ranges([1]), Some(now + RETRY))] {
            let installed = Contents { sources: BTreeMap::from([(7, ranges(1..=2))]), ..Contents::default() };
            let mut room = SourceCapacity::beside(&installed, 2);
            assert_eq!(room.take(8, &ranges(5..=6), None), ranges([]));
            let contents = Contents { sources: BTreeMap::from([(7, after)]), ..Contents::default() };
            let (mut clock, mut problems) = (Clock::at(now), Vec::new());
            room.report(&contents, &mut clock, &mut problems);
            assert_eq!(clock.wake(), wake);
            assert_eq!(problems.len(), 1);
            assert!(problems[0].to_string().contains("2 source ranges are left out"), "{}", problems[0]);
        }
    }

    #[test]
    fn installed_ranges_need_no_room() {
        let installed = Contents { sources: BTreeMap::from([(7, ranges(1..=4))]), ..Contents::default() };
        let mut room = SourceCapacity::beside(&installed, 2);
        assert_eq!(room.take(7, &ranges(1..=4), None), ranges(1..=4));
        assert_eq!(room.take(7, &installed.sources[&7], None), ranges(1..=4));
        assert_eq!(room.take(7, &ranges(2..=5), None), ranges(2..=4));
    }
}
