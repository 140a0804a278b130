//! Routers that refuse capabilities (RFC 5492 section 3).

use std::time::Duration;

use lb_bgp::message::{Capabilities, Message, Notification, Open};
use lb_bgp::session::{
    BgpState, CloseReason, ConnectionDirection, MissingFamily, PeerAction, PeerConfig, RefusedCapabilities,
    Shutdown,
};
use lb_bgp::value::{Asn, Family};
use proptest::prelude::*;

use crate::rib::{attributes, prefix};
use crate::router::{Bench, config, open};

const SECOND: Duration = Duration::from_secs(1);
const OUTGOING: ConnectionDirection = ConnectionDirection::Outgoing;
const IPV6: [u8; 6] = [1, 4, 0, 2, 0, 1];
const IPV4: [u8; 6] = [1, 4, 0, 1, 0, 1];

/// What a router without capabilities says.
fn plain_open() -> Open {
    Open { capabilities: Capabilities::default(), ..open() }
}

fn refusal(subcode: u8, data: &[u8]) -> Message {
    Message::Notification(Notification { code: 2, subcode, data: data.to_vec() })
}

/// The next connection, and the OPEN on it.
fn next_open(bench: &mut Bench) -> Open {
    if bench.peer.state() != BgpState::Connect {
        bench.time_to_connect();
    }
    bench.forget();
    assert!(bench.connect(OUTGOING));
    match bench.heard().as_slice() {
        [Message::Open(open)] => open.clone(),
        heard => panic!("no OPEN alone: {heard:?}"),
    }
}

/// One whose OPEN was answered by a NOTIFICATION.
fn refused(config: PeerConfig, said: Message) -> Bench {
    let mut bench = Bench::new(config);
    next_open(&mut bench);
    bench.say(OUTGOING, said);
    bench
}

fn come_up(bench: &mut Bench, theirs: Open) {
    bench.say(OUTGOING, Message::Open(theirs));
    bench.say(OUTGOING, Message::Keepalive);
    assert_eq!(bench.peer.state(), BgpState::Established);
}

#[test]
fn after_unsupported_optional_parameter_open_has_none_and_ipv4_is_advertised() {
    let wide = PeerConfig { local_asn: Asn::new(4_200_000_001).unwrap(), ..config() };
    let mut bench = refused(wide.clone(), refusal(4, &[]));
    assert!(bench.actions().contains(&PeerAction::CapabilitiesRefused(RefusedCapabilities::All)));
    assert!(bench.time_to_connect() <= SECOND, "less is another attempt, not the same again");
    assert!(bench.connect(OUTGOING));
    let [.., Message::Open(said)] = &bench.heard()[..] else { panic!("no OPEN") };
    assert_eq!((&said.capabilities, said.asn.get()), (&Capabilities::default(), u32::from(Asn::TRANS)));
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    come_up(&mut bench, plain_open());
    let rib = bench.rib();
    assert_eq!(rib.routes.keys().copied().collect::<Vec<_>>(), [prefix(2)]);
    assert_eq!(rib.routes[&prefix(2)].1, [wide.local_asn], "AS4_PATH says what AS_PATH cannot");
    let view = bench.peer.view(bench.now);
    let negotiated = view.negotiated.unwrap();
    assert_eq!(negotiated.missing, [(Family::Ipv6, MissingFamily::Refused)].into());
    assert!(!negotiated.four_octet_asn && !negotiated.extended_message);
    assert_eq!((view.unsendable, &view.refused), (1, &Some(RefusedCapabilities::All)));
    let words = view.refused.unwrap().consequences(wide.local_asn);
    assert!(words.contains("only IPv4 routes") && words.contains("AS 23456 (AS_TRANS)"), "{words}");
}

/// The list, and what is still offered.
type Listed<'a> = (&'a [&'a [u8]], fn(&mut Capabilities));

#[test]
fn after_unsupported_capability_open_goes_without_those_listed() {
    let rows: [Listed<'_>; 7] = [
        (&[&[6, 0]], |left| left.extended_message = false),
        (&[&[2, 0], &[73, 1, 0]], |left| {
            left.route_refresh = false;
            left.host_name = None;
        }),
        (&[&IPV6], |left| left.families = vec![Family::Ipv4]),
        (&[&[65, 4, 0, 0, 0, 1]], |left| left.four_octet_asn = false),
        (&[&[1, 0]], |left| left.families = vec![]),
        // One that this side does not have, and what is cut short, stand beside one that it has.
        (&[&[69, 0], &[6, 0], &[65, 4, 0]], |left| left.extended_message = false),
        (&[&IPV4, &IPV6], |left| left.families = vec![]),
    ];
    for (list, less) in rows {
        let mut whole = next_open(&mut Bench::new(config())).capabilities;
        let mut bench = refused(config(), refusal(7, &list.concat()));
        less(&mut whole);
        assert_eq!(next_open(&mut bench).capabilities, whole, "{list:?}");
        come_up(&mut bench, plain_open());
    }
}

#[test]
fn refusals_add_up() {
    let mut bench = refused(config(), refusal(7, &[6, 0]));
    next_open(&mut bench);
    bench.say(OUTGOING, refusal(7, &IPV6));
    let left = next_open(&mut bench).capabilities;
    assert!(!left.extended_message && left.families == [Family::Ipv4] && left.four_octet_asn, "{left:?}");
    bench.say(OUTGOING, refusal(4, &[]));
    assert_eq!(next_open(&mut bench).capabilities, Capabilities::default());
}

/// It names one capability, and takes no OPEN with any.
#[test]
fn a_router_that_names_again_what_was_left_out_gets_an_open_without_any() {
    let mut bench = refused(config(), refusal(7, &[6, 0]));
    assert!(!next_open(&mut bench).capabilities.extended_message);
    bench.say(OUTGOING, refusal(7, &[6, 0]));
    assert_eq!(next_open(&mut bench).capabilities, Capabilities::default());
    come_up(&mut bench, plain_open());
    assert_eq!(bench.peer.view(bench.now).refused, Some(RefusedCapabilities::All));
}

#[test]
fn what_the_configuration_needs_is_offered_again_later_and_later_and_the_hint_says_so() {
    let only_v6 = || PeerConfig { families: vec![Family::Ipv6], ..config() };
    for said in [refusal(7, &IPV6), refusal(4, &[]), refusal(7, &[])] {
        let mut bench = Bench::new(only_v6());
        let whole = next_open(&mut bench);
        for most in [1, 2, 4, 8] {
            bench.say(OUTGOING, said.clone());
            let wait = bench.time_to_connect();
            assert!(wait >= SECOND * most * 3 / 4 && wait <= SECOND * most, "{wait:?} of {most} s");
            assert_eq!(next_open(&mut bench), whole);
        }
        assert_eq!(bench.peer.view(bench.now).refused, None);
    }
    let mut bench = refused(config(), refusal(7, &[9, 1, 0]));
    assert_eq!(bench.peer.view(bench.now).refused, None, "what was not offered cannot be left out");
    let close = bench.last_close().to_string();
    assert!(close.contains("unsupported capability (2/7): BGP role"), "{close}");
    assert!(next_open(&mut bench).capabilities.extended_message);
}

#[test]
fn a_refusal_counts_for_ten_minutes_and_ends_no_session() {
    let mut bench = refused(config(), refusal(4, &[]));
    next_open(&mut bench);
    come_up(&mut bench, plain_open());
    bench.live(OUTGOING, 590 * SECOND);
    bench.close(OUTGOING);
    assert_eq!(next_open(&mut bench).capabilities, Capabilities::default());
    come_up(&mut bench, plain_open());
    bench.forget();
    bench.live(OUTGOING, 7200 * SECOND);
    assert_eq!(bench.actions(), [], "it never ends by itself");
    bench.close(OUTGOING);
    assert!(next_open(&mut bench).capabilities.four_octet_asn, "the router may have been upgraded");
    come_up(&mut bench, open());
    assert_eq!(bench.peer.view(bench.now).refused, None);
}

#[test]
fn a_refusal_is_forgotten_with_the_configuration_unless_its_session_goes_on() {
    let other = || PeerConfig { host_name: "other".to_owned(), ..config() };
    let mut bench = refused(config(), refusal(4, &[]));
    bench.peer.set_config(other(), bench.now);
    bench.pump();
    assert!(next_open(&mut bench).capabilities.four_octet_asn);

    let mut bench = refused(config(), refusal(4, &[]));
    next_open(&mut bench);
    come_up(&mut bench, plain_open());
    bench.forget();
    bench.peer.set_config(other(), bench.now);
    bench.pump();
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.peer.view(bench.now).refused, Some(RefusedCapabilities::All));
    bench.peer.shut_down(Shutdown::Reset { text: String::new() }, bench.now);
    bench.pump();
    assert!(next_open(&mut bench).capabilities.four_octet_asn, "an operator may know better");
}

#[test]
fn where_less_is_refused_too_the_whole_is_offered_and_waits_grow() {
    let mut bench = Bench::new(config());
    let mut waits = Vec::new();
    for _ in 0..8 {
        let is_whole = next_open(&mut bench).capabilities.four_octet_asn;
        bench.say(OUTGOING, refusal(4, &[]));
        waits.push((is_whole, bench.time_to_connect()));
        bench.forget();
    }
    assert!(waits.chunks(2).all(|pair| pair[0].0 && !pair[1].0), "{waits:?}");
    assert!(waits[7].1 >= SECOND * 6, "{waits:?}");
}

/// Every NOTIFICATION but those two, and these two where a session is up, leaves the OPEN as it is.
#[test]
fn nothing_else_takes_anything_from_open() {
    let whole = next_open(&mut Bench::new(config()));
    for (code, subcode) in (1..=8).flat_map(|code| (0..=11).map(move |subcode| (code, subcode))) {
        let data = [6, 0].to_vec();
        let said = Notification { code, subcode, data };
        let is_refusal = code == 2 && (subcode == 4 || subcode == 7);
        let mut bench = refused(config(), Message::Notification(said.clone()));
        assert_eq!(next_open(&mut bench) == whole, !is_refusal, "{said}");
        come_up(&mut bench, open());
        bench.say(OUTGOING, Message::Notification(said.clone()));
        if !is_refusal {
            assert_eq!(next_open(&mut bench), whole, "{said} in Established");
        }
    }
    let mut bench = Bench::established(config(), open());
    bench.say(OUTGOING, refusal(4, &[]));
    assert_eq!(next_open(&mut bench).capabilities, whole.capabilities, "2/4 in Established");
}

/// A router that takes some capabilities and no others, and refuses them in its own way.
#[derive(Clone, Debug)]
struct Old {
    takes: Vec<bool>,
    /// How it refuses: all by 2/4, all that it does not take by 2/7, or the first of these.
    manner: u8,
}

/// What it finds in an OPEN and does not take.
fn not_taken(old: &Old, offered: &Capabilities) -> Vec<Vec<u8>> {
    let found = [
        (offered.families.contains(&Family::Ipv4), IPV4.to_vec()),
        (offered.families.contains(&Family::Ipv6), IPV6.to_vec()),
        (offered.route_refresh, vec![2, 0]),
        (offered.extended_message, vec![6, 0]),
        (offered.four_octet_asn, vec![65, 4, 0, 0, 0xfd, 0xe9]),
        (offered.host_name.is_some(), vec![73, 2, 0, 0]),
        (offered.graceful_restart.is_some(), vec![64, 2, 0, 0]),
    ];
    let kept = found.into_iter().zip(&old.takes).filter(|((is_there, _), takes)| *is_there && !**takes);
    kept.map(|((_, capability), _)| capability).collect()
}

proptest! {
    #[test]
    fn every_router_is_spoken_to_without_what_it_refuses_and_the_session_stays(
        takes in proptest::collection::vec(any::<bool>(), 7),
        manner in 0..3u8,
        graceful: bool,
    ) {
        let mut old = Old { takes, manner };
        let ours = PeerConfig { graceful_restart: graceful.then_some(8), ..config() };
        let mut bench = Bench::new(ours);
        bench.set_routes([(prefix(2), attributes(7))].into());
        let mut attempts = 0;
        loop {
            attempts += 1;
            prop_assert!(attempts <= 8, "as many as there are capabilities");
            let offered = next_open(&mut bench).capabilities;
            let list = not_taken(&old, &offered);
            match old.manner {
                _ if list.is_empty() => break,
                // It knows no capability at all.
                0 => {
                    old.takes = vec![false; 7];
                    bench.say(OUTGOING, refusal(4, &[]));
                }
                1 => bench.say(OUTGOING, refusal(7, &list.concat())),
                _ => bench.say(OUTGOING, refusal(7, &list[0])),
            }
            let view = bench.peer.view(bench.now);
            prop_assert!(view.refused.is_some());
            prop_assert!(matches!(view.last_close.unwrap().reason, CloseReason::NotificationReceived(_)));
        }
        let families = [Family::Ipv4, Family::Ipv6].into_iter().zip(&old.takes);
        let families: Vec<_> = families.filter(|(_, takes)| **takes).map(|(family, _)| family).collect();
        let is_v4 = families.is_empty() || families.contains(&Family::Ipv4);
        let capabilities = Capabilities { families, four_octet_asn: old.takes[4], ..Capabilities::default() };
        come_up(&mut bench, Open { capabilities, ..open() });
        // With 2/4 nothing but IPv4 is left.
        let is_told = bench.rib().routes.contains_key(&prefix(2));
        prop_assert_eq!(is_told, is_v4);
        bench.forget();
        bench.live(OUTGOING, 1000 * SECOND);
        prop_assert_eq!(bench.actions(), []);
    }
}
