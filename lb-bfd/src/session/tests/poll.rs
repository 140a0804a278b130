//! Poll sequences: advertised intervals, and when they take effect (RFC 5880, sections 6.5 and 6.8.3).

use super::*;

fn final_of(session: &mut Session, at: Duration) {
    hear(session, at, with_flag(BfdState::Up, bfd::FINAL));
}

/// Drives the session and returns its first packet with the poll bit.
fn polled(session: &mut Session, from: Duration) -> (Duration, Control) {
    let packets = drive(session, from, from + ms(2000), Some(control(BfdState::Up)));
    *packets.iter().find(|(_, packet)| has(packet, bfd::POLL)).expect("a poll")
}

#[test]
fn coming_up_polls_for_the_faster_interval_until_answered() {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    sent(&mut session, ms(0));
    hear(&mut session, ms(0), control(BfdState::Init));
    let packets = drive(&mut session, ms(0), ms(500), Some(control(BfdState::Up)));
    assert!(packets.len() >= 10);
    assert!(packets.iter().all(|(_, packet)| has(packet, bfd::POLL) && packet.intervals[0] == micros(50)));
    final_of(&mut session, ms(500));
    let packets = drive(&mut session, ms(500), ms(1000), Some(control(BfdState::Up)));
    assert!(packets.len() >= 10 && packets.iter().all(|(_, packet)| !has(packet, bfd::POLL)));
}

#[test]
fn a_poll_is_part_of_a_periodic_packet() {
    let mut session = up(config(profile(50)), ms(0));
    drive(&mut session, ms(0), ms(1000), Some(control(BfdState::Up)));
    let due = session.next_deadline();
    session.set_profile(SessionProfile { receive: ms(70), ..profile(50) }, ms(1000));
    assert_eq!(session.next_deadline(), due);
    assert!(sent(&mut session, ms(1000)).is_empty());
}

#[test]
fn the_poll_on_coming_up_replaces_the_packet_due() {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    sent(&mut session, ms(0));
    hear(&mut session, ms(740), control(BfdState::Init));
    // The packet of the slow interval was nearly due: the state change takes its place.
    let packets = drive(&mut session, ms(740), ms(2000), Some(control(BfdState::Up)));
    assert!(gaps(&packets).iter().all(|gap| *gap >= ms(37)), "{:?}", gaps(&packets));
}

#[test]
fn a_slower_transmit_interval_takes_effect_with_the_answer() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_profile(SessionProfile { transmit: ms(400), ..profile(50) }, ms(100));
    let packets = drive(&mut session, ms(100), ms(2000), Some(control(BfdState::Up)));
    assert!(packets.len() > 30 && packets.iter().all(|(_, packet)| has(packet, bfd::POLL)));
    assert!(packets.iter().all(|(_, packet)| packet.intervals[0] == micros(400)));
    final_of(&mut session, ms(2000));
    let packets = drive(&mut session, ms(2000), ms(6000), Some(control(BfdState::Up)));
    assert!(gaps(&packets).iter().all(|gap| *gap >= ms(300)));
}

#[test]
fn a_faster_transmit_interval_takes_effect_at_once() {
    let mut session = up(config(profile(400)), ms(0));
    session.set_profile(profile(50), ms(10));
    let packets = drive(&mut session, ms(10), ms(1000), Some(control(BfdState::Up)));
    assert!(packets.len() > 15 && packets[0].0 <= ms(60));
}

#[test]
fn a_shorter_detection_time_takes_effect_with_the_answer() {
    let mut session = up(config(SessionProfile { receive: ms(400), ..profile(50) }), ms(0));
    assert_eq!(session.view().detection_time, ms(1200));
    session.set_profile(profile(50), ms(100));
    assert_eq!(session.view().detection_time, ms(1200));
    polled(&mut session, ms(100));
    assert_eq!(session.view().detection_time, ms(1200));
    final_of(&mut session, ms(2200));
    assert_eq!(session.view().detection_time, ms(150));
}

#[test]
fn a_longer_detection_time_takes_effect_at_once() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_profile(profile(400), ms(10));
    assert_eq!(session.view().detection_time, ms(1200));
}

#[test]
fn a_change_during_a_poll_sequence_waits_for_its_own() {
    let mut session = up(config(profile(400)), ms(0));
    session.set_profile(profile(200), ms(10));
    assert_eq!(polled(&mut session, ms(10)).1.intervals[0], micros(200));
    session.set_profile(profile(50), ms(2010));
    assert_eq!(polled(&mut session, ms(2010)).1.intervals[0], micros(200));
    assert_eq!(session.view().detection_time, ms(1200));
    final_of(&mut session, ms(4010));
    assert_eq!(session.view().detection_time, ms(600), "the answered value takes effect");
    assert_eq!(polled(&mut session, ms(4010)).1.intervals[0], micros(50));
    final_of(&mut session, ms(6010));
    assert_eq!(session.view().detection_time, ms(150));
}

#[test]
fn a_final_before_the_poll_answers_an_earlier_poll() {
    let mut session = up(config(SessionProfile { receive: ms(400), ..profile(50) }), ms(0));
    session.set_profile(profile(50), ms(10));
    final_of(&mut session, ms(11));
    assert_eq!(session.view().detection_time, ms(1200));
    assert!(has(&polled(&mut session, ms(12)).1, bfd::POLL));
}

#[test]
fn an_unsolicited_final_has_no_effect() {
    let mut session = up(config(profile(50)), ms(0));
    let before = (session.view().detection_time, session.view().transmit_interval);
    final_of(&mut session, ms(1));
    assert_eq!((session.view().detection_time, session.view().transmit_interval), before);
}

#[test]
fn a_change_while_coming_up_takes_effect_with_the_answer() {
    // The peer knows 400 ms; its next packet must not be late because of a shorter interval since.
    let mut session = Session::new(config(profile(400)), 7, ms(0));
    hear(&mut session, ms(0), control(BfdState::Down));
    sent(&mut session, ms(0));
    session.set_profile(profile(50), ms(1));
    hear(&mut session, ms(2), control(BfdState::Up));
    assert_eq!(session.state(), BfdState::Up);
    assert_eq!(session.view().detection_time, ms(1200));
    assert!(has(&polled(&mut session, ms(2)).1, bfd::POLL));
    final_of(&mut session, ms(2002));
    // The first answer may be to the slow packets, whose poll was in progress.
    polled(&mut session, ms(2002));
    final_of(&mut session, ms(4002));
    assert_eq!(session.view().detection_time, ms(150));
}

#[test]
fn going_down_slows_transmission_at_once_even_during_a_poll() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_profile(profile(70), ms(10));
    polled(&mut session, ms(10));
    hear(&mut session, ms(2010), control(BfdState::AdminDown));
    let packets = drive(&mut session, ms(2010), ms(8000), Some(control(BfdState::AdminDown)));
    assert!(packets.iter().all(|(_, packet)| packet.intervals[0] == micros(1000)));
    assert!(gaps(&packets).iter().all(|gap| *gap >= ms(750)));
}

#[test]
fn intervals_are_limited_to_what_a_packet_can_encode() {
    let endless = SessionProfile { transmit: Duration::MAX, receive: Duration::MAX, ..profile(50) };
    let mut session = Session::new(config(endless), 7, ms(0));
    let packet = sent(&mut session, ms(0))[0];
    assert_eq!(packet.intervals, [[0xff; 4], [0xff; 4], [0; 4]]);
    let none = SessionProfile { transmit: ms(0), receive: ms(0), multiplier: 0, ..profile(50) };
    let mut session = Session::new(config(none), 7, ms(0));
    let packet = sent(&mut session, ms(0))[0];
    assert_eq!((packet.multiplier, packet.intervals[1]), (1, [0, 0, 0, 1]));
}
