//! Time and contents of transmitted packets (RFC 5880, section 6.8.7).

use super::*;

#[test]
fn intervals_are_jittered_between_75_and_100_percent() {
    for (multiplier, longest) in [(1, 45), (2, 50), (3, 50)] {
        let mut session = up(config(SessionProfile { multiplier, ..profile(50) }), ms(0));
        let gaps = gaps(&drive(&mut session, ms(0), ms(20_000), Some(control(BfdState::Up))));
        // The driver is at most half a millisecond late.
        let late = Duration::from_micros(500);
        assert!(gaps.iter().all(|gap| (Duration::from_micros(37_500)..=ms(longest) + late).contains(gap)));
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*least < ms(39) && *most > ms(longest - 2), "{multiplier}: {least:?} to {most:?}");
    }
}

#[test]
fn two_seeds_send_at_different_times() {
    let times = |seed| {
        let mut session = Session::new(config(profile(50)), seed, ms(0));
        drive(&mut session, ms(0), ms(10_000), None).into_iter().map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
}

#[test]
fn the_peers_receive_interval_is_respected() {
    let slow = Control { intervals: [micros(50), micros(400), [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(0), slow);
    let gaps = gaps(&drive(&mut session, ms(0), ms(10_000), Some(slow)));
    assert!(gaps.len() > 20 && gaps.iter().all(|gap| *gap >= ms(300)), "{gaps:?}");
}

#[test]
fn a_shorter_receive_interval_of_the_peer_takes_effect_at_once() {
    let takes = |every| Control { intervals: [micros(50), micros(every), [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(0), takes(1000));
    drive(&mut session, ms(0), ms(100), None);
    hear(&mut session, ms(100), takes(60));
    assert_eq!(sent(&mut session, ms(100)).len(), 1, "an interval of 60 ms is long over");
}

#[test]
fn a_session_that_is_not_up_advertises_and_sends_one_packet_per_second() {
    let mut session = Session::new(config(profile(10)), 7, ms(0));
    let packets = drive(&mut session, ms(0), ms(20_000), None);
    assert!(packets.len() > 20 && gaps(&packets).iter().all(|gap| *gap >= ms(750)));
    assert!(packets.iter().all(|(_, packet)| packet.intervals[0] == micros(1000)));
    // An eager peer that is down itself has no effect.
    let eager = Control { intervals: [micros(10), micros(10), [0; 4]], ..control(BfdState::AdminDown) };
    let packets = drive(&mut session, ms(20_000), ms(40_000), Some(eager));
    assert!(gaps(&packets).iter().all(|gap| *gap >= ms(750)));
}

#[test]
fn received_packets_do_not_postpone_transmission() {
    let due = |polled: bool| {
        let mut session = up(config(profile(50)), ms(0));
        let flag = if polled { bfd::POLL } else { 0 };
        drive(&mut session, ms(0), ms(1000), Some(with_flag(BfdState::Up, flag)))
            .into_iter()
            .filter(|(_, packet)| !has(packet, bfd::FINAL))
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    // Neither a packet nor its answer: the times are those of a session whose peer never polls.
    assert_eq!(due(true), due(false));
    assert!(due(true).len() >= 20);
}

#[test]
fn a_state_change_is_sent_at_once_and_only_once() {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    assert_eq!(sent(&mut session, ms(0)).len(), 1);
    assert_eq!(sent(&mut session, ms(1)).len(), 0);
    hear(&mut session, ms(1), control(BfdState::Down));
    assert_eq!(sent(&mut session, ms(1)).iter().map(state_of).collect::<Vec<_>>(), [BfdState::Init]);
    session.set_admin_down(true, ms(2));
    assert_eq!(sent(&mut session, ms(2)).iter().map(state_of).collect::<Vec<_>>(), [BfdState::AdminDown]);
    assert_eq!(sent(&mut session, ms(3)).len(), 0);
}

#[test]
fn a_final_reports_the_state_change_without_an_extra_packet() {
    let mut session = Session::new(config(profile(1000)), 7, ms(0));
    sent(&mut session, ms(0));
    hear(&mut session, ms(1), with_flag(BfdState::Down, bfd::POLL));
    let packets = sent(&mut session, ms(1));
    assert_eq!(packets.len(), 1);
    assert!(has(&packets[0], bfd::FINAL) && state_of(&packets[0]) == BfdState::Init);
}

#[test]
fn admin_down_is_sent_as_long_as_it_lasts() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_admin_down(true, ms(10));
    let packets = drive(&mut session, ms(10), ms(10_000), Some(control(BfdState::Down)));
    assert!(packets.len() >= 10);
    assert!(packets.iter().all(|(_, packet)| state_of(packet) == BfdState::AdminDown));
    assert!(packets.iter().all(|(_, packet)| packet.version_and_diagnostic & 0x1f == 7));
    session.set_admin_down(false, ms(10_000));
    assert_eq!(state_of(&sent(&mut session, ms(10_000))[0]), BfdState::Down);
}

#[test]
fn a_passive_side_is_silent_until_it_is_spoken_to_and_again_after_a_death() {
    let passive = SessionProfile { passive: true, ..profile(50) };
    let mut session = Session::new(config(passive), 7, ms(0));
    assert!(drive(&mut session, ms(0), ms(5000), None).is_empty());
    assert_eq!(session.next_deadline(), None);
    hear(&mut session, ms(5000), control(BfdState::Down));
    assert_eq!(sent(&mut session, ms(5000)).len(), 1);
    // Down after three times our 50 ms, as the peer's interval is not longer.
    let packets = drive(&mut session, ms(5000), ms(10_000), None);
    assert!(packets.iter().all(|(at, _)| *at <= ms(5150)), "{packets:?}");
}

#[test]
fn a_peer_with_receive_interval_zero_gets_only_state_changes() {
    let receiving_none = Control { intervals: [micros(50), [0; 4], [0; 4]], ..control(BfdState::Up) };
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(0), receiving_none);
    assert!(drive(&mut session, ms(0), ms(2000), Some(receiving_none)).is_empty());
    session.set_admin_down(true, ms(2000));
    let packets = drive(&mut session, ms(2000), ms(9000), Some(receiving_none));
    assert_eq!(packets.len(), 1);
    assert_eq!(state_of(&packets[0].1), BfdState::AdminDown);
    // The peer is gone; one that returns may wait for us.
    assert!(!drive(&mut session, ms(9000), ms(12_000), None).is_empty());
}

#[test]
fn demand_mode_stops_periodic_packets_but_not_polls_and_finals() {
    let demanding = with_flag(BfdState::Up, bfd::DEMAND);
    let mut session = up(config(profile(50)), ms(0));
    hear(&mut session, ms(0), demanding);
    assert!(drive(&mut session, ms(0), ms(2000), Some(demanding)).is_empty());
    hear(&mut session, ms(2000), with_flag(BfdState::Up, bfd::DEMAND | bfd::POLL));
    let packets = sent(&mut session, ms(2000));
    assert!(packets.len() == 1 && has(&packets[0], bfd::FINAL));
    session.set_profile(profile(60), ms(2000));
    let packets = drive(&mut session, ms(2000), ms(2100), Some(demanding));
    assert!(!packets.is_empty() && packets.iter().all(|(_, packet)| has(packet, bfd::POLL)));
    hear(&mut session, ms(2100), with_flag(BfdState::Up, bfd::DEMAND | bfd::FINAL));
    assert!(drive(&mut session, ms(2101), ms(3000), Some(demanding)).is_empty());
    // Asynchronous mode again without the bit, or when not up.
    let packets = drive(&mut session, ms(3000), ms(3500), Some(control(BfdState::Up)));
    assert!(packets.len() > 5);
}

#[test]
fn no_echo_receive_interval_is_advertised_over_several_hops() {
    for (hops, expected) in [(Hops::Single, micros(100)), (Hops::Multi { minimum_ttl: 1 }, [0; 4])] {
        let config = SessionConfig { hops, echo_receive: ms(100), ..config(profile(50)) };
        let mut session = Session::new(config, 7, ms(0));
        assert_eq!(sent(&mut session, ms(0))[0].intervals[2], expected);
    }
}

#[test]
fn the_c_bit_is_as_configured() {
    for control_plane_independent in [false, true] {
        let config = SessionConfig { control_plane_independent, ..config(profile(50)) };
        let packets = sent(&mut Session::new(config, 7, ms(0)), ms(0));
        assert_eq!(has(&packets[0], bfd::INDEPENDENT), control_plane_independent);
    }
}
