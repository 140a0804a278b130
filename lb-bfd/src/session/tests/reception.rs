//! RFC 5880 section 6.8.6, a row a rule.

use super::*;

/// What is refused: name, packet, bytes that are cut off it, TTL, refusal.
type Refused = (&'static str, Control, usize, u8, Refusal);

fn refused() -> Vec<Refused> {
    let up = control(State::Up);
    let flagged = |flag| with_flag(State::Up, flag);
    let lone = |state| Control { your_discriminator: [0; 4], ..control(state) };
    let authenticated = |length| Control { length, ..flagged(bfd::AUTHENTICATION) };
    vec![
        ("version 0", Control { version_and_diagnostic: 0, ..up }, 0, 255, Refusal::Version),
        ("version 2", Control { version_and_diagnostic: 2 << 5, ..up }, 0, 255, Refusal::Version),
        ("length below the least", Control { length: 23, ..up }, 0, 255, Refusal::Length),
        ("length below the least with authentication", authenticated(25), 0, 255, Refusal::Length),
        ("length beyond the datagram", Control { length: 25, ..up }, 0, 255, Refusal::Length),
        ("datagram below the least", up, 1, 255, Refusal::TooShort),
        ("empty datagram", up, 24, 255, Refusal::TooShort),
        ("multiplier 0", Control { multiplier: 0, ..up }, 0, 255, Refusal::Multiplier),
        ("multipoint", flagged(bfd::MULTIPOINT), 0, 255, Refusal::Multipoint),
        ("no sender", Control { my_discriminator: [0; 4], ..up }, 0, 255, Refusal::NoSender),
        (
            "another receiver",
            Control { your_discriminator: [0, 0, 0, 2], ..up },
            0,
            255,
            Refusal::OtherSession,
        ),
        ("no receiver in Init", lone(State::Init), 0, 255, Refusal::NoReceiver),
        ("no receiver in Up", lone(State::Up), 0, 255, Refusal::NoReceiver),
        ("one hop too many", up, 0, 254, Refusal::Ttl),
    ]
}

#[test]
fn what_is_refused_counts_for_nothing_and_is_counted() {
    for (name, control, cut, ttl, refusal) in refused() {
        let mut session = up(config(profile(50)), ms(0));
        let (before, deadline) = (session.view(), session.next_deadline());
        let bytes = control.to_bytes();
        let received = Received { bytes: &bytes[..bytes.len() - cut], ttl, at: ms(100) };
        assert_eq!(session.handle_packet(&received), Err(refusal), "{name}");
        let mut after = session.view();
        assert_eq!(after.counters.refusals.get(refusal.label()), Some(&1), "{name}");
        after.counters.refusals.clear();
        assert_eq!((after, session.next_deadline()), (before, deadline), "{name}");
    }
}

#[test]
fn authentication_is_refused_where_none_is_configured() {
    let mut session = up(config(profile(50)), ms(0));
    let mut bytes = Control { length: 26, ..with_flag(State::Up, bfd::AUTHENTICATION) }.to_bytes().to_vec();
    bytes.extend([1, 2]);
    let received = Received { bytes: &bytes, ttl: 255, at: ms(1) };
    assert_eq!(session.handle_packet(&received), Err(Refusal::Authenticated));
}

#[test]
fn the_first_rule_that_is_broken_is_the_one_that_is_told() {
    // From the last rule to the first: each packet breaks one more.
    let mut wrong = Control { your_discriminator: [0, 0, 0, 2], ..control(State::Up) };
    let mut session = up(config(profile(50)), ms(0));
    let mut refusal = |control: Control| {
        let received = Received { bytes: &control.to_bytes(), ttl: 1, at: ms(1) };
        session.handle_packet(&received).unwrap_err()
    };
    assert_eq!(refusal(wrong), Refusal::OtherSession);
    wrong.your_discriminator = [0; 4];
    assert_eq!(refusal(wrong), Refusal::NoReceiver);
    wrong.my_discriminator = [0; 4];
    assert_eq!(refusal(wrong), Refusal::NoSender);
    wrong.state_and_flags |= bfd::MULTIPOINT;
    assert_eq!(refusal(wrong), Refusal::Multipoint);
    wrong.multiplier = 0;
    assert_eq!(refusal(wrong), Refusal::Multiplier);
    wrong.length = 200;
    assert_eq!(refusal(wrong), Refusal::Length);
    wrong.version_and_diagnostic = 0;
    assert_eq!(refusal(wrong), Refusal::Version);
}

#[test]
fn over_several_hops_the_least_ttl_is_the_configured_one() {
    for (ttl, expected) in [(252, Err(Refusal::Ttl)), (253, Ok(())), (255, Ok(()))] {
        let hops = Hops::Multi { minimum_ttl: 253 };
        let mut session = Session::new(Config { hops, ..config(profile(50)) }, 7, ms(0));
        let received = Received { bytes: &control(State::Down).to_bytes(), ttl, at: ms(0) };
        assert_eq!(session.handle_packet(&received), expected, "{ttl}");
    }
}

#[test]
fn a_datagram_may_be_longer_than_its_packet() {
    let mut session = up(config(profile(50)), ms(0));
    let mut bytes = control(State::Up).to_bytes().to_vec();
    bytes.extend([0xff; 40]);
    assert_eq!(session.handle_packet(&Received { bytes: &bytes, ttl: 255, at: ms(1) }), Ok(()));
}

/// Our state, theirs, ours after it.
const STEPS: [(State, State, State); 16] = {
    use State::{AdminDown, Down, Init, Up};
    [
        (AdminDown, AdminDown, AdminDown),
        (AdminDown, Down, AdminDown),
        (AdminDown, Init, AdminDown),
        (AdminDown, Up, AdminDown),
        (Down, AdminDown, Down),
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, AdminDown, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, AdminDown, Down),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
    ]
};

/// A session in this state.
fn in_state(state: State) -> Session {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    match state {
        State::AdminDown => session.set_admin_down(true, ms(0)),
        State::Down => {}
        State::Init => hear(&mut session, ms(0), control(State::Down)),
        State::Up => session = up(config(profile(50)), ms(0)),
    }
    sent(&mut session, ms(0));
    assert_eq!(session.state(), state);
    session
}

#[test]
fn every_state_that_is_told_in_every_state_leads_where_the_rfc_says() {
    for (from, told, to) in STEPS {
        let mut session = in_state(from);
        while session.poll_change().is_some() {}
        hear(&mut session, ms(10), control(told));
        assert_eq!(session.state(), to, "{from:?} hears {told:?}");
        assert_eq!(session.view().remote_state, told);
        let change = session.poll_change();
        assert_eq!(change.map(|change| (change.from, change.to)), (from != to).then_some((from, to)));
        if to == State::Down && from != State::Down {
            let expected = (Diagnostic::NeighborSignaledDown, told);
            assert_eq!(change.map(|change| (change.diagnostic, change.remote)), Some(expected));
        }
    }
}

#[test]
fn all_that_a_packet_says_of_its_sender_is_learned() {
    let mut session = up(config(profile(50)), ms(0));
    let packet = Control {
        version_and_diagnostic: bfd::VERSION | 5,
        multiplier: 7,
        my_discriminator: [1, 2, 3, 4],
        intervals: [micros(80), micros(90), [0; 4]],
        ..control(State::Up)
    };
    hear(&mut session, ms(10), packet);
    let view = session.view();
    assert_eq!(view.remote_discriminator, 0x0102_0304);
    assert_eq!(view.remote_diagnostic, Diagnostic::Other(5));
    assert_eq!(view.transmit_interval, ms(90));
    assert_eq!(view.detection_time, ms(7 * 80));
    let packets = drive(&mut session, ms(10), ms(110), None);
    assert_eq!(packets[0].1.your_discriminator, [1, 2, 3, 4]);
}

#[test]
fn a_poll_is_answered_at_once_in_every_state_but_admin_down() {
    for state in State::ALL {
        let mut session = in_state(state);
        let told = if state == State::Down { State::AdminDown } else { State::Init };
        hear(&mut session, ms(10), with_flag(told, bfd::POLL));
        assert_eq!(session.next_deadline() == Some(ms(0)), state != State::AdminDown);
        let packets = sent(&mut session, ms(10));
        let finals = packets.iter().filter(|packet| has(packet, bfd::FINAL)).count();
        assert_eq!(finals, usize::from(state != State::AdminDown), "{state:?}");
        assert!(packets.iter().all(|packet| !(has(packet, bfd::POLL) && has(packet, bfd::FINAL))));
    }
}

#[test]
fn a_neighbor_that_started_anew_takes_the_session_down_and_gets_its_new_number_back() {
    let mut session = up(config(profile(50)), ms(0));
    let packet = Control { my_discriminator: [0, 0, 0, 77], ..control(State::Down) };
    hear(&mut session, ms(10), packet);
    assert_eq!(session.state(), State::Down);
    assert_eq!(sent(&mut session, ms(10))[0].your_discriminator, [0, 0, 0, 77]);
}
