//! RFC 5880 section 6.8.4: when a neighbor is dead.

use super::*;

#[test]
fn silence_ends_a_session_at_the_negotiated_time() {
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
fn the_detection_time_is_the_neighbors_multiplier_times_the_slower_of_both_paces() {
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
fn a_slow_neighbor_of_a_fast_side_does_not_flap() {
    let slow = Control { intervals: [micros(1000), micros(10), [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(10)), ms(0));
    for second in 0..60 {
        hear(&mut session, ms(second * 1000), slow);
        drive(&mut session, ms(second * 1000), ms(second * 1000 + 1000), None);
    }
    assert_eq!(session.view().counters.down_events, 0);
}

#[test]
fn the_number_of_a_dead_neighbor_is_forgotten_and_not_before() {
    let mut session = up(config(profile(50)), ms(0));
    session.handle_time(ms(149));
    assert_eq!(session.view().remote_discriminator, REMOTE);
    session.handle_time(ms(150));
    assert_eq!(session.view().remote_discriminator, 0);
    assert_eq!(sent(&mut session, ms(150))[0].your_discriminator, [0; 4]);
}

#[test]
fn a_neighbor_that_says_it_is_down_keeps_its_number_while_it_is_heard() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(10), control(BfdState::AdminDown));
    drive(&mut session, ms(10), ms(5000), Some(control(BfdState::AdminDown)));
    assert_eq!(session.view().remote_discriminator, REMOTE);
    drive(&mut session, ms(5000), ms(6000), None);
    assert_eq!(session.view().remote_discriminator, 0);
}

#[test]
fn its_number_is_forgotten_while_this_side_is_held_down_too() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_admin_down(true, ms(10));
    session.handle_time(ms(5000));
    assert_eq!((session.state(), session.view().remote_discriminator), (BfdState::AdminDown, 0));
    assert_eq!(session.next_deadline(), Some(ms(0)), "only the news is due, no detection");
}

#[test]
fn a_change_of_profile_keeps_session_and_numbers() {
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
fn a_side_that_stood_still_and_hands_in_what_came_meanwhile_stays_up() {
    let mut session = up(config(profile(50)), ms(0));
    for at in (40..10_000).step_by(40) {
        hear(&mut session, ms(at), control(BfdState::Up));
    }
    session.handle_time(ms(10_000));
    assert_eq!(session.state(), BfdState::Up);
}

#[test]
fn what_the_kernel_heard_keeps_a_starved_session_up_and_finds_a_silent_neighbor_dead() {
    let mut session = up(config(profile(50)), ms(0));
    for now in (100..10_000).step_by(100) {
        session.handle_kernel_stamp(ms(now - 20));
        session.handle_time(ms(now));
        assert_eq!(session.state(), BfdState::Up, "{now}");
    }
    // The last that the kernel heard was at 9880.
    session.handle_kernel_stamp(ms(9880));
    session.handle_time(ms(10_029));
    assert_eq!(session.state(), BfdState::Up);
    session.handle_kernel_stamp(ms(9880));
    session.handle_time(ms(10_030));
    assert_eq!(session.state(), BfdState::Down);
}

#[test]
fn what_the_kernel_heard_before_the_last_packet_changes_nothing() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(100), control(BfdState::Up));
    session.handle_kernel_stamp(ms(60));
    session.handle_time(ms(249));
    assert_eq!(session.state(), BfdState::Up);
}

#[test]
fn who_is_dead_or_held_down_on_purpose_is_owed_no_answer() {
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
fn a_neighbor_that_is_not_heard_any_more_is_sent_no_more_than_it_said_it_can_take() {
    let slow = Control { intervals: [micros(50), micros(4000), [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(0), slow);
    let packets = drive(&mut session, ms(150), ms(30_000), None);
    assert!(packets.len() > 5 && gaps(&packets).iter().all(|gap| *gap >= ms(3000)));
}

#[test]
fn the_kernel_cannot_bring_up_what_is_down() {
    let mut session = up(config(profile(50)), ms(0));
    session.handle_time(ms(150));
    session.handle_kernel_stamp(ms(149));
    session.handle_kernel_stamp(ms(160));
    session.handle_time(ms(170));
    assert_eq!((session.state(), session.view().remote_discriminator), (BfdState::Down, 0));
    assert_eq!(session.view().detection_time, ms(0));
}

#[test]
fn what_the_kernel_heard_does_not_put_off_the_end_of_a_session_that_never_came_up() {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    hear(&mut session, ms(0), control(BfdState::Down));
    assert_eq!(session.state(), BfdState::Init);
    // Notes are of sessions that are up: this one is of an earlier time of the same neighbor's.
    session.handle_kernel_stamp(ms(140));
    session.handle_time(ms(149));
    assert_eq!(session.state(), BfdState::Init);
    session.handle_time(ms(150));
    assert_eq!((session.state(), session.view().remote_discriminator), (BfdState::Down, 0));
}

#[test]
fn what_is_handed_in_late_does_not_put_off_a_death() {
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(100), control(BfdState::Up));
    // Handed in after it, received before it.
    hear(&mut session, ms(60), control(BfdState::Up));
    session.handle_time(ms(249));
    assert_eq!(session.state(), BfdState::Up);
    hear(&mut session, ms(70), control(BfdState::Up));
    session.handle_time(ms(250));
    assert_eq!(session.state(), BfdState::Down);
}

#[test]
fn times_of_changes_never_go_back() {
    let mut session = up(config(profile(50)), ms(0));
    session.handle_time(ms(400));
    hear(&mut session, ms(300), control(BfdState::Down));
    let times: Vec<_> = std::iter::from_fn(|| session.poll_change()).map(|change| change.at).collect();
    assert_eq!(times, [ms(400), ms(400)]);
}
