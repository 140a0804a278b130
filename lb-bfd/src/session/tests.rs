mod detection;
mod echo;
mod kept;
mod pair;
mod poll;
mod reception;
mod transmission;

use super::*;

const LOCAL: u32 = 1;
const REMOTE: u32 = 9;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The same interval both ways, multiplier 3.
fn profile(interval: u64) -> SessionProfile {
    SessionProfile { transmit: ms(interval), receive: ms(interval), ..SessionProfile::default() }
}

fn config(profile: SessionProfile) -> SessionConfig {
    SessionConfig {
        local: Discriminator::new(LOCAL).unwrap(),
        hops: Hops::Single,
        profile,
        control_plane_independent: false,
        echo_receive: Duration::ZERO,
    }
}

/// A packet of a peer in this state with 50 ms intervals; it hears this side unless it is down.
fn control(state: BfdState) -> Control {
    let receiver = if state >= BfdState::Init { LOCAL } else { 0 };
    Control {
        version_and_diagnostic: bfd::VERSION,
        state_and_flags: state.bits() << 6,
        multiplier: 3,
        length: bfd::LENGTH as u8,
        my_discriminator: REMOTE.to_be_bytes(),
        your_discriminator: receiver.to_be_bytes(),
        intervals: [micros(50), micros(50), [0; 4]],
    }
}

fn micros(ms: u64) -> [u8; 4] {
    packet::micros(Duration::from_millis(ms))
}

fn with_flag(state: BfdState, flag: u8) -> Control {
    let plain = control(state);
    Control { state_and_flags: plain.state_and_flags | flag, ..plain }
}

fn hear(session: &mut Session, at: Duration, control: Control) {
    session.handle_packet(&ReceivedPacket { bytes: &control.to_bytes(), ttl: 255, at }).unwrap();
}

/// Hands in an Up packet that the XDP program has recorded.
fn recorded(session: &mut Session, at: Duration) {
    session.handle_recorded(&control(BfdState::Up).to_bytes(), at);
}

/// Returns all packets to send now.
fn sent(session: &mut Session, now: Duration) -> Vec<Control> {
    std::iter::from_fn(|| session.poll_packet(now)).map(|bytes| Control::from_bytes(&bytes)).collect()
}

fn has(control: &Control, flag: u8) -> bool {
    control.state_and_flags & flag != 0
}

fn state_of(control: &Control) -> BfdState {
    BfdState::from_bits(control.state_and_flags >> 6)
}

/// Returns a session that came up at this time, with its poll sequence completed.
fn up(config: SessionConfig, at: Duration) -> Session {
    let mut session = Session::new(config, 7, at);
    sent(&mut session, at);
    hear(&mut session, at, control(BfdState::Down));
    sent(&mut session, at);
    hear(&mut session, at, control(BfdState::Up));
    sent(&mut session, at);
    hear(&mut session, at, with_flag(BfdState::Up, bfd::FINAL));
    assert_eq!(session.state(), BfdState::Up);
    while session.poll_change().is_some() {}
    session
}

/// Drives a session that receives this packet every 40 ms; returns what it sent, and when.
fn drive(
    session: &mut Session,
    from: Duration,
    to: Duration,
    last_received: Option<Control>,
) -> Vec<(Duration, Control)> {
    let (mut now, mut all) = (from, Vec::new());
    while now < to {
        if let Some(control) = last_received.filter(|_| (now - from).as_micros().is_multiple_of(40_000)) {
            hear(session, now, control);
        }
        session.handle_time(now);
        all.extend(sent(session, now).into_iter().map(|control| (now, control)));
        now += Duration::from_micros(500);
    }
    all
}

fn gaps(sent: &[(Duration, Control)]) -> Vec<Duration> {
    sent.windows(2).map(|two| two[1].0 - two[0].0).collect()
}
