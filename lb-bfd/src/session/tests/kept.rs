//! Sessions that outlive their process.

use proptest::prelude::*;

use super::*;

/// What a process leaves of a session that heard its peer at this time.
fn left(session: &Session, heard: Duration) -> LeftSession {
    let KeptSession { ours, theirs, .. } = session.kept().unwrap();
    LeftSession { ours, theirs, heard }
}

#[test]
fn a_session_is_kept_while_both_sides_are_up() {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    assert_eq!(session.kept(), None);
    session = up(config(profile(50)), ms(0));
    let kept = session.kept().unwrap();
    let ours = Control::from_bytes(&kept.ours);
    assert_eq!((state_of(&ours), has(&ours, bfd::INDEPENDENT)), (BfdState::Up, true));
    assert!(!has(&ours, bfd::POLL) && !has(&ours, bfd::FINAL));
    assert_eq!(kept.theirs, control(BfdState::Up).to_bytes(), "without the final bit");
    hear(&mut session, ms(10), control(BfdState::Down));
    assert_eq!(session.kept(), None);
}

#[test]
fn the_kept_packet_never_polls() {
    let mut session = up(config(profile(50)), ms(0));
    session.set_profile(profile(100), ms(10));
    let packets = sent(&mut session, ms(60));
    assert!(has(&packets[0], bfd::POLL));
    let kept = Control::from_bytes(&session.kept().unwrap().ours);
    assert!(!has(&kept, bfd::POLL));
    assert_eq!(kept.intervals[0], micros(100), "it advertises the intervals of the poll sequence");
}

#[test]
fn a_peer_that_sends_too_rarely_is_no_clock() {
    /// Our interval, multiplier, the peer's interval, and the silence after which it is answered.
    type Case = (u64, u8, u64, Option<u64>);
    let cases: [Case; 7] = [
        (50, 3, 50, Some(50_000)),
        (10, 3, 10, Some(10_000)),
        (50, 2, 50, Some(37_500)),
        (50, 1, 50, None),
        (50, 3, 100, Some(25_000)),
        (50, 3, 120, None),
        (100, 3, 10, Some(100_000)),
    ];
    for (ours, multiplier, theirs, expected) in cases {
        let mut session = up(
            SessionConfig {
                profile: SessionProfile { receive: ms(1), multiplier, ..profile(ours) },
                ..config(profile(ours))
            },
            ms(0),
        );
        hear(
            &mut session,
            ms(1),
            Control { intervals: [micros(theirs), micros(1), [0; 4]], ..control(BfdState::Up) },
        );
        let late_after = session.kept().unwrap().late_after;
        assert_eq!(late_after, expected.map(Duration::from_micros), "{ours} x {multiplier}, {theirs}");
    }
}

#[test]
fn answers_respect_what_the_peer_receives() {
    let mut session = up(config(profile(50)), ms(0));
    hear(
        &mut session,
        ms(1),
        Control { intervals: [micros(10), micros(200), [0; 4]], ..control(BfdState::Up) },
    );
    assert_eq!(session.kept().unwrap().answer_interval, ms(150));
    hear(&mut session, ms(2), Control { intervals: [micros(10), [0; 4], [0; 4]], ..control(BfdState::Up) });
    assert_eq!(session.kept().unwrap().late_after, None, "it wants no periodic packets");
}

#[test]
fn an_adopted_session_goes_on_as_if_nothing_had_happened() {
    let former = up(config(profile(50)), ms(0));
    let mut session = Session::adopt(config(profile(50)), &left(&former, ms(1000)), 3, ms(1020)).unwrap();
    assert_eq!(session.state(), BfdState::Up);
    assert_eq!(session.poll_change(), None, "the state has not changed");
    let packets = sent(&mut session, ms(1020));
    let expected = Control::from_bytes(&former.packet(0));
    assert_eq!(packets, [expected], "at once, and with nothing that a router would notice");
    assert_eq!(session.view().counters.up_events, 0);
    session.handle_time(ms(1149));
    assert_eq!(session.state(), BfdState::Up);
    session.handle_time(ms(1150));
    assert_eq!(session.state(), BfdState::Down, "the detection time counts from the peer's last packet");
}

#[test]
fn other_intervals_of_the_configuration_take_effect_by_a_poll_sequence() {
    let former = up(config(profile(50)), ms(0));
    let mut session = Session::adopt(config(profile(100)), &left(&former, ms(1000)), 3, ms(1000)).unwrap();
    let packets = sent(&mut session, ms(1000));
    assert!(has(&packets[0], bfd::POLL));
    assert_eq!(packets[0].intervals[0], micros(100));
    assert_eq!(session.timer.transmit_interval(ms(1)), ms(50), "until the peer has answered");
}

#[test]
fn only_a_live_session_of_the_configuration_is_adopted() {
    let former = up(config(profile(50)), ms(0));
    let sound = left(&former, ms(1000));
    let adopt = |left: LeftSession, now: u64| Session::adopt(config(profile(50)), &left, 3, ms(now));
    assert!(adopt(sound, 1149).is_some());
    assert!(adopt(sound, 1150).is_none(), "the peer is silent");
    let with = |change: fn(&mut LeftSession)| {
        let mut changed = sound;
        change(&mut changed);
        adopt(changed, 1000)
    };
    assert!(with(|left| left.ours[7] ^= 1).is_none(), "another discriminator of this side");
    assert!(with(|left| left.ours[11] ^= 1).is_none(), "another discriminator of the peer");
    assert!(with(|left| left.theirs[11] ^= 1).is_none(), "the peer speaks to another session");
    assert!(with(|left| left.ours[1] = bfd::DOWN).is_none());
    assert!(with(|left| left.theirs[1] = bfd::DOWN).is_none());
    assert!(with(|left| left.theirs[1] |= bfd::AUTHENTICATION).is_none());
    assert!(with(|left| left.theirs = [0; bfd::LENGTH]).is_none());
}

#[test]
fn a_recorded_packet_updates_what_the_peer_wants() {
    let mut session = up(config(profile(50)), ms(0));
    let slower = Control { intervals: [micros(80), micros(90), [0; 4]], ..control(BfdState::Up) };
    session.handle_recorded(&slower.to_bytes(), ms(30));
    assert_eq!(session.view().transmit_interval, ms(90));
    assert_eq!(session.view().detection_time, ms(240));
    session.handle_recorded(&control(BfdState::Up).to_bytes(), ms(20));
    assert_eq!(session.view().transmit_interval, ms(90), "an older one does not");
    session.handle_recorded(&control(BfdState::AdminDown).to_bytes(), ms(40));
    assert_eq!(session.state(), BfdState::Down);
}

proptest! {
    /// A peer that is answered by the rule never detects a failure: this side stops at any moment, and the
    /// peer's packets come with any jitter.
    #[test]
    fn a_peer_that_is_answered_detects_nothing(
        ours in 10u64..1000,
        theirs in 10u64..1000,
        multiplier in 1u8..6,
        phase in 0f64..1.0,
        jitters in prop::collection::vec(0.75f64..1.0, 50),
    ) {
        let [transmit, receive] = [ours, theirs].map(Duration::from_millis);
        let detection = transmit * u32::from(multiplier);
        let Some(late_after) = crate::session::kept::late_after(transmit, receive, detection) else { return Ok(()) };
        let mut now = receive.mul_f64(phase);
        let mut last = Duration::ZERO;
        for jitter in jitters {
            if now >= late_after {
                prop_assert!(now - last < detection, "{now:?} - {last:?} in {detection:?}");
                last = now;
            }
            now += receive.mul_f64(jitter);
        }
    }
}
