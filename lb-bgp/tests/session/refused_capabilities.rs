//! Routers that refuse capabilities (RFC 5492, section 3).

use std::time::Duration;

use lb_bgp::message::{Capabilities, Message, Notification, Open};
use lb_bgp::session::{
    BgpState, CloseReason, ConnectionDirection, MissingFamily, PeerAction, PeerConfig, RefusedCapabilities,
    Shutdown,
};
use lb_bgp::value::{AddressFamily, Asn};
use proptest::prelude::*;

use crate::rib::{attributes, prefix};
use crate::router::{Bench, config, open};

const SECOND: Duration = Duration::from_secs(1);
const OUTGOING: ConnectionDirection = ConnectionDirection::Outgoing;
const IPV6: [u8; 6] = [1, 4, 0, 2, 0, 1];
const IPV4: [u8; 6] = [1, 4, 0, 1, 0, 1];

/// OPEN of a router without capabilities.
fn plain_open() -> Open {
    Open { capabilities: Capabilities::default(), ..open() }
}

fn refusal(subcode: u8, data: &[u8]) -> Message {
    Message::Notification(Notification { code: 2, subcode, data: data.to_vec() })
}

/// Connects and returns the OPEN.
fn next_open(bench: &mut Bench) -> Open {
    if bench.peer.state() != BgpState::Connect {
        bench.time_to_connect();
    }
    bench.forget();
    assert!(bench.connect(OUTGOING));
    match bench.heard().as_slice() {
        [Message::Open(open)] => open.clone(),
        heard => panic!("not exactly one OPEN: {heard:?}"),
    }
}

/// A peer whose OPEN was answered by this NOTIFICATION.
fn refused(config: PeerConfig, notification: Message) -> Bench {
    let mut bench = Bench::new(config);
    next_open(&mut bench);
    bench.say(OUTGOING, notification);
    bench
}

fn establish(bench: &mut Bench, theirs: Open) {
    bench.say(OUTGOING, Message::Open(theirs));
    bench.say(OUTGOING, Message::Keepalive);
    assert_eq!(bench.peer.state(), BgpState::Established);
}

#[test]
fn after_unsupported_optional_parameter_open_has_none_and_ipv4_is_advertised() {
    let wide = PeerConfig { local_asn: Asn::new(4_200_000_001).unwrap(), ..config() };
    let mut bench = refused(wide.clone(), refusal(4, &[]));
    assert!(bench.actions().contains(&PeerAction::CapabilitiesRefused(RefusedCapabilities::All)));
    assert!(bench.time_to_connect() <= SECOND, "a reduced OPEN is tried without back-off");
    assert!(bench.connect(OUTGOING));
    let [.., Message::Open(notification)] = &bench.heard()[..] else { panic!("no OPEN") };
    assert_eq!(
        (&notification.capabilities, notification.asn.get()),
        (&Capabilities::default(), u32::from(Asn::TRANS))
    );
    bench.set_routes([(prefix(2), attributes(7)), (prefix(3), attributes(7))].into());
    establish(&mut bench, plain_open());
    let rib = bench.rib();
    assert_eq!(rib.routes.keys().copied().collect::<Vec<_>>(), [prefix(2)]);
    assert_eq!(rib.routes[&prefix(2)].1, [wide.local_asn], "AS4_PATH has the four-octet number");
    let view = bench.peer.view(bench.now);
    let negotiated = view.negotiated.unwrap();
    assert_eq!(negotiated.missing, [(AddressFamily::Ipv6, MissingFamily::Refused)].into());
    assert!(!negotiated.four_octet_asn && !negotiated.extended_message);
    assert_eq!((view.unsendable, &view.refused), (1, &Some(RefusedCapabilities::All)));
    let words = view.refused.unwrap().consequences(wide.local_asn);
    assert!(words.contains("only IPv4 routes") && words.contains("AS 23456 (AS_TRANS)"), "{words}");
}

/// The listed capabilities, and the effect on the next OPEN.
type Listed<'a> = (&'a [&'a [u8]], fn(&mut Capabilities));

#[test]
fn after_unsupported_capability_open_omits_those_listed() {
    let rows: [Listed<'_>; 7] = [
        (&[&[6, 0]], |left| left.extended_message = false),
        (&[&[2, 0], &[73, 1, 0]], |left| {
            left.route_refresh = false;
            left.host_name = None;
        }),
        (&[&IPV6], |left| left.families = vec![AddressFamily::Ipv4]),
        (&[&[65, 4, 0, 0, 0, 1]], |left| left.four_octet_asn = false),
        (&[&[1, 0]], |left| left.families = vec![]),
        // An unsupported one and a truncated one, beside a supported one.
        (&[&[69, 0], &[6, 0], &[65, 4, 0]], |left| left.extended_message = false),
        (&[&IPV4, &IPV6], |left| left.families = vec![]),
    ];
    for (list, less) in rows {
        let mut whole = next_open(&mut Bench::new(config())).capabilities;
        let mut bench = refused(config(), refusal(7, &list.concat()));
        less(&mut whole);
        assert_eq!(next_open(&mut bench).capabilities, whole, "{list:?}");
        establish(&mut bench, plain_open());
    }
}

#[test]
fn refusals_accumulate() {
    let mut bench = refused(config(), refusal(7, &[6, 0]));
    next_open(&mut bench);
    bench.say(OUTGOING, refusal(7, &IPV6));
    let left = next_open(&mut bench).capabilities;
    assert!(
        !left.extended_message && left.families == [AddressFamily::Ipv4] && left.four_octet_asn,
        "{left:?}"
    );
    bench.say(OUTGOING, refusal(4, &[]));
    assert_eq!(next_open(&mut bench).capabilities, Capabilities::default());
}

/// It lists one capability but rejects any.
#[test]
fn a_router_that_lists_an_omitted_capability_gets_an_open_without_any() {
    let mut bench = refused(config(), refusal(7, &[6, 0]));
    assert!(!next_open(&mut bench).capabilities.extended_message);
    bench.say(OUTGOING, refusal(7, &[6, 0]));
    assert_eq!(next_open(&mut bench).capabilities, Capabilities::default());
    establish(&mut bench, plain_open());
    assert_eq!(bench.peer.view(bench.now).refused, Some(RefusedCapabilities::All));
}

#[test]
fn a_required_capability_is_offered_again_with_back_off() {
    let only_v6 = || PeerConfig { families: vec![AddressFamily::Ipv6], ..config() };
    for notification in [refusal(7, &IPV6), refusal(4, &[]), refusal(7, &[])] {
        let mut bench = Bench::new(only_v6());
        let whole = next_open(&mut bench);
        for most in [1, 2, 4, 8] {
            bench.say(OUTGOING, notification.clone());
            let wait = bench.time_to_connect();
            assert!(wait >= SECOND * most * 3 / 4 && wait <= SECOND * most, "{wait:?} of {most} s");
            assert_eq!(next_open(&mut bench), whole);
        }
        assert_eq!(bench.peer.view(bench.now).refused, None);
    }
    let mut bench = refused(config(), refusal(7, &[9, 1, 0]));
    assert_eq!(bench.peer.view(bench.now).refused, None, "only offered capabilities can be omitted");
    let close = bench.last_close().to_string();
    assert!(close.contains("unsupported capability (2/7): BGP role"), "{close}");
    assert!(next_open(&mut bench).capabilities.extended_message);
}

#[test]
fn a_refusal_expires_after_ten_minutes_without_closing_a_session() {
    let mut bench = refused(config(), refusal(4, &[]));
    next_open(&mut bench);
    establish(&mut bench, plain_open());
    bench.live(OUTGOING, 590 * SECOND);
    bench.close(OUTGOING);
    assert_eq!(next_open(&mut bench).capabilities, Capabilities::default());
    establish(&mut bench, plain_open());
    bench.forget();
    bench.live(OUTGOING, 7200 * SECOND);
    assert_eq!(bench.actions(), [], "an expired refusal does not close the session");
    bench.close(OUTGOING);
    assert!(next_open(&mut bench).capabilities.four_octet_asn, "the router may have been upgraded");
    establish(&mut bench, open());
    assert_eq!(bench.peer.view(bench.now).refused, None);
}

#[test]
fn reconfiguration_clears_a_refusal_unless_the_session_stays_up() {
    let other = || PeerConfig { host_name: "other".to_owned(), ..config() };
    let mut bench = refused(config(), refusal(4, &[]));
    bench.peer.set_config(other(), bench.now);
    bench.pump();
    assert!(next_open(&mut bench).capabilities.four_octet_asn);

    let mut bench = refused(config(), refusal(4, &[]));
    next_open(&mut bench);
    establish(&mut bench, plain_open());
    bench.forget();
    bench.peer.set_config(other(), bench.now);
    bench.pump();
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.peer.view(bench.now).refused, Some(RefusedCapabilities::All));
    bench.peer.shut_down(Shutdown::Reset { text: String::new() }, bench.now);
    bench.pump();
    assert!(next_open(&mut bench).capabilities.four_octet_asn, "a reset by the operator clears the refusal");
}

#[test]
fn if_the_reduced_open_is_refused_all_are_offered_with_back_off() {
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

/// All other NOTIFICATIONs, and these two in Established, leave the OPEN as it is.
#[test]
fn no_other_notification_reduces_the_open() {
    let whole = next_open(&mut Bench::new(config()));
    for (code, subcode) in (1..=8).flat_map(|code| (0..=11).map(move |subcode| (code, subcode))) {
        let data = [6, 0].to_vec();
        let notification = Notification { code, subcode, data };
        let is_refusal = code == 2 && (subcode == 4 || subcode == 7);
        let mut bench = refused(config(), Message::Notification(notification.clone()));
        assert_eq!(next_open(&mut bench) == whole, !is_refusal, "{notification}");
        establish(&mut bench, open());
        bench.say(OUTGOING, Message::Notification(notification.clone()));
        if !is_refusal {
            assert_eq!(next_open(&mut bench), whole, "{notification} in Established");
        }
    }
    let mut bench = Bench::established(config(), open());
    bench.say(OUTGOING, refusal(4, &[]));
    assert_eq!(next_open(&mut bench).capabilities, whole.capabilities, "2/4 in Established");
}

/// A router that supports some capabilities and refuses the others in its own way.
#[derive(Clone, Debug)]
struct OldRouter {
    takes: Vec<bool>,
    /// All by 2/4, all unsupported ones by 2/7, or the first of these.
    style: u8,
}

/// Returns the offered but unsupported capabilities.
fn not_taken(old: &OldRouter, offered: &Capabilities) -> Vec<Vec<u8>> {
    let found = [
        (offered.families.contains(&AddressFamily::Ipv4), IPV4.to_vec()),
        (offered.families.contains(&AddressFamily::Ipv6), IPV6.to_vec()),
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
    fn a_session_comes_up_without_the_refused_capabilities_and_stays_up(
        takes in proptest::collection::vec(any::<bool>(), 7),
        style in 0..3u8,
        graceful: bool,
    ) {
        let mut old = OldRouter { takes, style };
        let ours = PeerConfig { graceful_restart: graceful.then_some(8), ..config() };
        let mut bench = Bench::new(ours);
        bench.set_routes([(prefix(2), attributes(7))].into());
        let mut attempts = 0;
        loop {
            attempts += 1;
            prop_assert!(attempts <= 8, "one attempt per capability");
            let offered = next_open(&mut bench).capabilities;
            let list = not_taken(&old, &offered);
            match old.style {
                _ if list.is_empty() => break,
                // It supports no capability at all.
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
        let families = [AddressFamily::Ipv4, AddressFamily::Ipv6].into_iter().zip(&old.takes);
        let families: Vec<_> = families.filter(|(_, takes)| **takes).map(|(family, _)| family).collect();
        let is_v4 = families.is_empty() || families.contains(&AddressFamily::Ipv4);
        let capabilities = Capabilities { families, four_octet_asn: old.takes[4], ..Capabilities::default() };
        establish(&mut bench, Open { capabilities, ..open() });
        // After 2/4 only IPv4 is left.
        let is_advertised = bench.rib().routes.contains_key(&prefix(2));
        prop_assert_eq!(is_advertised, is_v4);
        bench.forget();
        bench.live(OUTGOING, 1000 * SECOND);
        prop_assert_eq!(bench.actions(), []);
    }
}
