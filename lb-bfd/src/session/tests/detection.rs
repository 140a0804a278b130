//! Detection of a dead peer (RFC 5880, section 6.8.4).

use super::*;

#[test]
fn the_session_goes_down_at_the_detection_time() {
    let mut session = up(config(profile(50)), ms(100));
    session.handle_time(ms(249));
    assert_eq!(session.state(), BfdState::Up);
    session.handle_time(ms(250));
    let change = session.poll_change().unwrap();
    assert_eq!((change.to, change.diagnostic), (BfdState::Down, Diagnostic::DetectionTimeExpired));
    assert_eq!((change.remote, change.at), (BfdState::Up, ms(250)));
    let packet = sent(&mut session, ms(250))[0];
    assert_eq!(packet.version_and_diagnostic & 0x1f, 1);
}

#[test]
fn the_detection_time_is_the_peers_multiplier_times_the_slower_interval() {
    for (transmit, receive, multiplier, expected) in [(50, 10, 3, 150), (10, 50, 3, 150), (300, 50, 5, 1500)]
    {
        let mut session =
            up(config(SessionProfile { receive: ms(receive), multiplier: 9, ..profile(50) }), ms(0));
        let intervals = [micros(transmit), micros(50), [0; 4]];
        hear(&mut session, ms(0), Control { intervals, multiplier, ..control(BfdState::Up) });
        assert_eq!(session.view().detection_time, ms(expected));
    }
}

#[test]
fn a_slow_peer_of_a_fast_session_does_not_flap() {
    let slow = Control { intervals: [micros(1000), micros(10), [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(10)), ms(0));
    for second in 0..60 {
        hear(&mut session, ms(second * 1000), slow);
        drive(&mut session, ms(second * 1000), ms(second * 1000 + 1000), None);
    }
    assert_eq!(session.view().counters.down_events, 0);
}

#[test]
fn the_remote_discriminator_is_cleared_at_the_detection_time() {
    let mut session = up(config(profile(50)), ms(0));
    session.handle_time(ms(149));
    assert_eq!(session.view().remote_discriminator, REMOTE);
    session.handle_time(ms(150));
    assert_eq!(session.view().remote_discriminator, 0);
    assert_eq!(sent(&mut session, ms(150))[0].your_discriminator, [0; 4]);
}

#[test]
fn a_peer_in_admin_down_keeps_its_discriminator_while_heard() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(10), control(BfdState::AdminDown));
    drive(&mut session, ms(10), ms(5000), Some(control(BfdState::AdminDown)));
    assert_eq!(session.view().remote_discriminator, REMOTE);
    drive(&mut session, ms(5000), ms(6000), None);
    assert_eq!(session.view().remote_discriminator, 0);
}

#[test]
fn the_remote_discriminator_is_cleared_in_admin_down_too() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_admin_down(true, ms(10));
    session.handle_time(ms(5000));
    assert_eq!((session.state(), session.view().remote_discriminator), (BfdState::AdminDown, 0));
    assert_eq!(session.next_deadline(), Some(ms(0)), "only the state change is due, no detection");
}

#[test]
fn a_change_of_profile_keeps_session_and_discriminators() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_profile(SessionProfile { multiplier: 5, ..profile(60) }, ms(10));
    let packets = drive(&mut session, ms(10), ms(500), Some(control(BfdState::Up)));
    assert_eq!(session.state(), BfdState::Up);
    for (_, packet) in packets {
        assert_eq!(
            (packet.my_discriminator, packet.your_discriminator),
            (LOCAL.to_be_bytes(), REMOTE.to_be_bytes())
        );
        assert_eq!(packet.multiplier, 5);
    }
}

#[test]
fn a_stalled_driver_that_hands_in_all_packets_stays_up() {
    let mut session = up(config(profile(50)), ms(0));
    for at in (40..10_000).step_by(40) {
        hear(&mut session, ms(at), control(BfdState::Up));
    }
    session.handle_time(ms(10_000));
    assert_eq!(session.state(), BfdState::Up);
}

#[test]
fn recorded_packets_keep_a_starved_session_up_and_detect_a_silent_peer() {
    let mut session = up(config(profile(50)), ms(0));
    for now in (100..10_000).step_by(100) {
        recorded(&mut session, ms(now - 20));
        session.handle_time(ms(now));
        assert_eq!(session.state(), BfdState::Up, "{now}");
    }
    // The last recorded packet was of 9880.
    recorded(&mut session, ms(9880));
    session.handle_time(ms(10_029));
    assert_eq!(session.state(), BfdState::Up);
    recorded(&mut session, ms(9880));
    session.handle_time(ms(10_030));
    assert_eq!(session.state(), BfdState::Down);
}

#[test]
fn a_recorded_packet_older_than_the_last_packet_has_no_effect() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(100), control(BfdState::Up));
    recorded(&mut session, ms(60));
    session.handle_time(ms(249));
    assert_eq!(session.state(), BfdState::Up);
}

#[test]
fn a_poll_is_not_answered_after_down_or_in_admin_down() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(10), with_flag(BfdState::Up, bfd::POLL));
    session.handle_time(ms(400));
    assert!(sent(&mut session, ms(400)).iter().all(|packet| !has(packet, bfd::FINAL)));
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(10), with_flag(BfdState::Up, bfd::POLL));
    session.set_admin_down(true, ms(10));
    assert!(sent(&mut session, ms(10)).iter().all(|packet| !has(packet, bfd::FINAL)));
}

#[test]
fn the_receive_interval_of_a_lost_peer_is_still_respected() {
    let slow = Control { intervals: [micros(50), micros(4000), [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(0), slow);
    let packets = drive(&mut session, ms(150), ms(30_000), None);
    assert!(packets.len() > 5 && gaps(&packets).iter().all(|gap| *gap >= ms(3000)));
}

#[test]
fn recorded_packets_do_not_bring_a_session_up() {
    let mut session = up(config(profile(50)), ms(0));
    session.handle_time(ms(150));
    recorded(&mut session, ms(149));
    recorded(&mut session, ms(160));
    session.handle_time(ms(170));
    assert_eq!((session.state(), session.view().remote_discriminator), (BfdState::Down, 0));
    assert_eq!(session.view().detection_time, ms(0));
}

#[test]
fn recorded_packets_do_not_extend_init() {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    hear(&mut session, ms(0), control(BfdState::Down));
    assert_eq!(session.state(), BfdState::Init);
    // Records belong to sessions that are up: this one is from an earlier session of the same peer.
    recorded(&mut session, ms(140));
    session.handle_time(ms(149));
    assert_eq!(session.state(), BfdState::Init);
    session.handle_time(ms(150));
    assert_eq!((session.state(), session.view().remote_discriminator), (BfdState::Down, 0));
}

#[test]
fn a_packet_handed_in_late_does_not_postpone_detection() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(100), control(BfdState::Up));
    // Handed in later, received earlier.
    hear(&mut session, ms(60), control(BfdState::Up));
    session.handle_time(ms(249));
    assert_eq!(session.state(), BfdState::Up);
    hear(&mut session, ms(70), control(BfdState::Up));
    session.handle_time(ms(250));
    assert_eq!(session.state(), BfdState::Down);
}

#[test]
fn times_of_state_changes_never_decrease() {
    let mut session = up(config(profile(50)), ms(0));
    session.handle_time(ms(400));
    hear(&mut session, ms(300), control(BfdState::Down));
    let times: Vec<_> = std::iter::from_fn(|| session.poll_change()).map(|change| change.at).collect();
    assert_eq!(times, [ms(400), ms(400)]);
}
