//! Selection of the close reason shown to the operator.

use std::time::Duration;

use lb_bgp::message::{Message, Notification, Open};
use lb_bgp::session::{AdviceContext, ConnectionDirection, PeerAs, PeerConfig};
use lb_bgp::value::Asn;

use crate::router::{Bench, config, open};

const SECOND: Duration = Duration::from_secs(1);
const OUTGOING: ConnectionDirection = ConnectionDirection::Outgoing;
const SETUP: AdviceContext =
    AdviceContext { asn: Asn::new(65001).unwrap(), password: false, multihop: false };

fn internal() -> PeerConfig {
    PeerConfig { remote: PeerAs::Internal, ..config() }
}

/// Runs the next attempt, on which the router sends this message.
fn attempt(bench: &mut Bench, sent: Option<Message>) {
    bench.time_to_connect();
    assert!(bench.connect(OUTGOING));
    if let Some(sent) = sent {
        bench.say(OUTGOING, sent);
    }
}

/// A wrong AS number, after which the router backs off (BIRD) and resets connections.
fn wrong_then_reset(attempts: usize) -> Bench {
    let mut bench = Bench::new(internal());
    assert!(bench.connect(OUTGOING));
    bench.say(OUTGOING, Message::Open(open()));
    for _ in 0..attempts {
        attempt(&mut bench, None);
        bench.peer.handle_closed(OUTGOING, Some("Connection reset by peer".to_owned()), bench.now);
        bench.pump();
    }
    bench
}

fn error(bench: &Bench) -> String {
    bench.peer.view(bench.now).last_error().unwrap_or_default()
}

fn advice(bench: &Bench) -> String {
    bench.peer.view(bench.now).advice(SETUP).unwrap_or_default()
}

const WRONG: &str = "the router's AS number is 65002; dynamicASN internal requires ours, 65001";

#[test]
fn a_reset_does_not_hide_an_earlier_specific_reason() {
    for attempts in [1, 2, 20] {
        let bench = wrong_then_reset(attempts);
        let words = format!("{WRONG}; since then: connection lost: Connection reset by peer");
        assert_eq!(error(&bench), words, "{attempts}");
        assert_eq!(bench.last_close().reason.label(), "wrong_asn");
        assert!(advice(&bench).contains("dynamicASN to external"), "{}", advice(&bench));
        assert!(!advice(&bench).contains("BIRD"), "{}", advice(&bench));
    }
}

#[test]
fn a_refused_connection_is_shown_beside_the_specific_reason_with_both_advices() {
    let mut bench = wrong_then_reset(1);
    bench.time_to_connect();
    bench.peer.handle_connect_failed("Connection refused".to_owned(), bench.now);
    assert_eq!(error(&bench), format!("{WRONG}; since then: cannot connect: Connection refused"));
    assert!(
        advice(&bench).contains("dynamicASN") && advice(&bench).contains("listens"),
        "{}",
        advice(&bench)
    );
}

#[test]
fn a_new_specific_reason_replaces_the_old_one() {
    let mut bench = wrong_then_reset(2);
    attempt(&mut bench, Some(Message::Notification(Notification::new(2, 3))));
    assert!(
        error(&bench).starts_with("the router closed the session: bad BGP identifier"),
        "{}",
        error(&bench)
    );
    assert!(!error(&bench).contains("since then"));
}

#[test]
fn a_specific_reason_is_kept_for_ten_minutes_or_until_reconfiguration() {
    let mut bench = wrong_then_reset(1);
    bench.wait(601 * SECOND);
    bench.forget();
    bench.peer.handle_connect_failed("Connection refused".to_owned(), bench.now);
    assert!(!error(&bench).contains("AS 65002"), "{}", error(&bench));

    let mut bench = wrong_then_reset(1);
    bench.peer.set_config(config(), bench.now);
    bench.pump();
    bench.time_to_connect();
    bench.peer.handle_connect_failed("Connection refused".to_owned(), bench.now);
    assert_eq!(error(&bench), "cannot connect: Connection refused");
}

#[test]
fn the_close_of_an_established_session_replaces_earlier_reasons() {
    let mut bench = Bench::new(internal());
    assert!(bench.connect(OUTGOING));
    bench.say(OUTGOING, Message::Open(open()));
    bench.peer.set_config(config(), bench.now);
    bench.pump();
    bench.time_to_connect();
    bench.establish(OUTGOING, open());
    assert_eq!(advice(&bench), "", "no advice while the session is up");
    bench.close(OUTGOING);
    assert_eq!(error(&bench), "the router closed the connection without a NOTIFICATION");
    assert!(advice(&bench).contains("BGP process has stopped"), "{}", advice(&bench));
}

#[test]
fn advice_depends_on_the_configuration() {
    let no_answer = |setup| {
        let mut bench = Bench::new(config());
        bench.wait(10 * SECOND);
        bench.peer.view(bench.now).advice(setup).unwrap()
    };
    assert!(
        no_answer(SETUP).contains("set passwordSecret") && no_answer(SETUP).contains("needs ebgpMultiHop")
    );
    let signed = no_answer(AdviceContext { password: true, multihop: true, ..SETUP });
    assert!(signed.contains("the same TCP-MD5 password") && signed.contains("ttl-security"), "{signed}");

    let mut bench = Bench::new(PeerConfig { remote: PeerAs::External, ..config() });
    assert!(bench.connect(OUTGOING));
    bench.say(OUTGOING, Message::Open(Open { asn: SETUP.asn, ..open() }));
    assert!(advice(&bench).contains("dynamicASN to internal, or peerASN to 65001"), "{}", advice(&bench));
    let mut bench = Bench::new(config());
    assert!(bench.connect(OUTGOING));
    bench.say(OUTGOING, Message::Notification(Notification::new(2, 2)));
    assert!(advice(&bench).contains("another AS number of this node than 65001"), "{}", advice(&bench));
}
