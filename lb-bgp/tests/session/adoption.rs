//! A session that another process continues.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lb_bgp::codec::{self, Decoding, Encoding, family_of};
use lb_bgp::message::{Message, Open};
use lb_bgp::session::{
    AdoptError, BgpState, CloseReason, ConnectionDirection, Handover, NextHops, Peer, PeerAction, PeerConfig,
    RefusedCapabilities, Routes,
};
use lb_bgp::value::{AddressFamily, Asn, Attributes, HoldTime, LargeCommunity, StandardCommunity};
use proptest::prelude::*;

use crate::pair;
use crate::rib::{Rib, prefix};
use crate::router::{graceful_open, open};

const OUTGOING: ConnectionDirection = ConnectionDirection::Outgoing;
const FAMILIES: [AddressFamily; 2] = [AddressFamily::Ipv4, AddressFamily::Ipv6];

/// Kinds of sessions that encode UPDATEs differently.
#[derive(Clone, Copy, Debug)]
enum SessionKind {
    External,
    Internal,
    /// IPv4 routes have IPv6 next hops (RFC 8950), and messages are long (RFC 8654).
    Extended,
    /// The router has two-octet AS numbers.
    TwoOctet,
}

impl SessionKind {
    fn config(self) -> PeerConfig {
        match self {
            Self::External => pair::config(65001, 65002, 1),
            Self::Internal => pair::config(65002, 65002, 1),
            Self::Extended => PeerConfig { next_hops: NextHops::default(), ..pair::config(65001, 65002, 1) },
            Self::TwoOctet => pair::config(400_000, 65002, 1),
        }
    }

    fn open(self) -> Open {
        let mut open = open();
        open.capabilities.four_octet_asn = !matches!(self, Self::TwoOctet);
        open.capabilities.extended_next_hop = matches!(self, Self::Extended);
        open.capabilities.extended_message = matches!(self, Self::Extended);
        open
    }

    fn addresses(self) -> (SocketAddr, SocketAddr) {
        let [local, remote] = match self {
            Self::Extended => ["[2001:db8::1]:179", "[2001:db8::2]:40000"],
            _ => ["192.0.2.1:179", "192.0.2.2:40000"],
        };
        (local.parse().unwrap(), remote.parse().unwrap())
    }
}

/// A node whose octets are recorded, and the router at the other end.
struct Session {
    kind: SessionKind,
    node: Peer,
    now: Duration,
    handover: Handover,
    snapshot: Vec<u8>,
    /// The messages since the snapshot.
    stream: Vec<Vec<u8>>,
}

impl Session {
    fn established(kind: SessionKind, direction: ConnectionDirection) -> Self {
        Self::with_open(kind, kind.config(), kind.open(), direction)
    }

    fn with_open(kind: SessionKind, config: PeerConfig, open: Open, direction: ConnectionDirection) -> Self {
        let now = Duration::ZERO;
        let mut node = Peer::new(config, 1, now);
        let (local, remote) = kind.addresses();
        assert!(node.handle_connected(direction, local, remote, now));
        for message in [Message::Open(open), Message::Keepalive] {
            node.poll_bytes(direction, now).unwrap();
            node.handle_sent(direction, now);
            node.handle_bytes(direction, &encoded(&message), now);
        }
        assert_eq!(node.state(), BgpState::Established);
        let handover = node.handover(now).unwrap();
        Self { kind, node, now, handover, snapshot: Vec::new(), stream: Vec::new() }
    }

    fn direction(&self) -> ConnectionDirection {
        self.handover.session.direction
    }

    /// Sends one chunk.
    fn poll(&mut self) {
        if let Some(octets) = self.node.poll_bytes(self.direction(), self.now) {
            self.node.handle_sent(self.direction(), self.now);
            self.stream.extend(messages(&octets));
        }
    }

    fn poll_all(&mut self) {
        while !self.stream_is_complete() {
            self.poll();
        }
    }

    fn stream_is_complete(&self) -> bool {
        let view = self.node.view(self.now);
        view.families.values().all(|family| family.pending == 0 && family.end_of_rib)
    }

    /// Replaces the record by a shorter one.
    fn compact(&mut self) {
        self.snapshot = self.node.sent_snapshot();
        self.stream.clear();
        self.handover = self.node.handover(self.now).unwrap();
    }

    fn sent(&self, count: usize) -> Vec<u8> {
        [self.snapshot.clone(), self.stream[..count].concat()].concat()
    }

    /// Returns what the router has after these octets.
    fn router(&self, sent: &[u8]) -> Rib {
        let mut rib = Rib::default();
        for message in messages(sent) {
            self.read(&message, &mut rib);
        }
        rib
    }

    fn read(&self, message: &[u8], rib: &mut Rib) -> BTreeSet<IpNet> {
        let negotiated = self.node.negotiated().unwrap();
        let context = Decoding {
            internal: negotiated.internal,
            four_octet_asn: negotiated.four_octet_asn,
            extended_next_hop: negotiated.extended_next_hop,
            families: &FAMILIES,
            max_length: 65_535,
        };
        match codec::decode(message, &context).unwrap() {
            Message::Update(update) => {
                let reached = update.reach.iter().flat_map(|reach| reach.prefixes.clone());
                let named = update.withdrawn.iter().copied().chain(reached).collect();
                rib.apply(update);
                named
            }
            Message::Keepalive => BTreeSet::new(),
            other => panic!("{other:?}"),
        }
    }

    fn adopt(&self, config: PeerConfig, sent: &[u8]) -> Result<Peer, AdoptError> {
        let addresses = self.kind.addresses();
        Peer::adopt(config, &self.handover.session, addresses, sent, 2, self.now)
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let context = Encoding { internal: false, four_octet_asn: true, max_length: 4096 };
    let mut out = Vec::new();
    codec::encode(message, &context, &mut out).unwrap();
    out
}

/// Splits octets into messages.
fn messages(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(length) = codec::frame(octets, 65_535).unwrap() {
        messages.push(octets[..length].to_vec());
        octets = &octets[length..];
    }
    assert_eq!(octets, [], "a partial message");
    messages
}

/// Returns all that the peer still sends.
fn drained(peer: &mut Peer, direction: ConnectionDirection, now: Duration) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(octets) = peer.poll_bytes(direction, now) {
        peer.handle_sent(direction, now);
        out.extend(octets);
    }
    out
}

fn actions(peer: &mut Peer) -> Vec<PeerAction> {
    std::iter::from_fn(|| peer.poll_action()).collect()
}

/// Returns attributes of every kind that differ by number.
fn all_attributes(number: u32) -> Attributes {
    Attributes {
        local_pref: [None, Some(100), Some(200)][number as usize % 3],
        communities: (0..number % 4).map(StandardCommunity).collect(),
        large_communities: (0..number % 2).map(|it| LargeCommunity([65001, it, number / 4])).collect(),
    }
}

/// Returns the routes as the router receives them.
fn received(routes: &Routes, kind: SessionKind) -> Routes {
    let is_internal = matches!(kind, SessionKind::Internal);
    let mut routes = routes.clone();
    for attributes in routes.values_mut() {
        attributes.local_pref = is_internal.then(|| attributes.local_pref.unwrap_or(100));
    }
    routes
}

#[derive(Clone, Debug)]
enum Step {
    Routes(Vec<(u32, u32)>),
    Poll,
    Refresh(AddressFamily),
    Keepalive,
    Compact,
}

fn numbers() -> impl Strategy<Value = Vec<(u32, u32)>> {
    proptest::collection::vec((0..80u32, 0..24u32), 0..60)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => numbers().prop_map(Step::Routes),
        4 => Just(Step::Poll),
        1 => proptest::sample::select(&FAMILIES[..]).prop_map(Step::Refresh),
        1 => Just(Step::Keepalive),
        1 => Just(Step::Compact),
    ];
    proptest::collection::vec(step, 0..16)
}

fn kind() -> impl Strategy<Value = SessionKind> {
    use SessionKind::{Extended, External, Internal, TwoOctet};
    proptest::sample::select(&[External, Internal, Extended, TwoOctet][..])
}

fn routes(numbers: &[(u32, u32)]) -> Routes {
    numbers.iter().map(|(one, other)| (prefix(*one), all_attributes(*other))).collect()
}

fn perform(session: &mut Session, step: Step) {
    let direction = session.direction();
    match step {
        Step::Routes(numbers) => session.node.set_routes(Arc::new(routes(&numbers))),
        Step::Poll => session.poll(),
        Step::Refresh(family) => {
            let message = encoded(&Message::RouteRefresh(Some(family)));
            session.node.handle_bytes(direction, &message, session.now);
        }
        Step::Keepalive => {
            session.node.handle_bytes(direction, &encoded(&Message::Keepalive), session.now);
            session.now += Duration::from_secs(11);
            session.node.handle_time(session.now);
        }
        Step::Compact => session.compact(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_successor_sends_only_the_difference_wherever_the_predecessor_stopped(
        kind in kind(),
        incoming: bool,
        steps in steps(),
        cut in 0.0..=1.0f64,
        last in numbers(),
    ) {
        let direction = if incoming { ConnectionDirection::Incoming } else { OUTGOING };
        let mut session = Session::established(kind, direction);
        for step in steps {
            perform(&mut session, step);
        }
        let sent = session.sent((cut * session.stream.len() as f64).round() as usize);
        let mut rib = session.router(&sent);
        let mut successor = session.adopt(kind.config(), &sent).unwrap();
        prop_assert_eq!(actions(&mut successor), [PeerAction::Adopted(direction)]);
        let refreshing = &session.handover.session.refreshing;
        if refreshing.is_empty() {
            // One KEEPALIVE, and nothing else while the routes are unknown.
            prop_assert_eq!(drained(&mut successor, direction, session.now), encoded(&Message::Keepalive));
        }
        let view = successor.view(session.now);
        let advertised: usize = view.families.values().map(|family| family.advertised).sum();
        prop_assert_eq!(advertised, rib.routes.len());

        let (desired, before) = (received(&routes(&last), kind), rib.clone());
        successor.set_routes(Arc::new(routes(&last)));
        for message in messages(&drained(&mut successor, direction, session.now)) {
            for named in session.read(&message, &mut rib) {
                let is_unchanged = before.advertised().get(&named) == desired.get(&named);
                prop_assert!(!is_unchanged || refreshing.contains(&family_of(named)), "{named} is sent again");
            }
        }
        prop_assert_eq!(rib.advertised(), desired);
        rib.ends.sort_unstable();
        prop_assert_eq!(&rib.ends[..], &FAMILIES, "each End-of-RIB is sent once");
    }

    #[test]
    fn a_damaged_record_is_an_error_and_no_panic(
        kind in kind(),
        numbers in numbers(),
        at in any::<proptest::sample::Index>(),
        octet: u8,
        keeps in any::<proptest::sample::Index>(),
    ) {
        let mut session = Session::established(kind, OUTGOING);
        session.node.set_routes(Arc::new(routes(&numbers)));
        session.poll_all();
        let whole = session.sent(session.stream.len());
        let mut damaged = whole.clone();
        let at = at.index(damaged.len());
        damaged[at] = octet;
        // Adopted if the damage makes another valid message.
        let _ = session.adopt(kind.config(), &damaged);
        let rest = &whole[..keeps.index(whole.len())];
        let is_whole = (0..=session.stream.len()).any(|count| session.sent(count) == rest);
        prop_assert_eq!(session.adopt(kind.config(), rest).is_ok(), is_whole);
        for open in [&mut session.handover.session.ours, &mut session.handover.session.theirs] {
            let at = at % open.len();
            open[at] ^= octet;
        }
        let _ = session.adopt(kind.config(), &whole);
    }
}

fn with_routes(kind: SessionKind) -> Session {
    let mut session = Session::established(kind, OUTGOING);
    session.node.set_routes(Arc::new(routes(&[(1, 1), (2, 2), (4, 7)])));
    session.poll_all();
    session
}

#[test]
fn an_adopted_session_keeps_its_age_and_is_no_new_session() {
    let mut session = with_routes(SessionKind::External);
    session.now = Duration::from_secs(20);
    session.handover = session.node.handover(session.now).unwrap();
    let successor =
        session.adopt(SessionKind::External.config(), &session.sent(session.stream.len())).unwrap();
    let view = successor.view(session.now + Duration::from_secs(5));
    assert_eq!((view.state_age, view.is_adopted), (Duration::from_secs(25), true));
    assert_eq!((view.counters.established, view.counters.adopted, view.counters.flaps), (0, 1, 0));
    assert_eq!(view.negotiated, session.node.negotiated().cloned());
}

#[test]
fn the_timers_of_an_adopted_session_start_at_the_adoption() {
    let session = with_routes(SessionKind::External);
    let mut successor = session.adopt(SessionKind::External.config(), &session.sent(0)).unwrap();
    drained(&mut successor, OUTGOING, session.now);
    assert!(
        successor.next_deadline().unwrap() <= session.now + Duration::from_secs(10),
        "a KEEPALIVE is due"
    );
    successor.handle_time(session.now + Duration::from_secs(29));
    assert_eq!(successor.state(), BgpState::Established);
    successor.handle_time(session.now + Duration::from_secs(30));
    assert_ne!(successor.state(), BgpState::Established);
    assert!(matches!(successor.last_close().unwrap().reason, CloseReason::HoldTimerExpired(_)));
}

#[test]
fn a_configuration_that_rules_the_session_out_closes_it() {
    let session = with_routes(SessionKind::External);
    let sent = session.sent(session.stream.len());
    let ours = SessionKind::External.config();
    let configs = [
        PeerConfig { local_asn: Asn::new(65009).unwrap(), ..ours.clone() },
        PeerConfig { remote: lb_bgp::session::PeerAs::Internal, ..ours.clone() },
        PeerConfig { families: vec![AddressFamily::Ipv4], ..ours.clone() },
        PeerConfig { hold_time: HoldTime::new(9).unwrap(), ..ours.clone() },
        PeerConfig { graceful_restart: Some(8), ..ours.clone() },
    ];
    for config in configs {
        let mut successor = session.adopt(config, &sent).unwrap();
        let actions = actions(&mut successor);
        assert_eq!(actions[..2], [PeerAction::Adopted(OUTGOING), PeerAction::Close(OUTGOING)]);
        let is_down = |it: &PeerAction| matches!(it, PeerAction::Down(close) if close.reason == CloseReason::ConfigurationChanged);
        assert!(actions.iter().any(is_down), "{actions:?}");
        let notification = drained(&mut successor, OUTGOING, session.now);
        assert_eq!(notification[18..21], [3, 6, 6], "a NOTIFICATION: other configuration change");
    }
    let longer = PeerConfig { hold_time: HoldTime::new(180).unwrap(), ..ours };
    let mut successor = session.adopt(longer, &sent).unwrap();
    assert_eq!(actions(&mut successor), [PeerAction::Adopted(OUTGOING)], "the router's is the smaller one");
}

#[test]
fn routes_of_a_session_that_closes_before_they_are_known_are_not_sent_in_the_next_one() {
    let session = with_routes(SessionKind::External);
    let mut successor =
        session.adopt(SessionKind::External.config(), &session.sent(session.stream.len())).unwrap();
    successor.handle_closed(OUTGOING, None, session.now);
    let incoming = ConnectionDirection::Incoming;
    let (local, remote) = session.kind.addresses();
    assert!(successor.handle_connected(incoming, local, remote, session.now));
    drained(&mut successor, incoming, session.now);
    for message in [Message::Open(session.kind.open()), Message::Keepalive] {
        successor.handle_bytes(incoming, &encoded(&message), session.now);
        assert_eq!(drained(&mut successor, incoming, session.now).len() % 19, 0, "KEEPALIVEs only");
    }
    assert_eq!(successor.state(), BgpState::Established);
}

#[test]
fn another_next_hop_is_advertised_and_nothing_else_changes() {
    let session = with_routes(SessionKind::External);
    let sent = session.sent(session.stream.len());
    let mut config = SessionKind::External.config();
    config.next_hops.v6 = Some("2001:db8::77".parse().unwrap());
    let mut successor = session.adopt(config, &sent).unwrap();
    assert_eq!(actions(&mut successor), [PeerAction::Adopted(OUTGOING)]);
    let mut rib = session.router(&sent);
    let named: BTreeSet<IpNet> = messages(&drained(&mut successor, OUTGOING, session.now))
        .iter()
        .flat_map(|message| session.read(message, &mut rib))
        .collect();
    assert_eq!(named, [prefix(1)].into(), "the only IPv6 route");
}

#[test]
fn refused_capabilities_stay_refused() {
    let mut session = with_routes(SessionKind::External);
    let mut ours = codec_open(&session.handover.session.ours);
    ours.capabilities.extended_message = false;
    session.handover.session.ours = encoded(&Message::Open(ours));
    let sent = session.sent(session.stream.len());
    let mut closed = session.adopt(SessionKind::External.config(), &sent).unwrap();
    assert!(actions(&mut closed).contains(&PeerAction::Close(OUTGOING)), "it is offered by now");
    let refused = RefusedCapabilities::Some { families: BTreeSet::new(), codes: [6].into() };
    session.handover.session.refused = Some(refused.clone());
    let mut successor = session.adopt(SessionKind::External.config(), &sent).unwrap();
    assert_eq!(actions(&mut successor), [PeerAction::Adopted(OUTGOING)]);
    assert_eq!(successor.view(session.now).refused, Some(refused));
}

fn codec_open(message: &[u8]) -> Open {
    let context = Decoding {
        internal: false,
        four_octet_asn: true,
        extended_next_hop: false,
        families: &[],
        max_length: 4096,
    };
    match codec::decode(message, &context).unwrap() {
        Message::Open(open) => open,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_of_an_as_number_that_the_router_cannot_read_is_adopted() {
    let kind = SessionKind::TwoOctet;
    let mut session = Session::established(kind, OUTGOING);
    let mut ours = codec_open(&session.handover.session.ours);
    // The router has refused the capability.
    ours.capabilities.four_octet_asn = false;
    session.handover.session.ours = encoded(&Message::Open(ours));
    let refused = RefusedCapabilities::Some { families: BTreeSet::new(), codes: [65].into() };
    session.handover.session.refused = Some(refused);
    let mut successor = session.adopt(kind.config(), &[]).unwrap();
    assert_eq!(actions(&mut successor), [PeerAction::Adopted(OUTGOING)]);
}

#[test]
fn a_message_that_ends_the_session_is_not_adopted() {
    let session = with_routes(SessionKind::External);
    let mut sent = session.sent(session.stream.len());
    sent.extend(&session.handover.farewell);
    assert_eq!(session.adopt(SessionKind::External.config(), &sent).unwrap_err(), AdoptError::Unexpected);
}

#[test]
fn the_farewell_ends_graceful_restart_where_the_peer_would_keep_the_routes() {
    let handover =
        |config: PeerConfig, open| Session::with_open(SessionKind::External, config, open, OUTGOING).handover;
    let plain = handover(SessionKind::External.config(), open());
    assert_eq!((&plain.farewell[18..21], plain.is_restartable), (&[3, 6, 2][..], false));
    let config = PeerConfig { graceful_restart: Some(8), ..SessionKind::External.config() };
    let graceful = handover(config, graceful_open());
    assert_eq!((&graceful.farewell[18..23], graceful.is_restartable), (&[3, 6, 9, 6, 2][..], true));
    assert_eq!(graceful.keepalive, Some(Duration::from_secs(10)));
    assert_eq!(graceful.keepalive_message, encoded(&Message::Keepalive));
}

#[test]
fn only_whole_messages_are_complete_and_malformed_ones_are_passed_on() {
    let session = with_routes(SessionKind::External);
    let keepalive = encoded(&Message::Keepalive);
    let octets = [keepalive.clone(), encoded(&Message::Open(open()))].concat();
    for length in 0..=octets.len() {
        let whole =
            [0, keepalive.len(), octets.len()].into_iter().filter(|whole| *whole <= length).max().unwrap();
        assert_eq!(session.node.complete_messages(OUTGOING, &octets[..length]), whole);
    }
    let malformed = [&keepalive[..], &[0; 19], &keepalive[..5]].concat();
    assert_eq!(session.node.complete_messages(OUTGOING, &malformed), malformed.len());
}

#[test]
fn a_refresh_that_is_not_answered_is_answered_by_the_successor() {
    let mut session = with_routes(SessionKind::External);
    let refresh = encoded(&Message::RouteRefresh(Some(AddressFamily::Ipv4)));
    session.node.handle_bytes(OUTGOING, &refresh, session.now);
    session.handover = session.node.handover(session.now).unwrap();
    assert_eq!(session.handover.session.refreshing, [AddressFamily::Ipv4]);
    let sent = session.sent(session.stream.len());
    let mut successor = session.adopt(SessionKind::External.config(), &sent).unwrap();
    let mut rib = Rib::default();
    for message in messages(&drained(&mut successor, OUTGOING, session.now)) {
        session.read(&message, &mut rib);
    }
    let desired = received(&routes(&[(2, 2), (4, 7)]), SessionKind::External);
    assert_eq!(rib.advertised(), desired);
}
