//! The echo function (RFC 5880, sections 6.4, 6.8.5 and 6.8.9).

use super::*;

/// A peer that loops echoes at this interval.
fn looping(every: u64) -> Control {
    Control { intervals: [micros(50), micros(50), micros(every)], ..control(BfdState::Up) }
}

fn echoing(echo: u64, looped: u64) -> Session {
    let mut session = up(config(SessionProfile { echo: Some(ms(echo)), ..profile(50) }), ms(0));
    hear(&mut session, ms(0), looping(looped));
    session
}

/// Returns when echoes were sent; each is returned if `back`. The peer's packets keep arriving.
fn echoes(session: &mut Session, from: u64, to: u64, looped: u64, back: bool) -> Vec<u64> {
    let mut all = Vec::new();
    for now in from..to {
        if now.is_multiple_of(40) {
            hear(session, ms(now), looping(looped));
        }
        session.handle_time(ms(now));
        sent(session, ms(now));
        if session.poll_echo(ms(now)) {
            all.push(now);
            if back {
                session.handle_echo(ms(now));
            }
        }
    }
    all
}

#[test]
fn echoes_use_the_slower_of_both_intervals() {
    assert_eq!(echoes(&mut echoing(50, 20), 0, 500, 20, true).len(), 10);
    assert_eq!(echoes(&mut echoing(20, 50), 0, 500, 50, true).len(), 10);
}

#[test]
fn no_echo_is_sent_if_unsupported_multihop_or_down() {
    assert!(echoes(&mut echoing(50, 0), 0, 500, 0, true).is_empty());
    let profile = SessionProfile { echo: Some(ms(50)), ..profile(50) };
    let mut far = up(SessionConfig { hops: Hops::Multi { minimum_ttl: 1 }, ..config(profile) }, ms(0));
    assert!(echoes(&mut far, 0, 500, 50, true).is_empty());
    let mut session = echoing(50, 50);
    assert_eq!(echoes(&mut session, 0, 100, 50, true).len(), 2);
    session.set_admin_down(true, ms(100));
    assert!(echoes(&mut session, 100, 500, 50, true).is_empty());
}

#[test]
fn echoes_stop_when_the_peer_no_longer_supports_them() {
    let mut session = echoing(50, 50);
    assert!(session.poll_echo(ms(0)));
    hear(&mut session, ms(1), looping(0));
    assert_eq!(session.view().echo_interval, None);
    assert!(!session.poll_echo(ms(200)));
}

#[test]
fn losing_multiplier_echoes_takes_the_session_down() {
    let mut session = echoing(50, 50);
    assert_eq!(echoes(&mut session, 0, 1000, 50, false), [0, 50, 100]);
    let change = session.poll_change().unwrap();
    assert_eq!((change.diagnostic, change.at), (Diagnostic::EchoFailed, ms(150)));
}

#[test]
fn a_stall_does_not_count_unsent_echoes_as_lost() {
    let mut session = echoing(50, 50);
    echoes(&mut session, 0, 200, 50, true);
    hear(&mut session, ms(9999), looping(50));
    session.handle_time(ms(10_000));
    assert_eq!(session.state(), BfdState::Up);
    assert_eq!(echoes(&mut session, 10_000, 10_001, 50, true).len(), 1, "no burst");
}

#[test]
fn a_faster_echo_interval_does_not_count_earlier_echoes_as_lost() {
    let mut session = echoing(500, 50);
    assert_eq!(echoes(&mut session, 0, 600, 50, false), [0, 500]);
    session.set_profile(SessionProfile { echo: Some(ms(50)), ..profile(50) }, ms(600));
    assert_eq!(echoes(&mut session, 600, 701, 50, false), [650, 700]);
    assert_eq!(session.state(), BfdState::Up);
}

#[test]
fn an_echo_counts_by_its_time_of_arrival() {
    for (at, expected) in [(149, BfdState::Up), (150, BfdState::Down)] {
        let mut session = echoing(50, 50);
        assert_eq!(echoes(&mut session, 0, 150, 50, false).len(), 3);
        session.handle_echo(ms(at));
        session.handle_time(ms(160));
        assert_eq!(session.state(), expected, "{at}");
    }
}

#[test]
fn the_receive_interval_is_one_second_while_echoes_are_active() {
    let mut session = echoing(50, 50);
    echoes(&mut session, 0, 40, 50, true);
    let packets = drive(&mut session, ms(40), ms(100), None);
    assert_eq!(packets[0].1.intervals[1], micros(1000));
}
