//! Two sessions on one clock, over an unreliable link.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Polling interval of the driver.
const TICK: Duration = Duration::from_millis(1);

/// The link: each list is used cyclically.
#[derive(Clone, Debug)]
struct Link {
    /// Delay in microseconds.
    delays: Vec<u64>,
    /// Losses, until `loss_ends`.
    losses: Vec<bool>,
    loss_ends: Duration,
    /// Whether packets may be reordered.
    overtakes: bool,
}

struct Pair {
    sessions: [Session; 2],
    link: Link,
    /// Ordered by arrival, then by number: receiver and packet.
    in_flight: BTreeMap<(Duration, usize), (usize, [u8; bfd::LENGTH])>,
    count: usize,
    latest: [Duration; 2],
    now: Duration,
    changes: Vec<(usize, StateChange)>,
}

impl Pair {
    fn new(profiles: [SessionProfile; 2], link: Link) -> Self {
        let session = |side: u32, profile| {
            let local = Discriminator::new(side + 1).unwrap();
            Session::new(SessionConfig { local, ..config(profile) }, side.into(), ms(0))
        };
        let [first, second] = profiles;
        Self {
            sessions: [session(0, first), session(1, second)],
            link,
            in_flight: BTreeMap::new(),
            count: 0,
            latest: [ms(0); 2],
            now: ms(0),
            changes: Vec::new(),
        }
    }

    fn run(&mut self, until: Duration) {
        while self.now < until {
            self.now += TICK;
            while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((at, _), (to, bytes)) = entry.remove_entry();
                // The first packet may carry a discriminator that its receiver has cleared: not an error.
                let _ = self.sessions[to].handle_packet(&ReceivedPacket { bytes: &bytes, ttl: 255, at });
            }
            for side in 0..2 {
                self.sessions[side].handle_time(self.now);
                while let Some(bytes) = self.sessions[side].poll_packet(self.now) {
                    self.send(1 - side, bytes);
                }
                self.changes
                    .extend(std::iter::from_fn(|| self.sessions[side].poll_change()).map(|it| (side, it)));
            }
        }
    }

    fn send(&mut self, to: usize, bytes: [u8; bfd::LENGTH]) {
        self.count += 1;
        let Link { delays, losses, loss_ends, overtakes } = &self.link;
        if self.now < *loss_ends && losses[self.count % losses.len()] {
            return;
        }
        let mut arrival = self.now + Duration::from_micros(delays[self.count % delays.len()]);
        if !overtakes {
            arrival = arrival.max(self.latest[to]);
        }
        self.latest[to] = arrival;
        self.in_flight.insert((arrival, self.count), (to, bytes));
    }

    fn are_up(&self) -> bool {
        self.sessions.iter().all(|session| session.state() == BfdState::Up)
    }

    fn detections(&self) -> usize {
        let timed_out = |change: &StateChange| change.diagnostic == Diagnostic::DetectionTimeExpired;
        self.changes.iter().filter(|(_, change)| change.from == BfdState::Up && timed_out(change)).count()
    }
}

fn profiles(multipliers: std::ops::Range<u8>) -> impl Strategy<Value = SessionProfile> {
    let interval = || prop::sample::select(vec![20, 50, 100, 300, 1000]);
    (interval(), interval(), multipliers).prop_map(|(transmit, receive, multiplier)| SessionProfile {
        transmit: ms(transmit),
        receive: ms(receive),
        multiplier,
        ..SessionProfile::default()
    })
}

/// Changes of profile: time, side, profile.
fn changes(
    multipliers: std::ops::Range<u8>,
) -> impl Strategy<Value = BTreeMap<u64, (usize, SessionProfile)>> {
    prop::collection::btree_map(0..12_000_u64, (0..2_usize, profiles(multipliers)), 0..6)
}

fn both(multipliers: std::ops::Range<u8>) -> impl Strategy<Value = [SessionProfile; 2]> {
    [profiles(multipliers.clone()), profiles(multipliers)]
}

fn change(pair: &mut Pair, changes: &BTreeMap<u64, (usize, SessionProfile)>) {
    for (at, (side, profile)) in changes {
        pair.run(ms(*at));
        let now = pair.now;
        pair.sessions[*side].set_profile(*profile, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_settle_up_once_the_loss_ends(
        profiles in both(1..6),
        changes in changes(1..6),
        delays in prop::collection::vec(0..15_000_u64, 1..40),
        losses in prop::collection::vec(prop::bool::weighted(0.5), 1..40),
    ) {
        let link = Link { delays, losses, loss_ends: ms(12_000), overtakes: true };
        let mut pair = Pair::new(profiles, link);
        change(&mut pair, &changes);
        // From here on, no loss and no reordering: twenty seconds are many detection times.
        pair.run(ms(12_000));
        pair.link = Link { delays: vec![500], losses: vec![false], loss_ends: ms(0), overtakes: false };
        pair.run(ms(32_000));
        prop_assert!(pair.are_up());
        let before = pair.changes.len();
        pair.run(ms(52_000));
        prop_assert!(pair.are_up());
        prop_assert_eq!(pair.changes.len(), before);
        for session in &pair.sessions {
            let (own, other) = (session.config.profile, pair.sessions.iter().find(|it| it.config.local != session.config.local));
            let other = other.unwrap().config.profile;
            let view = session.view();
            prop_assert_eq!(view.transmit_interval, own.transmit.max(other.receive));
            let expected = own.receive.max(other.transmit) * u32::from(other.multiplier);
            prop_assert_eq!(view.detection_time, expected);
        }
    }

    #[test]
    fn no_session_goes_down_while_packets_arrive_in_time(
        profiles in both(2..6),
        changes in changes(2..6),
        delays in prop::collection::vec(0..8000_u64, 1..40),
    ) {
        let link = Link { delays, losses: vec![false], loss_ends: ms(0), overtakes: false };
        let mut pair = Pair::new(profiles, link);
        change(&mut pair, &changes);
        pair.run(ms(20_000));
        prop_assert!(pair.are_up());
        prop_assert_eq!(pair.detections(), 0, "{:?}", pair.changes);
    }

    #[test]
    fn a_silent_peer_is_detected_within_the_detection_time(
        profiles in both(1..6),
        delays in prop::collection::vec(0..500_u64, 1..40),
        silent_at in 8000..12_000_u64,
    ) {
        let link = Link { delays, losses: vec![false], loss_ends: ms(0), overtakes: false };
        let mut pair = Pair::new(profiles, link);
        pair.run(ms(silent_at));
        prop_assert!(pair.are_up());
        let expected = [0, 1].map(|side| pair.sessions[side].detection_deadline().unwrap());
        // Packets in flight are lost, too.
        pair.in_flight.clear();
        pair.link = Link { losses: vec![true], loss_ends: Duration::MAX, ..pair.link };
        let before = pair.changes.len();
        pair.run(ms(silent_at + 6000));
        for (side, deadline) in expected.into_iter().enumerate() {
            let change = pair.changes[before..].iter().find(|(it, _)| *it == side).expect("a state change").1;
            prop_assert_eq!(change.diagnostic, Diagnostic::DetectionTimeExpired);
            prop_assert!((deadline..=deadline + TICK).contains(&change.at), "{:?} {deadline:?}", change);
        }
    }
}

#[test]
fn both_go_down_on_a_cut_and_recover_afterwards() {
    let link = Link { delays: vec![200], losses: vec![false], loss_ends: ms(0), overtakes: false };
    let mut pair = Pair::new([profile(10), profile(300)], link);
    pair.run(ms(5000));
    assert!(pair.are_up());
    pair.link.losses = vec![true];
    pair.link.loss_ends = ms(8000);
    pair.run(ms(8000));
    assert!(pair.sessions.iter().all(|session| session.state() == BfdState::Down));
    pair.run(ms(12_000));
    assert!(pair.are_up());
}

#[test]
fn a_session_returns_from_admin_down_with_its_intervals() {
    let link = Link { delays: vec![200], losses: vec![false], loss_ends: ms(0), overtakes: false };
    let mut pair = Pair::new([profile(50), profile(50)], link);
    pair.run(ms(3000));
    pair.sessions[1].set_admin_down(true, ms(3000));
    pair.run(ms(6000));
    assert_eq!([0, 1].map(|side| pair.sessions[side].state()), [BfdState::Down, BfdState::AdminDown]);
    pair.sessions[1].set_admin_down(false, ms(6000));
    pair.run(ms(7500));
    assert!(pair.are_up());
    let views = pair.sessions.each_ref().map(Session::view);
    assert_eq!(views.each_ref().map(|view| view.transmit_interval), [ms(50); 2]);
    assert_eq!(views.map(|view| view.detection_time), [ms(150); 2]);
    assert!(pair.sessions.iter().all(|session| !session.timer.is_polling()));
}

#[test]
fn coming_up_takes_few_packets() {
    let link = Link { delays: vec![200], losses: vec![false], loss_ends: ms(0), overtakes: false };
    let mut pair = Pair::new([profile(1000), profile(1000)], link);
    pair.run(ms(700));
    assert!(pair.are_up(), "no packet waits for the slow interval");
    assert!(pair.count <= 10, "{} packets", pair.count);
}
