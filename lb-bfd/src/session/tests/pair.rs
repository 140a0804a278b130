//! Two machines on one clock, and what lies between them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// How often a driver looks.
const TICK: Duration = Duration::from_millis(1);

/// What lies between: numbers, used one after the other, round and round.
#[derive(Clone, Debug)]
struct Link {
    /// Microseconds under way.
    delays: Vec<u64>,
    /// Whether a packet is lost, until the loss ends.
    losses: Vec<bool>,
    loss_ends: Duration,
    /// Whether one packet may overtake another.
    overtakes: bool,
}

struct Pair {
    sessions: [Session; 2],
    link: Link,
    /// By arrival, and by order among those that arrive together: for whom, and what.
    under_way: BTreeMap<(Duration, usize), (usize, [u8; bfd::LENGTH])>,
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
            under_way: BTreeMap::new(),
            count: 0,
            latest: [ms(0); 2],
            now: ms(0),
            changes: Vec::new(),
        }
    }

    fn run(&mut self, until: Duration) {
        while self.now < until {
            self.now += TICK;
            while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((at, _), (to, bytes)) = entry.remove_entry();
                // A first packet may name a session that its receiver has forgotten: that is no fault.
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
        self.under_way.insert((arrival, self.count), (to, bytes));
    }

    fn are_up(&self) -> bool {
        self.sessions.iter().all(|session| session.state() == BfdState::Up)
    }

    fn deaths(&self) -> usize {
        let died = |change: &StateChange| change.diagnostic == Diagnostic::DetectionTimeExpired;
        self.changes.iter().filter(|(_, change)| change.from == BfdState::Up && died(change)).count()
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

/// Changes of profile: when, on which side, to what.
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
    fn they_settle_up_once_the_loss_ends(
        profiles in both(1..6),
        changes in changes(1..6),
        delays in prop::collection::vec(0..15_000_u64, 1..40),
        losses in prop::collection::vec(prop::bool::weighted(0.5), 1..40),
    ) {
        let link = Link { delays, losses, loss_ends: ms(12_000), overtakes: true };
        let mut pair = Pair::new(profiles, link);
        change(&mut pair, &changes);
        // From here on nothing is lost, and nothing overtakes: twenty seconds are many detection times.
        pair.run(ms(12_000));
        pair.link = Link { delays: vec![500], losses: vec![false], loss_ends: ms(0), overtakes: false };
        pair.run(ms(32_000));
        prop_assert!(pair.are_up());
        let told = pair.changes.len();
        pair.run(ms(52_000));
        prop_assert!(pair.are_up());
        prop_assert_eq!(pair.changes.len(), told);
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
    fn nobody_is_found_dead_who_is_heard_in_time(
        profiles in both(2..6),
        changes in changes(2..6),
        delays in prop::collection::vec(0..8000_u64, 1..40),
    ) {
        let link = Link { delays, losses: vec![false], loss_ends: ms(0), overtakes: false };
        let mut pair = Pair::new(profiles, link);
        change(&mut pair, &changes);
        pair.run(ms(20_000));
        prop_assert!(pair.are_up());
        prop_assert_eq!(pair.deaths(), 0, "{:?}", pair.changes);
    }

    #[test]
    fn a_neighbor_that_falls_silent_is_dead_within_the_negotiated_time(
        profiles in both(1..6),
        delays in prop::collection::vec(0..500_u64, 1..40),
        silent_at in 8000..12_000_u64,
    ) {
        let link = Link { delays, losses: vec![false], loss_ends: ms(0), overtakes: false };
        let mut pair = Pair::new(profiles, link);
        pair.run(ms(silent_at));
        prop_assert!(pair.are_up());
        let expected = [0, 1].map(|side| pair.sessions[side].detection_deadline().unwrap());
        // What is under way is lost with the rest.
        pair.under_way.clear();
        pair.link = Link { losses: vec![true], loss_ends: Duration::MAX, ..pair.link };
        let told = pair.changes.len();
        pair.run(ms(silent_at + 6000));
        for (side, deadline) in expected.into_iter().enumerate() {
            let died = pair.changes[told..].iter().find(|(it, _)| *it == side).expect("a death").1;
            prop_assert_eq!(died.diagnostic, Diagnostic::DetectionTimeExpired);
            prop_assert!((deadline..=deadline + TICK).contains(&died.at), "{:?} {deadline:?}", died);
        }
    }
}

#[test]
fn a_cut_ends_both_and_its_mending_brings_both_back() {
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
fn one_that_was_held_down_comes_back_as_fast_as_before() {
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
fn two_that_come_up_take_a_second_or_two_and_few_packets() {
    let link = Link { delays: vec![200], losses: vec![false], loss_ends: ms(0), overtakes: false };
    let mut pair = Pair::new([profile(1000), profile(1000)], link);
    pair.run(ms(700));
    assert!(pair.are_up(), "no packet has to wait for the slow pace");
    assert!(pair.count <= 10, "{} packets", pair.count);
}
