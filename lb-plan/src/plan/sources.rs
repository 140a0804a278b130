//! Source ranges: which clients each VIP admits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_common::map_table::name;
use lb_common::maps::{VIP_SOURCES, capacity};

use super::Facts;
use super::clock::Clock;
use super::vips::WantedSet;
use crate::contents::{Contents, SourceRange, Sources, VipKey};
use crate::model::ServiceName;
use lb_api::problem::{Problem, Reason};

/// How long what found no room waits for what goes to be gone.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the ranges of ports, whose entries say already whether they have any, and those of addresses.
///
/// A range that finds no room is left out, which keeps its clients out: better than to let all others in.
pub(super) fn admit(
    contents: &mut Contents,
    wanted: &WantedSet<'_>,
    facts: &Facts,
    installed: &Contents,
    clock: &mut Clock,
    problems: &mut Vec<Problem>,
) {
    let mut room = Room::beside(installed, capacity::SOURCES);
    for (key, port) in wanted.ports() {
        if let (Some(vip), Some(sources)) = (contents.vips.get(&key), port.sources) {
            let fitting = room.take(vip.number, sources, Some(port.service));
            put(contents, vip.number, fitting);
        }
    }
    for (address, sources) in of_addresses(wanted, facts) {
        let Some(vip) = contents.vips.get_mut(&VipKey::of_address(address)) else { continue };
        vip.flags |= VIP_SOURCES;
        let number = vip.number;
        let fitting = room.take(number, &sources, None);
        put(contents, number, fitting);
    }
    room.report(contents, clock, problems);
}

fn put(contents: &mut Contents, number: u32, sources: Sources) {
    if !sources.is_empty() {
        contents.sources.insert(number, sources);
    }
}

/// Addresses all of whose ports have ranges, with all of these: whoever may come to none of the ports gets no answer from
/// the address either. Not those that this machine speaks from: what else comes to them is its own.
fn of_addresses(wanted: &WantedSet<'_>, facts: &Facts) -> Vec<(IpAddr, Sources)> {
    let own: BTreeSet<IpAddr> = facts.ways.values().map(|way| way.source).collect();
    let mut addresses: Vec<(IpAddr, Option<Sources>)> = Vec::new();
    // The ports of an address follow each other.
    for (key, port) in wanted.ports() {
        match addresses.last_mut().filter(|(address, _)| *address == key.address) {
            Some((_, all)) => *all = union(all.take(), port.sources),
            None => {
                // Most have none, and need no place here.
                addresses.pop_if(|(_, sources)| sources.is_none());
                addresses.push((key.address, port.sources.cloned()));
            }
        }
    }
    let restricted = addresses.into_iter().filter_map(|(address, sources)| Some((address, sources?)));
    restricted.filter(|(address, _)| !own.contains(address)).collect()
}

/// `None` admits everybody.
fn union(all: Option<Sources>, more: Option<&Sources>) -> Option<Sources> {
    let (all, more) = (all?, more?);
    if all == *more { Some(all) } else { Some(all.union(more).copied().collect()) }
}

fn entries(contents: &Contents) -> usize {
    contents.sources.values().map(|sources| sources.len()).sum()
}

/// Room in the map, while what goes has not gone yet.
struct Room<'a> {
    installed: &'a Contents,
    capacity: usize,
    free: usize,
    /// Ranges of Services, or of addresses, that found none.
    lacking: BTreeMap<Option<&'a ServiceName>, usize>,
}

impl<'a> Room<'a> {
    fn beside(installed: &'a Contents, capacity: usize) -> Self {
        Self {
            installed,
            capacity,
            free: capacity.saturating_sub(entries(installed)),
            lacking: BTreeMap::new(),
        }
    }

    /// Those ranges that are installed or find room.
    fn take(&mut self, number: u32, wanted: &Sources, service: Option<&'a ServiceName>) -> Sources {
        let before = self.installed.sources.get(&number);
        if before.is_some_and(|before| before.is_same(wanted)) {
            return wanted.clone();
        }
        let is_there = |range: &SourceRange| before.is_some_and(|before| before.contains(range));
        let new = wanted.iter().filter(|range| !is_there(range)).count();
        let fitting = new.min(self.free);
        self.free -= fitting;
        if fitting == new {
            return wanted.clone();
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
        wanted.iter().filter(|range| fits(range)).copied().collect()
    }

    fn report(self, contents: &Contents, clock: &mut Clock, problems: &mut Vec<Problem>) {
        if !self.lacking.is_empty() && entries(contents) < self.capacity {
            clock.await_end(clock.now(), RETRY);
        }
        for (service, lacking) in self.lacking {
            let reason = Reason::SourcesFull { map: name::SOURCES, capacity: self.capacity, lacking };
            let object = service.map(ServiceName::reference);
            problems.push(Problem { object, ..Problem::general(reason) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;

    fn ranges(hosts: impl IntoIterator<Item = u8>) -> Sources {
        let net = |host| IpNet::from(IpAddr::from([10, 0, 0, host]));
        hosts.into_iter().map(|host| SourceRange::from(net(host))).collect()
    }

    fn name(name: &str) -> ServiceName {
        ServiceName { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_counted_by_service() {
        let installed = Contents { sources: BTreeMap::from([(7, ranges(1..=4))]), ..Contents::default() };
        let (a, b) = (name("a"), name("b"));
        let mut room = Room::beside(&installed, 6);
        assert_eq!(room.take(7, &ranges(3..=5), Some(&a)), ranges(3..=5), "one is new, two go later");
        assert_eq!(room.take(8, &ranges(1..=3), Some(&b)), ranges([1]), "the last place");
        assert_eq!(room.take(9, &ranges([1]), Some(&b)), ranges([]));
        assert_eq!(room.take(10, &ranges([1]), None), ranges([]));
        assert_eq!(room.lacking, BTreeMap::from([(Some(&b), 3), (None, 1)]));
    }

    #[test]
    fn what_goes_makes_room_a_moment_later() {
        let now = Duration::from_secs(7);
        for (after, wake) in [(ranges(1..=2), None), (ranges([1]), Some(now + RETRY))] {
            let installed = Contents { sources: BTreeMap::from([(7, ranges(1..=2))]), ..Contents::default() };
            let mut room = Room::beside(&installed, 2);
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
    fn what_is_installed_needs_no_room() {
        let installed = Contents { sources: BTreeMap::from([(7, ranges(1..=4))]), ..Contents::default() };
        let mut room = Room::beside(&installed, 2);
        assert_eq!(room.take(7, &ranges(1..=4), None), ranges(1..=4));
        assert_eq!(room.take(7, &installed.sources[&7], None), ranges(1..=4));
        assert_eq!(room.take(7, &ranges(2..=5), None), ranges(2..=4));
    }
}
