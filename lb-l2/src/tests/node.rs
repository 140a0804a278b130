//! The engine of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_common::maps::{LIVENESS_ADMIN_DOWN, LIVENESS_HOLDS_THIS, Liveness, RANKS, Standing};
use lb_common::ring::{NO_NODE, NodeIndex};
use proptest::prelude::*;

use super::cluster::ms;
use crate::claim::{Claim, read_claim};
use crate::engine::{Engine, EngineSettings, OutgoingFrame, OwnState};
use crate::event::{L2Event, StandingReason};
use crate::frame::{L2Frame, L2FrameKind};
use crate::table::{L2Address, L2Table};
use crate::view::AddressPhase;

const OWN: NodeIndex = 0;
const LINK: u32 = 3;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NODE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const SETTINGS: EngineSettings = EngineSettings {
    keep_alive: Some(Duration::from_secs(30)),
    rate: 2000,
    preempt_after: Some(Duration::from_secs(60)),
    check: true,
    detection: Duration::from_millis(150),
};
const ABLE: OwnState = OwnState { is_draining: false, can_announce: true };

fn vip(last: u32) -> IpAddr {
    IpAddr::V4((0xc000_0200 + last).into())
}

fn ranks(nodes: &[NodeIndex]) -> [NodeIndex; RANKS] {
    std::array::from_fn(|rank| nodes.get(rank).copied().unwrap_or(NO_NODE))
}

fn known(nodes: &[NodeIndex]) -> L2Address {
    L2Address { ranks: ranks(nodes), links: vec![LINK], is_known: true }
}

fn new(nodes: &[NodeIndex]) -> L2Address {
    L2Address { is_known: false, ..known(nodes) }
}

fn table(addresses: impl IntoIterator<Item = (IpAddr, L2Address)>) -> Arc<L2Table> {
    Arc::new(L2Table {
        own: OWN,
        addresses: addresses.into_iter().collect(),
        links: [(LINK, MAC)].into(),
        node_macs: [MAC, NODE_MAC].into(),
        probed: [1, 2].into(),
    })
}

fn said(standing: Standing) -> Option<Liveness> {
    Some(Liveness { last_seen: 0, state: Liveness::standing_bits(standing) })
}

/// A node and the two others as it sees them.
struct Node {
    engine: Engine,
    own: OwnState,
    others: [Option<Liveness>; 3],
}

impl Node {
    fn new(adopted: Standing, table: Arc<L2Table>) -> Self {
        let mut engine = Engine::new(SETTINGS, adopted, ms(0));
        engine.set_table(table, ms(0));
        let others = [None, said(Standing::Stable), said(Standing::Stable)];
        Self { engine, own: ABLE, others }
    }

    fn tick(&mut self, now: u64) -> Vec<OutgoingFrame> {
        self.engine.handle_states(self.own, |node| self.others[usize::from(node)], ms(now));
        std::iter::from_fn(|| self.engine.poll_frame(ms(now))).collect()
    }

    /// Ticks every millisecond; returns what was sent, with its time.
    fn run(&mut self, from: u64, to: u64) -> Vec<(u64, L2Frame)> {
        (from..to).flat_map(|now| self.tick(now).into_iter().map(move |it| (now, it.frame))).collect()
    }

    fn phase(&self, address: IpAddr) -> AddressPhase {
        self.engine.view(ms(0)).addresses[&address].phase
    }

    fn claim(&mut self, address: IpAddr, mac: [u8; 6], now: u64) {
        self.engine.handle_claim(LINK, Claim { address, mac, is_probe: false }, ms(now));
    }
}

fn frame(kind: L2FrameKind, last: u32) -> L2Frame {
    L2Frame::new(kind, MAC, vip(last))
}

#[test]
fn the_addresses_of_a_dead_node_are_announced_at_once() {
    let mut node =
        Node::new(Standing::Stable, table([(vip(1), known(&[1, OWN])), (vip(2), known(&[1, 2, OWN]))]));
    assert!(node.run(0, 1000).is_empty());
    assert_eq!(node.phase(vip(1)), AddressPhase::Standby);
    node.others[1] = None;
    let sent = node.run(1000, 1010);
    let expected =
        [L2FrameKind::Announcement, L2FrameKind::AnnouncementReply].map(|kind| (1000, frame(kind, 1)));
    assert_eq!(sent, expected);
    assert_eq!(node.run(1010, 2500).len(), 3);
    assert_eq!(node.engine.take_events(), [L2Event::TookOver { address: vip(1), from: Some(1) }]);
    let view = &node.engine.view(ms(3000)).addresses[&vip(1)];
    assert_eq!((view.announcer, view.phase, view.takeovers), (OWN, AddressPhase::Announcing, 1));
    assert_eq!((view.since, view.announcements), (ms(2000), 5));
    assert_eq!(view.last_announcement, Some(ms(1100)));
}

#[test]
fn an_address_is_given_up_when_a_better_node_is_there_again() {
    let mut node = Node::new(Standing::Stable, table([(vip(1), known(&[1, OWN]))]));
    node.others[1] = said(Standing::Returned);
    assert_eq!(node.run(0, 50).len(), 2);
    node.others[1] = said(Standing::Stable);
    assert!(node.run(50, 5000).is_empty());
    let expected =
        [L2Event::TookOver { address: vip(1), from: None }, L2Event::GaveUp { address: vip(1), to: Some(1) }];
    assert_eq!(node.engine.take_events(), expected);
}

#[test]
fn an_address_that_leaves_the_table_is_not_announced_again() {
    let mut node = Node::new(Standing::Stable, table([(vip(1), known(&[OWN]))]));
    node.tick(0);
    node.engine.take_events();
    node.engine.set_table(table([]), ms(1));
    assert_eq!(node.engine.poll_frame(ms(500)), None);
    assert_eq!(node.engine.take_events(), [L2Event::GaveUp { address: vip(1), to: None }]);
    assert!(node.engine.checked().is_empty() && node.engine.view(ms(1)).addresses.is_empty());
}

#[test]
fn a_new_address_is_announced_after_its_check() {
    let mut node = Node::new(Standing::Stable, table([(vip(1), new(&[OWN])), (vip(2), new(&[1, OWN]))]));
    let sent = node.run(0, 601);
    let probes: Vec<u64> =
        sent.iter().filter(|(_, it)| *it == frame(L2FrameKind::Probe, 1)).map(|(at, _)| *at).collect();
    assert_eq!(probes, [0, 200, 400]);
    assert_eq!(sent.last(), Some(&(600, frame(L2FrameKind::AnnouncementReply, 1))));
    assert_eq!(*node.engine.checked(), BTreeSet::from([vip(1)]));
    let expected = [L2Event::Free { address: vip(1) }, L2Event::TookOver { address: vip(1), from: None }];
    assert_eq!(node.engine.take_events(), expected);
    node.claim(vip(2), NODE_MAC, 601);
    assert_eq!(*node.engine.checked(), BTreeSet::from([vip(1), vip(2)]), "another node announces it");
    assert_eq!(node.phase(vip(1)), AddressPhase::Announcing);
}

#[test]
fn an_address_that_a_stranger_uses_is_not_announced() {
    let mut node = Node::new(Standing::Stable, table([(vip(1), new(&[OWN]))]));
    node.run(0, 100);
    assert_eq!(node.phase(vip(1)), AddressPhase::Checking);
    node.claim(vip(1), NODE_MAC, 100);
    assert_eq!(node.phase(vip(1)), AddressPhase::Checking);
    node.claim(vip(1), STRANGER, 100);
    assert_eq!(node.phase(vip(1)), AddressPhase::Conflict);
    let conflict = L2Event::Conflict { address: vip(1), mac: STRANGER, link: LINK };
    assert_eq!(node.engine.take_events(), [conflict]);
    assert!(node.run(100, 30_100).is_empty() && node.engine.checked().is_empty());
    assert_eq!(node.engine.view(ms(200)).addresses[&vip(1)].strangers.len(), 1);
    // It has gone meanwhile.
    assert_eq!(node.run(30_100, 30_701).len(), 5);
    assert_eq!(node.phase(vip(1)), AddressPhase::Announcing);
}

#[test]
fn an_address_is_defended_against_a_stranger_once_in_ten_seconds() {
    let mut node = Node::new(Standing::Stable, table([(vip(1), known(&[OWN])), (vip(2), known(&[1, OWN]))]));
    node.run(0, 2000);
    node.engine.take_events();
    let mut sent = 0;
    // A keep-alive comes meanwhile.
    let keep_alives = 1;
    for now in 2000..13_000 {
        node.claim(vip(1), STRANGER, now);
        node.claim(vip(2), STRANGER, now);
        node.claim(vip(1), NODE_MAC, now);
        node.claim(vip(3), STRANGER, now);
        node.engine.handle_claim(
            LINK,
            Claim { address: vip(1), mac: [2, 8, 0, 0, 0, 0], is_probe: true },
            ms(now),
        );
        sent += node.tick(now).len();
    }
    assert_eq!((sent - keep_alives, node.engine.view(ms(0)).counters.defended), (2, 2));
    let expected = [1, 2].map(|last| L2Event::StrangerSeen { address: vip(last), mac: STRANGER, link: LINK });
    assert_eq!(node.engine.take_events(), expected);
}

#[test]
fn an_absent_node_announces_nothing() {
    let mut node = Node::new(Standing::Stable, table([(vip(1), known(&[OWN]))]));
    assert_eq!(node.run(0, 2000).len(), 5);
    node.own.can_announce = false;
    assert!(node.run(2000, 100_000).is_empty());
    let why = StandingReason::CannotAnnounce;
    let change = L2Event::StandingChanged { from: Standing::Stable, to: Standing::Absent, why };
    assert!(node.engine.take_events().contains(&change));
    assert_eq!(node.phase(vip(1)), AddressPhase::Standby);
}

#[test]
fn an_adopted_standing_is_kept_until_the_first_table() {
    let mut engine = Engine::new(SETTINGS, Standing::Stable, ms(0));
    engine.handle_states(OwnState { is_draining: false, can_announce: false }, |_| None, ms(5));
    engine.set_table(table([(vip(1), known(&[1, OWN]))]), ms(10));
    engine.handle_states(ABLE, |_| said(Standing::Stable), ms(10));
    assert_eq!((engine.standing(), engine.take_events()), (Standing::Stable, vec![]));
}

#[test]
fn a_node_that_has_not_resolved_the_others_does_not_take_their_addresses_at_once() {
    let unprobed = L2Table { probed: BTreeSet::new(), ..(*table([(vip(1), known(&[OWN, 1]))])).clone() };
    let mut node = Node::new(Standing::Absent, Arc::new(unprobed));
    node.others = [None; 3];
    assert!(node.run(0, 100).is_empty());
    node.others[1] = said(Standing::Stable);
    assert!(node.run(100, 1000).is_empty());
    assert_eq!(node.engine.standing(), Standing::Returned);
}

#[test]
fn a_node_that_does_not_check_may_answer_for_all_addresses() {
    let mut engine = Engine::new(EngineSettings { check: false, ..SETTINGS }, Standing::Absent, ms(0));
    engine.set_table(table([(vip(1), new(&[1])), (vip(2), new(&[OWN]))]), ms(0));
    assert_eq!(*engine.checked(), BTreeSet::from([vip(1), vip(2)]));
}

#[test]
fn survivors_announce_a_thousand_addresses_within_half_a_second_and_stay_below_the_rate() {
    let (all, survivors) = (1000u32, 4u16);
    let address = |k: u32| match k % 2 {
        0 => vip(k),
        _ => IpAddr::V6(((0x2001_0db8 << 96) + u128::from(k)).into()),
    };
    let mut times = Vec::new();
    let mut first: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for own in 0..survivors {
        let entry = |k: u32| (address(k), known(&[survivors, (k as u16 / 2 + own) % survivors]));
        let table = L2Table { probed: (1..=survivors).collect(), ..(*table((0..all).map(entry))).clone() };
        let mut engine = Engine::new(SETTINGS, Standing::Stable, ms(0));
        engine.set_table(Arc::new(table), ms(0));
        for now in 0..10_000 {
            let is_live = |node: NodeIndex| node != survivors || now < 1000;
            engine.handle_states(ABLE, |node| said(Standing::Stable).filter(|_| is_live(node)), ms(now));
            while let Some(sent) = engine.poll_frame(ms(now)) {
                times.push(now);
                let claim = read_claim(sent.frame.as_bytes()).unwrap();
                first.entry(claim.address).or_insert(now);
            }
        }
    }
    assert_eq!(first.len(), all as usize);
    assert!(first.values().all(|at| (1000..=1500).contains(at)), "{:?}", first.values().max());
    times.sort_unstable();
    for (place, at) in times.iter().enumerate() {
        let within = times[place..].iter().take_while(|other| **other < at + 1000).count();
        assert!(within <= 2000, "{within} from {at}");
    }
}

#[test]
fn a_tick_in_which_nothing_has_changed_is_cheap() {
    let mut node = Node::new(Standing::Stable, table((0..5000).map(|k| (vip(k), known(&[1, OWN])))));
    node.tick(0);
    // With a look at each address, these would be hundreds of millions of steps.
    for now in 1..50_000 {
        node.engine.handle_states(node.own, |other| node.others[usize::from(other)], ms(now));
    }
}

fn liveness() -> impl Strategy<Value = Option<Liveness>> {
    let state = (0u32..4, any::<bool>(), any::<bool>()).prop_map(|(standing, is_draining, holds)| {
        let bits = Liveness::standing_bits(Standing::from_number(standing));
        let holds = if holds { LIVENESS_HOLDS_THIS } else { 0 };
        let state = bits | holds | if is_draining { LIVENESS_ADMIN_DOWN } else { 0 };
        Liveness { last_seen: 0, state }
    });
    proptest::option::of(state)
}

proptest! {
    #[test]
    fn a_frame_is_only_sent_for_an_address_of_this_node(
        adopted in 0u32..4,
        check: bool,
        orders in proptest::collection::vec(Just(vec![0u16, 1, 2]).prop_shuffle(), 1..20),
        steps in proptest::collection::vec(
            (0u64..2000, [liveness(), liveness()], 0u32..16, any::<u8>(), 0usize..20), 1..60),
    ) {
        let all = orders.iter().zip(0..).map(|(order, k)| (vip(k), if check { new(order) } else { known(order) }));
        let all: BTreeMap<IpAddr, L2Address> = all.collect();
        let mut node = Node::new(Standing::from_number(adopted), table(all.clone()));
        let mut now = 0;
        for (step, [first, second], own, claimed, missing) in steps {
            now += step;
            node.others = [None, first, second];
            node.own = OwnState { is_draining: own == 0, can_announce: own > 1 };
            if own == 2 {
                node.engine.set_table(table(all.clone().into_iter().skip(missing)), ms(now));
            }
            node.claim(vip((claimed % 24).into()), [2, 0, 0, 1, 0, claimed / 24], now);
            for sent in node.tick(now) {
                let view = node.engine.view(ms(now));
                let claim = read_claim(sent.frame.as_bytes()).unwrap();
                let address = &view.addresses[&claim.address];
                let expected =
                    if claim.is_probe { AddressPhase::Checking } else { AddressPhase::Announcing };
                prop_assert_eq!(address.announcer, OWN);
                prop_assert!(view.standing != Standing::Absent);
                let is_rechecked = claim.is_probe && address.phase == AddressPhase::Conflict;
                prop_assert!(address.phase == expected || is_rechecked);
                let is_checked = node.engine.checked().contains(&claim.address);
                prop_assert_eq!(is_checked, !claim.is_probe);
            }
        }
    }
}
