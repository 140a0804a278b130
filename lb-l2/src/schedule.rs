//! The announcements of the addresses that this node announces: one at once, four more within a second, then
//! one now and then.
//!
//! Frames that are due at the same time leave in this order: the first of each address, defences, repeats,
//! keep-alives; within each, what is due first. So of a thousand addresses each is announced once before one
//! is announced twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Duration;

use lb_common::fnv::fnv1a;

use crate::frame::L2FrameKind;

/// The steps of an address on a link: the form of the announcement, and when after the first one. Some hosts
/// miss one, and some follow one form of ARP only.
const STEPS: [(L2FrameKind, Duration); 5] = [
    (L2FrameKind::Announcement, Duration::ZERO),
    (L2FrameKind::AnnouncementReply, Duration::ZERO),
    (L2FrameKind::Announcement, Duration::from_millis(150)),
    (L2FrameKind::AnnouncementReply, Duration::from_millis(400)),
    (L2FrameKind::Announcement, Duration::from_millis(900)),
];

/// An announcement that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The address.
    pub address: IpAddr,
    /// Interface index of the link.
    pub link: u32,
    /// Its form.
    pub kind: L2FrameKind,
    /// When it was due.
    pub due: Duration,
    /// It defends the address.
    pub is_defence: bool,
}

/// The order in which frames leave that are due at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    First,
    Repeat,
    KeepAlive,
}

/// When, in which order of those, and which address on which link.
type QueueKey = (Duration, u64, IpAddr, u32);

/// The schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    keep_alive: Option<Duration>,
    places: BTreeMap<(IpAddr, u32), Place>,
    first: BTreeSet<QueueKey>,
    repeats: BTreeSet<QueueKey>,
    keep_alives: BTreeSet<QueueKey>,
    defences: VecDeque<(IpAddr, u32, Duration)>,
    count: u64,
}

/// An address on a link.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Index in [`STEPS`]; behind them: keep-alives.
    step: usize,
    /// When the first announcement was sent.
    started: Duration,
    urgency: Urgency,
    key: QueueKey,
}

impl Schedule {
    /// Returns an empty schedule with an interval of keep-alives.
    pub const fn new(keep_alive: Option<Duration>) -> Self {
        Self {
            keep_alive,
            places: BTreeMap::new(),
            first: BTreeSet::new(),
            repeats: BTreeSet::new(),
            keep_alives: BTreeSet::new(),
            defences: VecDeque::new(),
            count: 0,
        }
    }

    /// Announces an address on exactly these links from now on: on new ones at once.
    pub fn start(&mut self, address: IpAddr, links: &[u32], now: Duration) {
        for link in self.links_of(address).filter(|link| !links.contains(link)).collect::<Vec<_>>() {
            self.remove(address, link);
        }
        for link in links {
            if !self.places.contains_key(&(address, *link)) {
                self.enqueue(address, *link, 0, now, now);
            }
        }
    }

    /// Announces an address no longer.
    pub fn stop(&mut self, address: IpAddr) {
        for link in self.links_of(address).collect::<Vec<_>>() {
            self.remove(address, link);
        }
    }

    /// Announces an address that this node announces once more on a link.
    pub fn defend(&mut self, address: IpAddr, link: u32, now: Duration) {
        if self.places.contains_key(&(address, link)) {
            self.defences.push_back((address, link, now));
        }
    }

    fn links_of(&self, address: IpAddr) -> impl Iterator<Item = u32> {
        let range = (Bound::Included((address, 0)), Bound::Included((address, u32::MAX)));
        self.places.range(range).map(|((_, link), _)| *link)
    }

    fn queue(&mut self, urgency: Urgency) -> &mut BTreeSet<QueueKey> {
        match urgency {
            Urgency::First => &mut self.first,
            Urgency::Repeat => &mut self.repeats,
            Urgency::KeepAlive => &mut self.keep_alives,
        }
    }

    fn remove(&mut self, address: IpAddr, link: u32) {
        if let Some(place) = self.places.remove(&(address, link)) {
            self.queue(place.urgency).remove(&place.key);
            self.defences.retain(|(other, on, _)| (*other, *on) != (address, link));
        }
    }

    fn enqueue(&mut self, address: IpAddr, link: u32, step: usize, started: Duration, due: Duration) {
        let urgency = match step {
            0 => Urgency::First,
            step if step < STEPS.len() => Urgency::Repeat,
            _ => Urgency::KeepAlive,
        };
        self.count += 1;
        let key = (due, self.count, address, link);
        self.places.insert((address, link), Place { step, started, urgency, key });
        self.queue(urgency).insert(key);
    }

    /// Returns when the most urgent announcement was due, if one is by now, and whether it is more urgent
    /// than a probe.
    pub fn due(&self, now: Duration) -> Option<(Duration, bool)> {
        let is_due = |queue: &BTreeSet<QueueKey>| queue.first().map(|key| key.0).filter(|due| *due <= now);
        let urgent = is_due(&self.first).or_else(|| self.defences.front().map(|(_, _, due)| *due));
        let later = || is_due(&self.repeats).or_else(|| is_due(&self.keep_alives));
        urgent.map(|due| (due, true)).or_else(|| later().map(|due| (due, false)))
    }

    /// Returns the most urgent announcement that is due, and goes on to its next step.
    pub fn poll_announcement(&mut self, now: Duration) -> Option<Announcement> {
        if let Some(found) = self.take(Urgency::First, now) {
            return Some(found);
        }
        if let Some((address, link, due)) = self.defences.pop_front() {
            let kind = L2FrameKind::Announcement;
            return Some(Announcement { address, link, kind, due, is_defence: true });
        }
        self.take(Urgency::Repeat, now).or_else(|| self.take(Urgency::KeepAlive, now))
    }

    fn take(&mut self, urgency: Urgency, now: Duration) -> Option<Announcement> {
        let (due, _, address, link) = *self.queue(urgency).first().filter(|key| key.0 <= now)?;
        let place = *self.places.get(&(address, link))?;
        self.queue(urgency).remove(&place.key);
        let kind = STEPS.get(place.step).map_or(L2FrameKind::Announcement, |(kind, _)| *kind);
        self.advance(address, link, place, now);
        Some(Announcement { address, link, kind, due, is_defence: false })
    }

    /// Puts an address whose announcement leaves now into the queue for the next one.
    fn advance(&mut self, address: IpAddr, link: u32, place: Place, now: Duration) {
        let started = if place.step == 0 { now } else { place.started };
        // IPv6 has one form: the second step would repeat the first.
        let step = if place.step == 0 && address.is_ipv6() { 2 } else { place.step + 1 };
        if let Some((_, after)) = STEPS.get(step) {
            self.enqueue(address, link, step, started, started + *after);
            return;
        }
        let due = self.keep_alive.map(|interval| match place.urgency {
            // On time, it keeps its place in the interval.
            Urgency::KeepAlive => (place.key.0 + interval).max(now + interval / 2),
            _ => now + spread(interval, address),
        });
        match due {
            Some(due) => self.enqueue(address, link, STEPS.len(), started, due),
            // It stays known, without a time.
            None => {
                let key = (Duration::MAX, 0, address, link);
                let place = Place { step: STEPS.len(), started, urgency: Urgency::KeepAlive, key };
                self.places.insert((address, link), place);
            }
        }
    }

    /// Returns when the next announcement is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        let queues = [&self.first, &self.repeats, &self.keep_alives];
        let due = queues.into_iter().filter_map(|queue| queue.first().map(|key| key.0));
        due.chain(self.defences.front().map(|(_, _, due)| *due)).min()
    }
}

/// Returns a part of the interval that differs by address: addresses that were taken over together are not
/// announced again together.
fn spread(interval: Duration, address: IpAddr) -> Duration {
    let hash = match address {
        IpAddr::V4(address) => fnv1a(address.octets()),
        IpAddr::V6(address) => fnv1a(address.octets()),
    };
    // The upper bits of the hash of similar addresses are similar.
    let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    interval * (mixed as u32 + 1) / 0x1_0000
}

#[cfg(test)]
mod tests;
