//! RFC 5880 sections 6.4, 6.8.5 and 6.8.9: echoes.

use super::*;

/// A neighbor that loops an echo every so often.
fn looping(every: u64) -> Control {
    Control { intervals: [micros(50), micros(50), micros(every)], ..control(BfdState::Up) }
}

fn echoing(echo: u64, looped: u64) -> Session {
    let mut session = up(config(SessionProfile { echo: Some(ms(echo)), ..profile(50) }), ms(0));
    hear(&mut session, ms(0), looping(looped));
    session
}

/// When echoes went out, each of which comes back where it shall; the neighbor's packets come all the time.
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
fn echoes_are_sent_at_the_slower_of_both_paces() {
    assert_eq!(echoes(&mut echoing(50, 20), 0, 500, 20, true).len(), 10);
    assert_eq!(echoes(&mut echoing(20, 50), 0, 500, 50, true).len(), 10);
}

#[test]
fn no_echo_is_sent_to_one_that_loops_none_nor_over_several_hops_nor_while_down() {
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
fn echoes_cease_when_the_neighbor_takes_no_more() {
    let mut session = echoing(50, 50);
    assert!(session.poll_echo(ms(0)));
    hear(&mut session, ms(1), looping(0));
    assert_eq!(session.view().echo_interval, None);
    assert!(!session.poll_echo(ms(200)));
}

#[test]
fn as_many_lost_echoes_as_the_multiplier_end_a_session_that_is_heard() {
    let mut session = echoing(50, 50);
    assert_eq!(echoes(&mut session, 0, 1000, 50, false), [0, 50, 100]);
    let change = session.poll_change().unwrap();
    assert_eq!((change.diagnostic, change.at), (Diagnostic::EchoFailed, ms(150)));
}

#[test]
fn a_side_that_stood_still_does_not_take_echoes_for_lost_that_it_did_not_send() {
    let mut session = echoing(50, 50);
    echoes(&mut session, 0, 200, 50, true);
    hear(&mut session, ms(9999), looping(50));
    session.handle_time(ms(10_000));
    assert_eq!(session.state(), BfdState::Up);
    assert_eq!(echoes(&mut session, 10_000, 10_001, 50, true).len(), 1, "and sends no burst");
}

#[test]
fn a_faster_pace_begins_soon_and_finds_no_echo_lost_that_was_sent_at_the_slower_one() {
    let mut session = echoing(500, 50);
    assert_eq!(echoes(&mut session, 0, 600, 50, false), [0, 500]);
    session.set_profile(SessionProfile { echo: Some(ms(50)), ..profile(50) }, ms(600));
    assert_eq!(echoes(&mut session, 600, 701, 50, false), [650, 700]);
    assert_eq!(session.state(), BfdState::Up);
}

#[test]
fn an_echo_that_came_back_in_time_counts_even_if_it_is_handed_in_late_and_no_later_one_does() {
    for (at, expected) in [(149, BfdState::Up), (150, BfdState::Down)] {
        let mut session = echoing(50, 50);
        assert_eq!(echoes(&mut session, 0, 150, 50, false).len(), 3);
        session.handle_echo(ms(at));
        session.handle_time(ms(160));
        assert_eq!(session.state(), expected, "{at}");
    }
}

#[test]
fn while_echoes_watch_the_path_packets_are_asked_for_once_a_second() {
    let mut session = echoing(50, 50);
    echoes(&mut session, 0, 40, 50, true);
    let packets = drive(&mut session, ms(40), ms(100), None);
    assert_eq!(packets[0].1.intervals[1], micros(1000));
}
