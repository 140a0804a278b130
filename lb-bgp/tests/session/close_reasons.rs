//! Closing of sessions: the NOTIFICATION, the reason and advice, and the next attempt.

use std::time::Duration;

use lb_bgp::message::{Message, Notification, Update};
use lb_bgp::session::ClosedBy;
use lb_bgp::session::{
    AdviceContext, BgpState, ConnectionDirection, PeerAction, PeerAs, PeerConfig, Shutdown,
};
use lb_bgp::value::{AddressFamily, Asn, RouterId};
use proptest::prelude::*;

use crate::rib::{attributes, prefix};
use crate::router::{Bench, config, graceful_open, open};

const SECOND: Duration = Duration::from_secs(1);
const OUTGOING: ConnectionDirection = ConnectionDirection::Outgoing;

const SETUP: AdviceContext =
    AdviceContext { asn: Asn::new(65001).unwrap(), password: false, multihop: false };

fn graceful() -> PeerConfig {
    PeerConfig { graceful_restart: Some(8), ..config() }
}

fn code(notification: Option<Notification>) -> Option<(u8, u8)> {
    notification.map(|notification| (notification.code, notification.subcode))
}

fn administrative() -> Shutdown {
    Shutdown::Administrative { text: "see you".to_owned() }
}

#[test]
fn each_shutdown_sends_its_notification() {
    let reset = Shutdown::Reset { text: "see you".to_owned() };
    let cases = [
        (administrative(), false, Some((6, 2))),
        // RFC 8538: otherwise the router would keep the routes.
        (administrative(), true, Some((6, 9))),
        (reset.clone(), false, Some((6, 4))),
        (reset, true, Some((6, 4))),
        (Shutdown::Deconfigured, false, Some((6, 3))),
        (Shutdown::Deconfigured, true, Some((6, 9))),
        (Shutdown::Replacement, false, Some((6, 4))),
        (Shutdown::Replacement, true, None),
    ];
    for (shutdown, is_graceful, notification) in cases {
        let mut bench = if is_graceful {
            Bench::established(graceful(), graceful_open())
        } else {
            Bench::established(config(), open())
        };
        bench.peer.shut_down(shutdown.clone(), bench.now);
        bench.pump();
        let actions = bench.actions();
        assert_eq!(actions[0], PeerAction::Close(OUTGOING), "{shutdown:?}");
        assert!(matches!(&actions[1], PeerAction::Down(close) if close.reason.by() == ClosedBy::Local));
        let received = bench.notification();
        assert_eq!(code(received.clone()), notification, "{shutdown:?}, graceful: {is_graceful}");
        let carries_text = received.is_some_and(|received| received.to_string().contains("\"see you\""));
        assert_eq!(
            carries_text,
            matches!(shutdown, Shutdown::Administrative { .. } | Shutdown::Reset { .. })
        );
        assert_eq!(bench.peer.view(bench.now).counters.flaps, 0);
        if shutdown.is_final() {
            assert_eq!((bench.peer.state(), bench.peer.next_deadline()), (BgpState::Idle, None));
            assert!(!bench.connect(ConnectionDirection::Incoming));
        } else {
            assert!(bench.time_to_connect() <= SECOND);
        }
    }
}

#[test]
fn a_shutdown_abandons_a_connection_attempt() {
    let mut bench = Bench::new(config());
    bench.actions();
    bench.peer.shut_down(Shutdown::Deconfigured, bench.now);
    bench.pump();
    assert_eq!(bench.actions(), [PeerAction::Close(OUTGOING)]);
    assert_eq!(bench.peer.next_deadline(), None);
    assert!(!bench.connect(OUTGOING));
    bench.peer.start(bench.now);
    bench.pump();
    assert_eq!(bench.actions(), [PeerAction::Connect]);
}

/// The router connects and sends OPEN and a NOTIFICATION; returns whether the connection was admitted.
fn resets(bench: &mut Bench) -> bool {
    let is_in = bench.connect(ConnectionDirection::Incoming);
    if is_in {
        bench.say(ConnectionDirection::Incoming, Message::Open(open()));
        bench.say(ConnectionDirection::Incoming, Message::Notification(Notification::new(6, 4)));
        bench.pump();
    }
    is_in
}

#[test]
fn a_router_that_only_sends_notifications_is_damped_with_growing_delays() {
    let mut bench = Bench::new(PeerConfig { passive: true, ..config() });
    assert!((0..3).all(|_| resets(&mut bench)), "an operator may reset a session more than once");
    for whole in [1, 2, 4, 8, 8, 8] {
        assert!(resets(&mut bench));
        assert!(!resets(&mut bench), "the next connection is refused");
        bench.wait(SECOND * whole * 3 / 4 - SECOND / 100);
        assert!(!resets(&mut bench), "before three quarters of {whole} s");
        bench.wait(SECOND * whole / 4 + SECOND / 50);
    }
    // A long session resets the damping.
    bench.establish(ConnectionDirection::Incoming, open());
    bench.live(ConnectionDirection::Incoming, 9 * SECOND);
    bench.say(ConnectionDirection::Incoming, Message::Notification(Notification::new(6, 4)));
    assert!(resets(&mut bench) && resets(&mut bench));
}

#[test]
fn a_new_configuration_resets_the_damping() {
    let mut bench = Bench::new(PeerConfig { passive: true, ..config() });
    while resets(&mut bench) {}
    bench.peer.set_config(PeerConfig { passive: true, host_name: "other".to_owned(), ..config() }, bench.now);
    assert!(resets(&mut bench));
}

#[test]
fn the_session_closes_when_the_hold_timer_expires() {
    let mut bench = Bench::established(config(), open());
    bench.wait(29 * SECOND);
    assert_eq!(bench.peer.state(), BgpState::Established);
    bench.forget();
    bench.wait(SECOND);
    assert_eq!(code(bench.notification()), Some((4, 0)));
    assert_eq!(bench.last_close().to_string(), "hold timer expired: no message from the router for 30s");
    assert_eq!(bench.peer.view(bench.now).counters.flaps, 1);
}

#[test]
fn updates_restart_the_hold_timer() {
    let mut bench = Bench::established(config(), open());
    for _ in 0..10 {
        bench.wait(20 * SECOND);
        bench.say(
            OUTGOING,
            Message::Update(Update { end_of_rib: Some(AddressFamily::Ipv4), ..Update::default() }),
        );
    }
    assert_eq!(bench.peer.state(), BgpState::Established);
}

#[test]
fn the_send_hold_timer_expires_after_eight_minutes() {
    let mut bench = Bench::established(config(), open());
    assert_eq!(bench.peer.view(bench.now).send_stall, None);
    bench.reads = false;
    bench.set_routes([(prefix(2), attributes(7))].into());
    let begun = bench.now;
    bench.live(OUTGOING, 479 * SECOND);
    assert_eq!(bench.peer.state(), BgpState::Established);
    let send_stall = bench.peer.view(bench.now).send_stall.unwrap();
    assert_eq!(send_stall.expires_at - send_stall.since, 480 * SECOND);
    assert!(send_stall.since - begun < SECOND, "{send_stall:?}");
    bench.forget();
    bench.live(OUTGOING, 2 * SECOND);
    assert_eq!(code(bench.notification()), Some((8, 0)));
}

#[test]
fn a_connection_without_open_is_closed_after_four_minutes() {
    let mut bench = Bench::new(config());
    bench.connect(OUTGOING);
    bench.wait(239 * SECOND);
    assert_eq!(bench.peer.state(), BgpState::OpenSent);
    bench.wait(SECOND);
    assert_eq!(code(bench.notification()), Some((4, 0)));
}

#[test]
fn bfd_closes_the_session_only_when_it_goes_down_after_having_been_up() {
    let mut bench = Bench::established(config(), open());
    bench.peer.handle_bfd(false, bench.now);
    assert_eq!(bench.peer.state(), BgpState::Established);
    bench.peer.handle_bfd(true, bench.now);
    bench.peer.handle_bfd(false, bench.now);
    bench.pump();
    assert_eq!(code(bench.notification()), Some((6, 10)));
    assert_eq!(bench.last_close().reason.label(), "bfd_down");
    assert!(bench.last_close().advice(SETUP).unwrap().contains("BFD profiles"));
    assert!(bench.connect(ConnectionDirection::Incoming), "incoming connections are still admitted");
}

#[test]
fn an_unacceptable_open_is_rejected_with_the_reason() {
    let asn = |number| Asn::new(number).unwrap();
    let exactly = |number| PeerConfig { remote: PeerAs::Exactly(asn(number)), ..config() };
    let inside = PeerConfig { remote: PeerAs::Internal, router_id: open().router_id, ..config() };
    let mut of_ours = open();
    of_ours.asn = asn(65001);
    let mut only_v4 = open();
    only_v4.capabilities.families = vec![AddressFamily::Ipv4];
    let v6 = PeerConfig { families: vec![AddressFamily::Ipv6], ..config() };
    let cases = [
        (
            exactly(65010),
            open(),
            (2, 2),
            "the router's AS number is 65002; peerASN is 65010",
            "set peerASN to 65002",
        ),
        (
            inside,
            of_ours,
            (2, 3),
            "the router has the same BGP identifier as this node, 10.0.0.2",
            "routerID",
        ),
        (v6, only_v4, (2, 7), "no common address family: the router does not offer IPv6", "on the router"),
    ];
    for (config, theirs, notification, words, advice) in cases {
        let mut bench = Bench::new(config);
        bench.connect(OUTGOING);
        bench.say(OUTGOING, Message::Open(theirs));
        let received = bench.notification();
        if notification == (2, 7) {
            assert_eq!(received.as_ref().unwrap().data, [1, 4, 0, 2, 0, 1]);
        }
        assert_eq!(code(received), Some(notification));
        let close = bench.last_close();
        assert!(close.to_string().contains(words), "{close}");
        assert!(close.advice(SETUP).unwrap().contains(advice), "{:?}", close.advice(SETUP));
        assert!(bench.time_to_connect() >= SECOND * 3 / 4);
    }
}

#[test]
fn a_received_notification_is_shown_by_name_with_advice() {
    let mut shutdown = vec![10];
    shutdown.extend(b"rack moves");
    let cases = [
        (
            2,
            2,
            vec![],
            "the router closed the session: bad peer AS (2/2), in OpenConfirm",
            Some("myASN or localASN"),
        ),
        (4, 0, vec![], "the router closed the session: hold timer expired (4/0)", Some("starved of CPU")),
        (6, 2, shutdown, "administrative shutdown (6/2): \"rack moves\"", Some("an operator")),
        (6, 10, vec![], "BFD down (6/10)", Some("BFD profiles")),
        (6, 0, vec![], "cease (6/0)", None),
    ];
    for (code, subcode, data, words, advice) in cases {
        let mut bench = Bench::new(config());
        bench.connect(OUTGOING);
        bench.say(OUTGOING, Message::Open(open()));
        bench.forget();
        bench.say(OUTGOING, Message::Notification(Notification { code, subcode, data }));
        assert_eq!(bench.actions(), [PeerAction::Close(OUTGOING)]);
        assert_eq!(bench.notification(), None, "a NOTIFICATION is not answered");
        let close = bench.last_close();
        assert!(close.to_string().contains(words), "{close}");
        assert_eq!(close.advice(SETUP).is_some(), advice.is_some());
        assert!(
            close.advice(SETUP).unwrap_or_default().contains(advice.unwrap_or_default()),
            "{:?}",
            close.advice(SETUP)
        );
        assert_eq!(close.reason.by(), ClosedBy::Peer);
    }
}

#[test]
fn unexpected_and_malformed_messages_are_distinguished() {
    let before_open = [Message::Keepalive, Message::Update(Update::default()), Message::RouteRefresh(None)];
    for message in before_open {
        let mut bench = Bench::new(config());
        bench.connect(OUTGOING);
        bench.say(OUTGOING, message.clone());
        assert_eq!(code(bench.notification()), Some((5, 1)), "{message:?}");
    }
    let mut bench = Bench::new(config());
    bench.connect(OUTGOING);
    bench.say(OUTGOING, Message::Open(open()));
    bench.say(OUTGOING, Message::Update(Update::default()));
    assert_eq!(code(bench.notification()), Some((5, 2)));
    let mut bench = Bench::established(config(), open());
    bench.say(OUTGOING, Message::Open(open()));
    assert_eq!(code(bench.notification()), Some((5, 3)));
    assert_eq!(bench.last_close().to_string(), "unexpected OPEN from the router in Established");
    let mut bench = Bench::established(config(), open());
    bench.say_bytes(OUTGOING, &[0; 19]);
    assert_eq!(code(bench.notification()), Some((1, 1)));
    assert!(
        bench.last_close().to_string().starts_with("malformed message from the router"),
        "{}",
        bench.last_close()
    );
}

#[test]
fn connection_failures_back_off_exponentially() {
    let mut bench = Bench::new(config());
    for whole in [1, 2, 4, 8, 8, 8] {
        bench.peer.handle_connect_failed("connection refused".to_owned(), bench.now);
        assert_eq!(bench.peer.state(), BgpState::Active, "incoming connections are still admitted");
        assert_eq!(bench.last_close().to_string(), "cannot connect: connection refused, in Connect");
        let wait = bench.time_to_connect();
        assert!(wait >= whole * SECOND * 3 / 4 && wait <= whole * SECOND, "{wait:?} of {whole} s");
    }
}

#[test]
fn a_long_session_resets_the_back_off() {
    for (lasted, most) in [(60, 1), (1, 8)] {
        let mut bench = Bench::new(config());
        for _ in 0..5 {
            bench.peer.handle_connect_failed("connection refused".to_owned(), bench.now);
            bench.time_to_connect();
        }
        bench.establish(OUTGOING, open());
        bench.live(OUTGOING, lasted * SECOND);
        bench.close(OUTGOING);
        let wait = bench.time_to_connect();
        assert!(wait <= most * SECOND && wait > most * SECOND / 2, "{wait:?}");
    }
}

#[test]
fn a_connection_timeout_suggests_checking_the_password() {
    let mut bench = Bench::new(config());
    bench.wait(10 * SECOND);
    let close = bench.last_close();
    assert_eq!(close.to_string(), "cannot connect: no answer for 10s, in Connect");
    assert!(close.advice(SETUP).unwrap().contains("TCP-MD5 password"));
    assert_eq!(bench.actions(), [PeerAction::Connect, PeerAction::Connect]);
    assert_eq!(bench.peer.view(bench.now).counters.connects_failed, 1);
}

#[test]
fn different_seeds_spread_connection_attempts() {
    let waits = (0..50).map(|seed| {
        let mut peer = lb_bgp::session::Peer::new(config(), seed, Duration::ZERO);
        peer.handle_connect_failed("connection refused".to_owned(), Duration::ZERO);
        peer.next_deadline().unwrap()
    });
    let waits: std::collections::BTreeSet<_> = waits.collect();
    assert!(waits.len() > 25, "{waits:?}");
}

/// Garbage, or nearly valid messages.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let update = |body: Vec<u8>| {
        let mut bytes = vec![0xff; 16];
        bytes.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
        bytes.push(2);
        bytes.extend(body);
        bytes
    };
    let header = (any::<u16>(), 0..8u8, proptest::collection::vec(any::<u8>(), 0..100));
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(any::<u8>(), 4..300).prop_map(update),
        header.prop_map(|(length, kind, body)| {
            let mut bytes = vec![0xff; 16];
            bytes.extend(length.to_be_bytes());
            bytes.push(kind);
            bytes.extend(body);
            bytes
        }),
    ]
}

proptest! {
    #[test]
    fn garbage_causes_a_notification_and_back_off(
        pieces in proptest::collection::vec(garbage(), 1..6),
        is_up: bool,
        router_id in 1..u32::MAX,
    ) {
        let router_id = RouterId::new(router_id.into()).unwrap();
        let mut bench = Bench::new(PeerConfig { router_id, ..config() });
        if is_up {
            bench.establish(OUTGOING, open());
        } else {
            bench.connect(OUTGOING);
        }
        bench.forget();
        for piece in pieces {
            bench.say_bytes(OUTGOING, &piece);
        }
        let malformed = bench.peer.view(bench.now).counters.malformed;
        let ended = bench.actions().contains(&PeerAction::Close(OUTGOING));
        let is_answered = bench.notification().is_some();
        // A NOTIFICATION among the garbage is not answered.
        let received = bench.peer.view(bench.now).counters.received.notification;
        prop_assert_eq!(is_answered, ended && received == 0);
        prop_assert!(malformed <= 1, "{malformed}: nothing is decoded after the close");
        if malformed == 1 {
            prop_assert!(ended);
            prop_assert!(bench.time_to_connect() >= SECOND * 3 / 4);
        }
    }
}
