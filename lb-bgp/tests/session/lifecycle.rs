//! A session's life with one router.

use std::time::Duration;

use lb_bgp::message::{GracefulRestartCapability, Message, Update};
use lb_bgp::session::{
    BgpState, ConnectionDirection, MissingFamily, NextHops, PeerAction, PeerConfig, RemoteAs,
};
use lb_bgp::value::{Asn, Family, HoldTime, NextHop, RouterId};

use crate::rib::{attributes, prefix};
use crate::router::{Bench, config, graceful_open, open};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_connects_at_once_says_open_and_keepalive_and_is_up_after_the_routers() {
    let mut bench = Bench::new(config());
    assert_eq!((bench.actions(), bench.peer.state()), (vec![PeerAction::Connect], BgpState::Connect));
    assert!(bench.connect(ConnectionDirection::Outgoing));
    assert_eq!(bench.peer.state(), BgpState::OpenSent);
    let [Message::Open(said)] = &bench.heard()[..] else { panic!("no OPEN alone") };
    assert_eq!(
        (said.asn.get(), said.hold_time, said.router_id.to_string()),
        (65001, HoldTime::DEFAULT, "10.0.0.1".into())
    );
    assert_eq!(said.capabilities.host_name.as_deref(), Some("node"));
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    assert_eq!((bench.heard(), bench.peer.state()), (vec![Message::Keepalive], BgpState::OpenConfirm));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    assert_eq!(bench.actions(), [PeerAction::Established(ConnectionDirection::Outgoing)]);
    assert_eq!(bench.peer.state(), BgpState::Established);
}

#[test]
fn a_passive_one_only_accepts() {
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
fn an_attempt_is_given_up_when_the_router_has_come_first() {
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
fn the_smaller_hold_time_holds_and_keepalives_come_thrice_in_it() {
    let mut bench = Bench::established(config(), open());
    let negotiated = bench.peer.negotiated().unwrap();
    assert_eq!((negotiated.hold_time.seconds(), negotiated.keepalive), (30, Some(10 * SECOND)));
    bench.live(ConnectionDirection::Outgoing, 300 * SECOND);
    let keepalives = bench.heard().len();
    assert!((30..=40).contains(&keepalives), "{keepalives} in 300 s");
}

#[test]
fn a_keepalive_time_is_kept_up_to_a_third_of_the_hold_time() {
    for (configured, kept) in [(2, 2), (10, 10), (25, 10)] {
        let bench =
            Bench::established(PeerConfig { keepalive: Some(configured * SECOND), ..config() }, open());
        assert_eq!(bench.peer.negotiated().unwrap().keepalive, Some(kept * SECOND));
    }
}

#[test]
fn without_hold_time_nothing_is_said_and_nothing_expected() {
    let mut theirs = open();
    theirs.hold_time = HoldTime::new(0).unwrap();
    let mut bench = Bench::established(config(), theirs);
    assert_eq!(bench.peer.next_deadline(), None);
    bench.wait(100_000 * SECOND);
    assert_eq!((bench.heard(), bench.peer.state()), (vec![], BgpState::Established));
}

#[test]
fn routes_are_told_and_followed_by_the_end_of_each_family() {
    let mut bench = Bench::new(config());
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    bench.establish(ConnectionDirection::Outgoing, open());
    let rib = bench.rib();
    assert_eq!(rib.ends, [Family::Ipv4, Family::Ipv6]);
    let (next_hop, path, _) = &rib.routes[&prefix(2)];
    assert_eq!(
        (next_hop, path.as_slice()),
        (&NextHop::V4([192, 0, 2, 1].into()), &[Asn::new(65001).unwrap()][..])
    );
    let (next_hop, _, _) = &rib.routes[&prefix(3)];
    assert_eq!(*next_hop, NextHop::V6 { address: "2001:db8::1".parse().unwrap(), link_local: None });
    let view = bench.peer.view(bench.now);
    assert_eq!((view.families[&Family::Ipv4].advertised, view.families[&Family::Ipv4].pending), (1, 0));
    assert!(view.families[&Family::Ipv6].end_of_rib);
}

#[test]
fn no_route_is_said_before_all_are_known() {
    let mut bench = Bench::new(config());
    bench.establish(ConnectionDirection::Outgoing, open());
    assert_eq!(bench.rib().updates, 0);
    bench.set_routes([(prefix(2), attributes(7))].into());
    let rib = bench.rib();
    assert_eq!((rib.updates, rib.ends.len()), (3, 2));
}

#[test]
fn a_refresh_is_answered_with_all_routes_of_the_family() {
    let mut bench = Bench::established(config(), open());
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    bench.forget();
    bench.say(ConnectionDirection::Outgoing, Message::RouteRefresh(Some(Family::Ipv6)));
    assert_eq!(bench.rib().routes.keys().copied().collect::<Vec<_>>(), [prefix(3)]);
    bench.say(ConnectionDirection::Outgoing, Message::RouteRefresh(None));
    assert_eq!((bench.rib().updates, bench.peer.state()), (0, BgpState::Established));
}

#[test]
fn a_router_that_does_not_read_is_given_one_piece_and_then_the_latest_only() {
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
fn a_shown_number_is_said_in_open_and_is_all_of_the_path() {
    let mut bench = Bench::new(PeerConfig { presented_asn: Asn::new(4_200_000_001), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    let [Message::Open(said)] = &bench.heard()[..] else { panic!("no OPEN alone") };
    assert_eq!(said.asn.get(), 4_200_000_001);
    bench.set_routes([(prefix(2), attributes(7))].into());
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    let rib = bench.rib();
    assert_eq!(rib.routes[&prefix(2)].1, [Asn::new(4_200_000_001).unwrap()]);
}

#[test]
fn an_as_number_may_be_left_open_as_long_as_it_is_inside_or_outside() {
    let cases = [
        (RemoteAs::External, None, 65002, Some(false)),
        (RemoteAs::External, None, 65001, None),
        (RemoteAs::Internal, None, 65001, Some(true)),
        (RemoteAs::Internal, None, 65002, None),
        // What is inside goes by the number that the router knows.
        (RemoteAs::Internal, Asn::new(65002), 65002, Some(true)),
        (RemoteAs::External, Asn::new(65002), 65002, None),
    ];
    for (remote, presented_asn, says, internal) in cases {
        let mut bench = Bench::new(PeerConfig { remote, presented_asn, ..config() });
        bench.connect(ConnectionDirection::Outgoing);
        let mut theirs = open();
        theirs.asn = Asn::new(says).unwrap();
        bench.say(ConnectionDirection::Outgoing, Message::Open(theirs));
        bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
        assert_eq!(bench.peer.negotiated().map(|agreed| agreed.internal), internal, "{remote:?}, {says}");
    }
}

#[test]
fn a_family_that_the_router_does_not_offer_is_missing_and_the_other_is_spoken() {
    let mut theirs = open();
    theirs.capabilities.families = vec![Family::Ipv4];
    let mut bench = Bench::established(config(), theirs);
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    assert_eq!(bench.rib().routes.len(), 1);
    let view = bench.peer.view(bench.now);
    assert_eq!(view.negotiated.unwrap().missing, [(Family::Ipv6, MissingFamily::NotOffered)].into());
    assert_eq!(view.unsendable, 1);
}

#[test]
fn a_family_without_next_hop_is_neither_offered_nor_spoken() {
    let mut bench = Bench::new(PeerConfig { next_hops: NextHops::default(), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    let [Message::Open(said)] = &bench.heard()[..] else { panic!("no OPEN alone") };
    assert_eq!(said.capabilities.families, [Family::Ipv4]);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    let missing = bench.peer.view(bench.now).negotiated.unwrap().missing;
    assert_eq!(missing, [(Family::Ipv6, MissingFamily::NoNextHop)].into());
}

#[test]
fn ipv4_goes_over_an_ipv6_link_where_the_router_takes_it_so() {
    for (takes, next_hop) in [(true, Ok("fe80::1")), (false, Err(MissingFamily::NoExtendedNextHop))] {
        let mut bench = Bench::new(PeerConfig { next_hops: NextHops::default(), ..config() });
        let (local, remote) = ("[fe80::1]:179".parse().unwrap(), "[fe80::2]:179".parse().unwrap());
        assert!(bench.peer.handle_connected(ConnectionDirection::Outgoing, local, remote, bench.now));
        let mut theirs = open();
        theirs.capabilities.extended_next_hop = takes;
        bench.say(ConnectionDirection::Outgoing, Message::Open(theirs));
        let negotiated = bench.peer.view(bench.now).negotiated.unwrap();
        let address =
            next_hop.map(|address| NextHop::V6 { address: address.parse().unwrap(), link_local: None });
        assert_eq!(
            negotiated.next_hops.get(&Family::Ipv4).copied().ok_or(MissingFamily::NoExtendedNextHop),
            address
        );
        assert_eq!(negotiated.missing.get(&Family::Ipv4).copied(), address.err());
        assert!(negotiated.next_hops.contains_key(&Family::Ipv6));
    }
}

#[test]
fn what_the_router_announces_is_counted_and_nothing_else() {
    let mut bench = Bench::established(config(), open());
    let sent = bench.peer.view(bench.now).counters.sent;
    let update = Update { withdrawn: vec![prefix(2), prefix(4)], ..Update::default() };
    bench.say(ConnectionDirection::Outgoing, Message::Update(update));
    bench.say(
        ConnectionDirection::Outgoing,
        Message::Update(Update { end_of_rib: Some(Family::Ipv4), ..Update::default() }),
    );
    // A route with ORIGIN 7, which RFC 7606 treats as withdrawn.
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
fn graceful_restart_says_restarted_once_and_forwarding_ever_after() {
    let mut bench = Bench::new(PeerConfig { graceful_restart: Some(8), restarted: true, ..config() });
    let offered = |bench: &mut Bench| {
        bench.forget();
        bench.connect(ConnectionDirection::Outgoing);
        let [Message::Open(said)] = &bench.heard()[..] else { panic!("no OPEN alone") };
        said.capabilities.graceful_restart.clone().unwrap()
    };
    let families = vec![(Family::Ipv4, true), (Family::Ipv6, true)];
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
fn a_first_start_has_not_forwarded_anything() {
    let mut bench = Bench::new(PeerConfig { graceful_restart: Some(8), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    let [Message::Open(said)] = &bench.heard()[..] else { panic!("no OPEN alone") };
    let families = vec![(Family::Ipv4, false), (Family::Ipv6, false)];
    let first = GracefulRestartCapability { restarted: false, notification: true, restart_time: 8, families };
    assert_eq!(said.capabilities.graceful_restart, Some(first));
}

#[test]
fn a_router_that_begins_anew_takes_the_place_of_what_it_has_lost_where_it_restarts_gracefully() {
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
        assert_eq!(bench.notification(), None, "RFC 4724 section 4.2");
    }
}

#[test]
fn beside_a_session_that_is_up_no_other_is_taken() {
    let mut bench = Bench::established(config(), open());
    assert!(!bench.connect(ConnectionDirection::Incoming));
    bench.live(ConnectionDirection::Outgoing, 60 * SECOND);
    assert!(!bench.connect(ConnectionDirection::Incoming));
    assert_eq!((bench.actions(), bench.peer.state()), (vec![], BgpState::Established));
}

#[test]
fn of_two_connections_that_of_the_higher_identifier_stays() {
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
            let said = bench.notification().unwrap();
            assert_eq!((said.code, said.subcode), (6, 7));
            bench.say(kept, Message::Keepalive);
            assert_eq!(bench.actions(), [PeerAction::Established(kept)]);
            assert_eq!(bench.peer.view(bench.now).last_close, None);
        }
    }
}

#[test]
fn between_equal_identifiers_the_higher_as_number_decides() {
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
fn a_connection_on_which_the_router_says_nothing_does_not_keep_it_from_opening_another() {
    let mut bench = Bench::new(config());
    bench.peer.handle_connect_failed("connection refused".to_owned(), bench.now);
    bench.connect(ConnectionDirection::Incoming);
    assert!(bench.time_to_connect() <= SECOND);
    bench.connect(ConnectionDirection::Outgoing);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    bench.say(ConnectionDirection::Outgoing, Message::Keepalive);
    assert_eq!(
        bench.peer.state(),
        BgpState::OpenSent,
        "the other would be preferred if it came to something"
    );
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
fn beside_a_connection_with_our_keepalive_no_other_gets_an_open() {
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
fn the_keepalive_is_kept_back_on_a_connection_that_may_still_lose() {
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
            "the router's has the higher identifier"
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
    assert_eq!(
        bench.actions(),
        [PeerAction::Close(ConnectionDirection::Outgoing)],
        "what is kept of a flood is bounded"
    );
}

#[test]
fn messages_may_come_octet_by_octet() {
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
fn a_change_of_what_was_agreed_begins_anew_and_another_does_not() {
    let mut bench = Bench::established(config(), open());
    bench.set_routes([(prefix(2), attributes(7))].into());
    bench.forget();
    let harmless = PeerConfig {
        host_name: "other".to_owned(),
        keepalive: Some(SECOND),
        connect_timeout: SECOND,
        // The router's is the smaller one.
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
    assert_eq!(bench.rib().routes[&prefix(2)].0, NextHop::V4([192, 0, 2, 77].into()));
    let hold_time = HoldTime::new(9).unwrap();
    bench.peer.set_config(PeerConfig { hold_time, ..config() }, bench.now);
    bench.pump();
    let said = bench.notification().unwrap();
    assert_eq!((said.code, said.subcode), (6, 6));
    assert_eq!(bench.time_to_connect(), Duration::ZERO);
}

#[test]
fn a_corrected_configuration_is_tried_at_once() {
    let mut bench =
        Bench::new(PeerConfig { remote: RemoteAs::Exactly(Asn::new(65010).unwrap()), ..config() });
    bench.connect(ConnectionDirection::Outgoing);
    bench.say(ConnectionDirection::Outgoing, Message::Open(open()));
    assert!(!bench.connect(ConnectionDirection::Outgoing), "it holds down");
    bench.peer.set_config(config(), bench.now);
    assert_eq!(bench.time_to_connect(), Duration::ZERO);
    bench.establish(ConnectionDirection::Outgoing, open());
}
