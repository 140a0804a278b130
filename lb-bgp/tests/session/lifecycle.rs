//! The life cycle of a session.

use std::time::Duration;

use lb_bgp::message::{GracefulRestartCapability, Message, Update};
use lb_bgp::session::{
    BgpState, ConnectionDirection, MissingFamily, NextHops, PeerAction, PeerAs, PeerConfig,
};
use lb_bgp::value::{AddressFamily, Asn, HoldTime, RouteNextHop, RouterId};

use crate::rib::{attributes, prefix};
use crate::router::{Bench, config, graceful_open, open};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_connects_at_once_and_exchanges_open_and_keepalive() {
    let mut bench = Bench::new(config());
    assert_eq!((bench.actions(), bench.peer.state()), (vec![PeerAction::Connect], BgpState::Connect));
    assert!(bench.connect(ConnectionDirection::Outgoing));
    assert_eq!(bench.peer.state(), BgpState::OpenSent);
    let [Message::Open(sent)] = &bench.heard()[..] else { panic!("not exactly one OPEN") };
    assert_eq!(
        (sent.asn.get(), sent.hold_time, sent.router_id.to_string()),
        (65001, HoldTime::DEFAULT, "10.0.0.1".into())
    );
    assert_eq!(sent.capabilities.host_name.as_deref(), Some("node"));
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    assert_eq!((bench.heard(), bench.peer.state()), (vec![Message::Keepalive], BgpState::OpenConfirm));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    assert_eq!(bench.actions(), [PeerAction::Established(ConnectionDirection::Outgoing)]);
    assert_eq!(bench.peer.state(), BgpState::Established);
}

#[test]
fn a_passive_peer_only_accepts() {
    let mut bench = Bench::new(PeerConfig { passive: true, ..config() });
    assert_eq!(
        (bench.actions(), bench.peer.state(), bench.peer.next_deadline()),
        (vec![], BgpState::Active, None)
    );
    bench.establish(ConnectionDirection::Incoming, open());
    bench.close(ConnectionDirection::Incoming);
    assert_eq!((bench.peer.state(), bench.peer.next_deadline()), (BgpState::Active, None));
    bench.establish(ConnectionDirection::Incoming, open());
}

#[test]
fn a_connection_attempt_is_abandoned_when_an_incoming_one_is_established() {
    let mut bench = Bench::new(config());
    bench.actions();
    bench.establish(ConnectionDirection::Incoming, open());
    assert_eq!(
        bench.actions(),
        [
            PeerAction::Established(ConnectionDirection::Incoming),
            PeerAction::Close(ConnectionDirection::Outgoing)
        ]
    );
    assert!(!bench.connect(ConnectionDirection::Outgoing));
    bench.live(ConnectionDirection::Incoming, 200 * SECOND);
    assert_eq!(bench.actions(), []);
}

#[test]
fn the_smaller_hold_time_is_used_with_three_keepalives() {
    let mut bench = Bench::established(config(), open());
    let negotiated = bench.peer.negotiated().unwrap();
    assert_eq!((negotiated.hold_time.seconds(), negotiated.keepalive), (30, Some(10 * SECOND)));
    bench.live(ConnectionDirection::Outgoing, 300 * SECOND);
    let keepalives = bench.heard().len();
    assert!((30..=40).contains(&keepalives), "{keepalives} in 300 s");
}

#[test]
fn the_keepalive_interval_is_limited_to_a_third_of_the_hold_time() {
    for (configured, kept) in [(2, 2), (10, 10), (25, 10)] {
        let bench =
            Bench::established(PeerConfig { keepalive: Some(configured * SECOND), ..config() }, open());
        assert_eq!(bench.peer.negotiated().unwrap().keepalive, Some(kept * SECOND));
    }
}

#[test]
fn without_hold_time_no_keepalive_is_sent_or_expected() {
    let mut theirs = open();
    theirs.hold_time = HoldTime::new(0).unwrap();
    let mut bench = Bench::established(config(), theirs);
    assert_eq!(bench.peer.next_deadline(), None);
    bench.wait(100_000 * SECOND);
    assert_eq!((bench.heard(), bench.peer.state()), (vec![], BgpState::Established));
}

#[test]
fn routes_are_advertised_followed_by_end_of_rib() {
    let mut bench = Bench::new(config());
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    bench.establish(ConnectionDirection::Outgoing, open());
    let rib = bench.rib();
    assert_eq!(rib.ends, [AddressFamily::Ipv4, AddressFamily::Ipv6]);
    let (next_hop, path, _) = &rib.routes[&prefix(2)];
    assert_eq!(
        (next_hop, path.as_slice()),
        (&RouteNextHop::V4([192, 0, 2, 1].into()), &[Asn::new(65001).unwrap()][..])
    );
    let (next_hop, _, _) = &rib.routes[&prefix(3)];
    assert_eq!(*next_hop, RouteNextHop::V6 { address: "2001:db8::1".parse().unwrap(), link_local: None });
    let view = bench.peer.view(bench.now);
    assert_eq!(
        (view.families[&AddressFamily::Ipv4].advertised, view.families[&AddressFamily::Ipv4].pending),
        (1, 0)
    );
    assert!(view.families[&AddressFamily::Ipv6].end_of_rib);
}

#[test]
fn nothing_is_advertised_before_the_routes_are_set() {
    let mut bench = Bench::new(config());
    bench.establish(ConnectionDirection::Outgoing, open());
    assert_eq!(bench.rib().updates, 0);
    bench.set_routes([(prefix(2), attributes(7))].into());
    let rib = bench.rib();
    assert_eq!((rib.updates, rib.ends.len()), (3, 2));
}

#[test]
fn a_route_refresh_is_answered_with_all_routes_of_the_family() {
    let mut bench = Bench::established(config(), open());
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    bench.forget();
    bench.say(ConnectionDirection::Outgoing, Message::RouteRefresh(Some(AddressFamily::Ipv6)));
    assert_eq!(bench.rib().routes.keys().copied().collect::<Vec<_>>(), [prefix(3)]);
    bench.say(ConnectionDirection::Outgoing, Message::RouteRefresh(None));
    assert_eq!((bench.rib().updates, bench.peer.state()), (0, BgpState::Established));
}

#[test]
fn a_router_that_does_not_read_gets_one_chunk_and_then_the_latest_routes() {
    let mut bench = Bench::established(config(), open());
    bench.reads = false;
    for round in 0..100 {
        bench.set_routes((0..1000).map(|number| (prefix(number), attributes(round))).collect());
    }
    let first = bench.rib();
    assert!(first.advertised().values().all(|advertised| *advertised == attributes(0)));
    bench.reads = true;
    bench.peer.handle_sent(ConnectionDirection::Outgoing, bench.now);
    bench.pump();
    let then = bench.rib();
    assert_eq!(then.routes.len(), 1000);
    assert!(then.advertised().values().all(|advertised| *advertised == attributes(99)));
}

#[test]
fn the_presented_as_number_is_used_in_open_and_as_path() {
    let mut bench = Bench::new(PeerConfig { presented_asn: Asn::new(4_200_000_001), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    let [Message::Open(sent)] = &bench.heard()[..] else { panic!("not exactly one OPEN") };
    assert_eq!(sent.asn.get(), 4_200_000_001);
    bench.set_routes([(prefix(2), attributes(7))].into());
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    let rib = bench.rib();
    assert_eq!(rib.routes[&prefix(2)].1, [Asn::new(4_200_000_001).unwrap()]);
}

#[test]
fn the_remote_as_may_be_internal_or_external() {
    let cases = [
        (PeerAs::External, None, 65002, Some(false)),
        (PeerAs::External, None, 65001, None),
        (PeerAs::Internal, None, 65001, Some(true)),
        (PeerAs::Internal, None, 65002, None),
        // The number presented to the router decides what is internal.
        (PeerAs::Internal, Asn::new(65002), 65002, Some(true)),
        (PeerAs::External, Asn::new(65002), 65002, None),
    ];
    for (remote, presented_asn, actual, internal) in cases {
        let mut bench = Bench::new(PeerConfig { remote, presented_asn, ..config() });
        bench.connect(ConnectionDirection::Outgoing);
        let mut theirs = open();
        theirs.asn = Asn::new(actual).unwrap();
        bench.say(ConnectionDirection::Outgoing, Message::Open(theirs));
        bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
        assert_eq!(bench.peer.negotiated().map(|agreed| agreed.internal), internal, "{remote:?}, {actual}");
    }
}

#[test]
fn a_family_that_is_not_offered_is_missing_without_affecting_the_other() {
    let mut theirs = open();
    theirs.capabilities.families = vec![AddressFamily::Ipv4];
    let mut bench = Bench::established(config(), theirs);
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    assert_eq!(bench.rib().routes.len(), 1);
    let view = bench.peer.view(bench.now);
    assert_eq!(view.negotiated.unwrap().missing, [(AddressFamily::Ipv6, MissingFamily::NotOffered)].into());
    assert_eq!(view.unsendable, 1);
}

#[test]
fn a_family_without_next_hop_is_not_offered() {
    let mut bench = Bench::new(PeerConfig { next_hops: NextHops::default(), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    let [Message::Open(sent)] = &bench.heard()[..] else { panic!("not exactly one OPEN") };
    assert_eq!(sent.capabilities.families, [AddressFamily::Ipv4]);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    let missing = bench.peer.view(bench.now).negotiated.unwrap().missing;
    assert_eq!(missing, [(AddressFamily::Ipv6, MissingFamily::NoNextHop)].into());
}

#[test]
fn ipv4_routes_use_an_ipv6_next_hop_if_the_router_supports_it() {
    for (takes, next_hop) in [(true, Ok("fe80::1")), (false, Err(MissingFamily::NoExtendedNextHop))] {
        let mut bench = Bench::new(PeerConfig { next_hops: NextHops::default(), ..config() });
        let (local, remote) = ("[fe80::1]:179".parse().unwrap(), "[fe80::2]:179".parse().unwrap());
        assert!(bench.peer.handle_connected(ConnectionDirection::Outgoing, local, remote, bench.now));
        let mut theirs = open();
        theirs.capabilities.extended_next_hop = takes;
        bench.say(ConnectionDirection::Outgoing, Message::Open(theirs));
        let negotiated = bench.peer.view(bench.now).negotiated.unwrap();
        let address =
            next_hop.map(|address| RouteNextHop::V6 { address: address.parse().unwrap(), link_local: None });
        assert_eq!(
            negotiated.next_hops.get(&AddressFamily::Ipv4).copied().ok_or(MissingFamily::NoExtendedNextHop),
            address
        );
        assert_eq!(negotiated.missing.get(&AddressFamily::Ipv4).copied(), address.err());
        assert!(negotiated.next_hops.contains_key(&AddressFamily::Ipv6));
    }
}

#[test]
fn received_routes_are_only_counted() {
    let mut bench = Bench::established(config(), open());
    let sent = bench.peer.view(bench.now).counters.sent;
    let update = Update { withdrawn: vec![prefix(2), prefix(4)], ..Update::default() };
    bench.say(ConnectionDirection::Outgoing, Message::Update(update));
    bench.say(
        ConnectionDirection::Outgoing,
        Message::Update(Update { end_of_rib: Some(AddressFamily::Ipv4), ..Update::default() }),
    );
    // A route with ORIGIN 7: treat-as-withdraw.
    let mut flawed = vec![0xff; 16];
    flawed.extend([0, 19 + 4 + 18 + 5, 2, 0, 0, 0, 18, 0x40, 1, 1, 7, 0x40, 2, 4, 2, 1, 0xfd, 0xea]);
    flawed.extend([0x40, 3, 4, 192, 0, 2, 2, 32, 10, 0, 0, 9]);
    bench.say_bytes(ConnectionDirection::Outgoing, &flawed);
    let counters = bench.peer.view(bench.now).counters;
    assert_eq!(bench.peer.state(), BgpState::Established, "{:?}", bench.peer.view(bench.now).last_close);
    assert_eq!((counters.prefixes.withdrawn, counters.prefixes.treated_as_withdraw), (3, 1));
    assert_eq!((counters.prefixes.ends_of_rib, counters.received.update), (1, 3));
    assert_eq!(counters.sent, sent);
}

#[test]
fn graceful_restart_sets_restarted_once_and_forwarding_from_then_on() {
    let mut bench = Bench::new(PeerConfig { graceful_restart: Some(8), restarted: true, ..config() });
    let offered = |bench: &mut Bench| {
        bench.forget();
        bench.connect(ConnectionDirection::Outgoing);
        let [Message::Open(sent)] = &bench.heard()[..] else { panic!("not exactly one OPEN") };
        sent.capabilities.graceful_restart.clone().unwrap()
    };
    let families = vec![(AddressFamily::Ipv4, true), (AddressFamily::Ipv6, true)];
    let first = GracefulRestartCapability { restarted: true, notification: true, restart_time: 8, families };
    assert_eq!(offered(&mut bench), first);
    // Lost before it was up: the router does not know yet.
    bench.close(ConnectionDirection::Outgoing);
    bench.time_to_connect();
    assert_eq!(offered(&mut bench), first);
    bench.say(ConnectionDirection::Outgoing, Message::Open(graceful_open()));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    bench.close(ConnectionDirection::Outgoing);
    bench.time_to_connect();
    assert_eq!(offered(&mut bench), GracefulRestartCapability { restarted: false, ..first });
}

#[test]
fn a_first_start_has_no_forwarding_state() {
    let mut bench = Bench::new(PeerConfig { graceful_restart: Some(8), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    let [Message::Open(sent)] = &bench.heard()[..] else { panic!("not exactly one OPEN") };
    let families = vec![(AddressFamily::Ipv4, false), (AddressFamily::Ipv6, false)];
    let first = GracefulRestartCapability { restarted: false, notification: true, restart_time: 8, families };
    assert_eq!(sent.capabilities.graceful_restart, Some(first));
}

#[test]
fn a_restarted_router_replaces_its_session_if_graceful_restart_was_negotiated() {
    for direction in ConnectionDirection::BOTH {
        let mut bench = Bench::new(PeerConfig { graceful_restart: Some(8), ..config() });
        bench.establish(direction, graceful_open());
        bench.live(direction, 60 * SECOND);
        bench.forget();
        bench.establish(ConnectionDirection::Incoming, graceful_open());
        let actions = bench.actions();
        assert!(matches!(
            actions.iter().find(|action| matches!(action, PeerAction::Down(_))),
            Some(PeerAction::Down(_))
        ));
        assert_eq!(
            actions.contains(&PeerAction::Close(ConnectionDirection::Outgoing)),
            direction == ConnectionDirection::Outgoing,
            "{actions:?}"
        );
        assert!(!actions.contains(&PeerAction::Close(ConnectionDirection::Incoming)), "{actions:?}");
        assert_eq!(bench.notification(), None, "RFC 4724, section 4.2");
    }
}

#[test]
fn an_established_session_rejects_other_connections() {
    let mut bench = Bench::established(config(), open());
    assert!(!bench.connect(ConnectionDirection::Incoming));
    bench.live(ConnectionDirection::Outgoing, 60 * SECOND);
    assert!(!bench.connect(ConnectionDirection::Incoming));
    assert_eq!((bench.actions(), bench.peer.state()), (vec![], BgpState::Established));
}

#[test]
fn the_connection_of_the_higher_identifier_wins_a_collision() {
    for (id, kept) in [(1, ConnectionDirection::Incoming), (9, ConnectionDirection::Outgoing)] {
        for first in ConnectionDirection::BOTH {
            let router_id = RouterId::new([10, 0, 0, id].into()).unwrap();
            let mut bench = Bench::new(PeerConfig { router_id, ..config() });
            bench.connect(ConnectionDirection::Outgoing);
            bench.connect(ConnectionDirection::Incoming);
            bench.forget();
            bench.say(first, Message::Open(open()));
            bench.say(first.other(), Message::Open(open()));
            assert_eq!(bench.actions(), [PeerAction::Close(kept.other())]);
            let sent = bench.notification().unwrap();
            assert_eq!((sent.code, sent.subcode), (6, 7));
            bench.say(kept, Message::Keepalive);
            assert_eq!(bench.actions(), [PeerAction::Established(kept)]);
            assert_eq!(bench.peer.view(bench.now).last_close, None);
        }
    }
}

#[test]
fn equal_identifiers_are_decided_by_the_higher_as_number() {
    let router_id = open().router_id;
    let mut bench = Bench::new(PeerConfig { router_id, ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    bench.connect(ConnectionDirection::Incoming);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    bench.actions();
    bench.say(ConnectionDirection::Incoming, Message::Open(open()));
    assert_eq!(bench.actions(), [PeerAction::Close(ConnectionDirection::Outgoing)], "65002 is the router's");
}

#[test]
fn a_silent_incoming_connection_does_not_block_an_outgoing_one() {
    let mut bench = Bench::new(config());
    bench.peer.handle_connect_failed("connection refused".to_owned(), bench.now);
    bench.connect(ConnectionDirection::Incoming);
    assert!(bench.time_to_connect() <= SECOND);
    bench.connect(ConnectionDirection::Outgoing);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    assert_eq!(bench.peer.state(), BgpState::OpenSent, "the other connection would win the collision");
    bench.wait(10 * SECOND);
    assert_eq!(
        bench.actions(),
        [
            PeerAction::Close(ConnectionDirection::Incoming),
            PeerAction::Established(ConnectionDirection::Outgoing)
        ]
    );
}

#[test]
fn no_open_is_sent_beside_a_connection_with_our_keepalive() {
    for direction in ConnectionDirection::BOTH {
        let mut bench = Bench::new(config());
        bench.connect(direction);
        bench.say(direction, Message::Open(open()));
        bench.forget();
        assert!(!bench.connect(direction.other()));
        assert_eq!((bench.heard(), bench.peer.state()), (vec![], BgpState::OpenConfirm));
        bench.say(direction, Message::Keepalive);
        assert_eq!(bench.peer.state(), BgpState::Established);
    }
}

#[test]
fn the_keepalive_is_withheld_on_a_connection_that_may_lose_the_collision() {
    let two = || {
        let mut bench = Bench::new(config());
        bench.connect(ConnectionDirection::Outgoing);
        bench.connect(ConnectionDirection::Incoming);
        bench.forget();
        bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
        bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
        assert_eq!(
            (bench.heard(), bench.actions()),
            (vec![], vec![]),
            "the incoming connection would win the collision"
        );
        bench
    };
    let mut bench = two();
    bench.say(ConnectionDirection::Incoming, Message::Open(open()));
    bench.say(ConnectionDirection::Incoming, Message::Keepalive);
    assert_eq!(
        bench.actions(),
        [
            PeerAction::Close(ConnectionDirection::Outgoing),
            PeerAction::Established(ConnectionDirection::Incoming)
        ]
    );
    let mut bench = two();
    bench.close(ConnectionDirection::Incoming);
    assert_eq!(bench.actions(), [PeerAction::Established(ConnectionDirection::Outgoing)]);
    let mut bench = two();
    for _ in 0..300 {
        bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    }
    assert_eq!(bench.actions(), [PeerAction::Close(ConnectionDirection::Outgoing)], "the buffer is bounded");
}

#[test]
fn messages_may_arrive_octet_by_octet() {
    let mut bench = Bench::new(config());
    bench.connect(ConnectionDirection::Outgoing);
    let mut bytes = Vec::new();
    let context = lb_bgp::codec::Encoding { internal: false, four_octet_asn: true, max_length: 4096 };
    for message in [Message::Open(open()), Message::Keepalive, Message::Keepalive] {
        lb_bgp::codec::encode(&message, &context, &mut bytes).unwrap();
    }
    for byte in bytes {
        bench.say_bytes(ConnectionDirection::Outgoing, &[byte]);
    }
    assert_eq!(bench.peer.state(), BgpState::Established);
    assert_eq!(bench.peer.view(bench.now).counters.received.keepalive, 2);
}

#[test]
fn only_a_change_of_negotiated_parameters_resets_the_session() {
    let mut bench = Bench::established(config(), open());
    bench.set_routes([(prefix(2), attributes(7))].into());
    bench.forget();
    let harmless = PeerConfig {
        host_name: "other".to_owned(),
        keepalive: Some(SECOND),
        connect_timeout: SECOND,
        // The router's is smaller.
        hold_time: HoldTime::new(60).unwrap(),
        ..config()
    };
    bench.peer.set_config(harmless, bench.now);
    bench.pump();
    assert_eq!((bench.actions(), bench.peer.state()), (vec![], BgpState::Established));
    let moved = NextHops { v4: Some([192, 0, 2, 77].into()), ..config().next_hops };
    bench.peer.set_config(PeerConfig { next_hops: moved, ..config() }, bench.now);
    bench.pump();
    assert_eq!(bench.peer.state(), BgpState::Established);
    assert_eq!(bench.rib().routes[&prefix(2)].0, RouteNextHop::V4([192, 0, 2, 77].into()));
    let hold_time = HoldTime::new(9).unwrap();
    bench.peer.set_config(PeerConfig { hold_time, ..config() }, bench.now);
    bench.pump();
    let sent = bench.notification().unwrap();
    assert_eq!((sent.code, sent.subcode), (6, 6));
    assert_eq!(bench.time_to_connect(), Duration::ZERO);
}

#[test]
fn a_corrected_configuration_is_retried_at_once() {
    let mut bench = Bench::new(PeerConfig { remote: PeerAs::Exactly(Asn::new(65010).unwrap()), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    assert!(!bench.connect(ConnectionDirection::Outgoing), "the peer is held down");
    bench.peer.set_config(config(), bench.now);
    assert_eq!(bench.time_to_connect(), Duration::ZERO);
    bench.establish(ConnectionDirection::Outgoing, open());
}
