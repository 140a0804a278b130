//! Validation of received packets (RFC 5880, section 6.8.6), one row per rule.

use super::*;

/// Name, packet, bytes cut off, TTL, error.
type Rejected = (&'static str, Control, usize, u8, PacketError);

fn rejected() -> Vec<Rejected> {
    let up = control(BfdState::Up);
    let flagged = |flag| with_flag(BfdState::Up, flag);
    let lone = |state| Control { your_discriminator: [0; 4], ..control(state) };
    let authenticated = |length| Control { length, ..flagged(bfd::AUTHENTICATION) };
    vec![
        ("version 0", Control { version_and_diagnostic: 0, ..up }, 0, 255, PacketError::Version),
        ("version 2", Control { version_and_diagnostic: 2 << 5, ..up }, 0, 255, PacketError::Version),
        ("length below the minimum", Control { length: 23, ..up }, 0, 255, PacketError::Length),
        ("length below the minimum with authentication", authenticated(25), 0, 255, PacketError::Length),
        ("length beyond the datagram", Control { length: 25, ..up }, 0, 255, PacketError::Length),
        ("datagram below the minimum", up, 1, 255, PacketError::TooShort),
        ("empty datagram", up, 24, 255, PacketError::TooShort),
        ("multiplier 0", Control { multiplier: 0, ..up }, 0, 255, PacketError::Multiplier),
        ("multipoint", flagged(bfd::MULTIPOINT), 0, 255, PacketError::Multipoint),
        ("no sender", Control { my_discriminator: [0; 4], ..up }, 0, 255, PacketError::NoSender),
        (
            "another receiver",
            Control { your_discriminator: [0, 0, 0, 2], ..up },
            0,
            255,
            PacketError::OtherSession,
        ),
        ("no receiver in Init", lone(BfdState::Init), 0, 255, PacketError::NoReceiver),
        ("no receiver in Up", lone(BfdState::Up), 0, 255, PacketError::NoReceiver),
        ("one hop too many", up, 0, 254, PacketError::Ttl),
    ]
}

#[test]
fn a_rejected_packet_has_no_effect_and_is_counted() {
    for (name, control, cut, ttl, error) in rejected() {
        let mut session = up(config(profile(50)), ms(0));
        let (before, deadline) = (session.view(), session.next_deadline());
        let bytes = control.to_bytes();
        let received = ReceivedPacket { bytes: &bytes[..bytes.len() - cut], ttl, at: ms(100) };
        assert_eq!(session.handle_packet(&received), Err(error), "{name}");
        let mut after = session.view();
        assert_eq!(after.counters.rejected.get(error.label()), Some(&1), "{name}");
        after.counters.rejected.clear();
        assert_eq!((after, session.next_deadline()), (before, deadline), "{name}");
    }
}

#[test]
fn authentication_is_rejected() {
    let mut session = up(config(profile(50)), ms(0));
    let mut bytes =
        Control { length: 26, ..with_flag(BfdState::Up, bfd::AUTHENTICATION) }.to_bytes().to_vec();
    bytes.extend([1, 2]);
    let received = ReceivedPacket { bytes: &bytes, ttl: 255, at: ms(1) };
    assert_eq!(session.handle_packet(&received), Err(PacketError::Authenticated));
}

#[test]
fn the_first_violated_rule_is_reported() {
    // From the last rule to the first: each packet violates one more.
    let mut wrong = Control { your_discriminator: [0, 0, 0, 2], ..control(BfdState::Up) };
    let mut session = up(config(profile(50)), ms(0));
    let mut error = |control: Control| {
        let received = ReceivedPacket { bytes: &control.to_bytes(), ttl: 1, at: ms(1) };
        session.handle_packet(&received).unwrap_err()
    };
    assert_eq!(error(wrong), PacketError::OtherSession);
    wrong.your_discriminator = [0; 4];
    assert_eq!(error(wrong), PacketError::NoReceiver);
    wrong.my_discriminator = [0; 4];
    assert_eq!(error(wrong), PacketError::NoSender);
    wrong.state_and_flags |= bfd::MULTIPOINT;
    assert_eq!(error(wrong), PacketError::Multipoint);
    wrong.multiplier = 0;
    assert_eq!(error(wrong), PacketError::Multiplier);
    wrong.length = 200;
    assert_eq!(error(wrong), PacketError::Length);
    wrong.version_and_diagnostic = 0;
    assert_eq!(error(wrong), PacketError::Version);
}

#[test]
fn multihop_uses_the_configured_minimum_ttl() {
    for (ttl, expected) in [(252, Err(PacketError::Ttl)), (253, Ok(())), (255, Ok(()))] {
        let hops = Hops::Multi { minimum_ttl: 253 };
        let mut session = Session::new(SessionConfig { hops, ..config(profile(50)) }, 7, ms(0));
        let received = ReceivedPacket { bytes: &control(BfdState::Down).to_bytes(), ttl, at: ms(0) };
        assert_eq!(session.handle_packet(&received), expected, "{ttl}");
    }
}

#[test]
fn a_datagram_may_be_longer_than_its_packet() {
    let mut session = up(config(profile(50)), ms(0));
    let mut bytes = control(BfdState::Up).to_bytes().to_vec();
    bytes.extend([0xff; 40]);
    assert_eq!(session.handle_packet(&ReceivedPacket { bytes: &bytes, ttl: 255, at: ms(1) }), Ok(()));
}

/// Our state, the received state, and our next state.
const STEPS: [(BfdState, BfdState, BfdState); 16] = {
    use BfdState::{AdminDown, Down, Init, Up};
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

/// Returns a session in this state.
fn in_state(state: BfdState) -> Session {
    let mut session = Session::new(config(profile(50)), 7, ms(0));
    match state {
        BfdState::AdminDown => session.set_admin_down(true, ms(0)),
        BfdState::Down => {}
        BfdState::Init => hear(&mut session, ms(0), control(BfdState::Down)),
        BfdState::Up => session = up(config(profile(50)), ms(0)),
    }
    sent(&mut session, ms(0));
    assert_eq!(session.state(), state);
    session
}

#[test]
fn every_received_state_leads_to_the_state_of_the_rfc() {
    for (from, received_state, to) in STEPS {
        let mut session = in_state(from);
        while session.poll_change().is_some() {}
        hear(&mut session, ms(10), control(received_state));
        assert_eq!(session.state(), to, "{from:?} receives {received_state:?}");
        assert_eq!(session.view().remote_state, received_state);
        let change = session.poll_change();
        assert_eq!(change.map(|change| (change.from, change.to)), (from != to).then_some((from, to)));
        if to == BfdState::Down && from != BfdState::Down {
            let expected = (Diagnostic::NeighborSignaledDown, received_state);
            assert_eq!(change.map(|change| (change.diagnostic, change.remote)), Some(expected));
        }
    }
}

#[test]
fn all_reported_values_are_stored() {
    let mut session = up(config(profile(50)), ms(0));
    let packet = Control {
        version_and_diagnostic: bfd::VERSION | 5,
        multiplier: 7,
        my_discriminator: [1, 2, 3, 4],
        intervals: [micros(80), micros(90), [0; 4]],
        ..control(BfdState::Up)
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
    for state in BfdState::ALL {
        let mut session = in_state(state);
        let received_state = if state == BfdState::Down { BfdState::AdminDown } else { BfdState::Init };
        hear(&mut session, ms(10), with_flag(received_state, bfd::POLL));
        assert_eq!(session.next_deadline() == Some(ms(0)), state != BfdState::AdminDown);
        let packets = sent(&mut session, ms(10));
        let finals = packets.iter().filter(|packet| has(packet, bfd::FINAL)).count();
        assert_eq!(finals, usize::from(state != BfdState::AdminDown), "{state:?}");
        assert!(packets.iter().all(|packet| !(has(packet, bfd::POLL) && has(packet, bfd::FINAL))));
    }
}

#[test]
fn a_restarted_peer_takes_the_session_down_and_its_new_discriminator_is_used() {
    let mut session = up(config(profile(50)), ms(0));
    let packet = Control { my_discriminator: [0, 0, 0, 77], ..control(BfdState::Down) };
    hear(&mut session, ms(10), packet);
    assert_eq!(session.state(), BfdState::Down);
    assert_eq!(sent(&mut session, ms(10))[0].your_discriminator, [0, 0, 0, 77]);
}
