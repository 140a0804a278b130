//! The state machine (RFC 5880 sections 6.2 and 6.8.6), whole.
//!
//! ```text
//!                              +--+
//!                              |  | Up, AdminDown, timer
//!                              |  V
//!                      Down  +------+  Init
//!               +------------|      |------------+
//!               |            | Down |            |
//!               |  +-------->|      |<--------+  |
//!               |  |         +------+         |  |
//!               |  |                          |  |
//!               |  |               Down,      |  |
//!               |  | AdminDown,    AdminDown, |  |
//!               |  | timer         timer      |  |
//!               V  |                          |  V
//!             +------+                      +------+
//!        +----|      |                      |      |----+
//!    Down|    | Init |--------------------->|  Up  |    |Init, Up
//!        +--->|      | Init, Up             |      |<---+
//!             +------+                      +------+
//! ```
//!
//! On each arrow stands the state that the other side has told. AdminDown is apart: nothing that is received
//! leads out of it.

/// State of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BfdState {
    /// Held down on purpose.
    AdminDown,
    /// Nobody is heard, or just now not any more.
    #[default]
    Down,
    /// The other side is heard, and does not hear this one yet.
    Init,
    /// Both hear each other.
    Up,
}

impl BfdState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// Out of a packet's two bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    /// Into a packet's two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    /// Its name in the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }
}

/// Why a session last went down (RFC 5880 section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diagnostic {
    /// It did not.
    #[default]
    None,
    /// Nothing was received for the detection time.
    DetectionTimeExpired,
    /// Echo packets did not come back.
    EchoFailed,
    /// The other side said that it is down.
    NeighborSignaledDown,
    /// Held down on purpose.
    AdministrativelyDown,
    /// Another code, of the other side.
    Other(u8),
}

impl Diagnostic {
    /// Out of a packet's five bits.
    pub const fn from_code(code: u8) -> Self {
        match code & 0x1f {
            0 => Self::None,
            1 => Self::DetectionTimeExpired,
            2 => Self::EchoFailed,
            3 => Self::NeighborSignaledDown,
            7 => Self::AdministrativelyDown,
            other => Self::Other(other),
        }
    }

    /// Into a packet's five bits.
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::DetectionTimeExpired => 1,
            Self::EchoFailed => 2,
            Self::NeighborSignaledDown => 3,
            Self::AdministrativelyDown => 7,
            Self::Other(code) => code & 0x1f,
        }
    }

    /// For people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::None => "no diagnostic",
            Self::DetectionTimeExpired => "nothing was received for the detection time",
            Self::EchoFailed => "echo packets did not come back",
            Self::NeighborSignaledDown => "the neighbor said that the session is down",
            Self::AdministrativelyDown => "held down by configuration",
            Self::Other(4) => "the forwarding plane was reset",
            Self::Other(5) => "the path is down",
            Self::Other(6) => "a concatenated path is down",
            Self::Other(8) => "a reverse concatenated path is down",
            Self::Other(_) => "an unknown diagnostic",
        }
    }
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BfdEvent {
    /// A packet of the other side told its state.
    Received(BfdState),
    /// The detection time is over.
    Expired,
    /// Echo packets did not come back.
    EchoFailed,
    /// It shall be down.
    Disabled,
    /// It may be up.
    Enabled,
}

impl BfdEvent {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Received(BfdState::AdminDown),
        Self::Received(BfdState::Down),
        Self::Received(BfdState::Init),
        Self::Received(BfdState::Up),
        Self::Expired,
        Self::EchoFailed,
        Self::Disabled,
        Self::Enabled,
    ];
}

/// The state after an event, and the diagnostic where there is a new one.
pub(crate) const fn next(state: BfdState, event: BfdEvent) -> (BfdState, Option<Diagnostic>) {
    use BfdEvent::{Disabled, EchoFailed, Enabled, Expired, Received};
    use BfdState::{AdminDown, Down, Init, Up};
    use Diagnostic::{AdministrativelyDown, DetectionTimeExpired, NeighborSignaledDown};
    match (state, event) {
        (AdminDown, Received(AdminDown)) => (AdminDown, None),
        (AdminDown, Received(Down)) => (AdminDown, None),
        (AdminDown, Received(Init)) => (AdminDown, None),
        (AdminDown, Received(Up)) => (AdminDown, None),
        (AdminDown, Expired) => (AdminDown, None),
        (AdminDown, EchoFailed) => (AdminDown, None),
        (AdminDown, Disabled) => (AdminDown, None),
        (AdminDown, Enabled) => (Down, Some(Diagnostic::None)),

        (Down, Received(AdminDown)) => (Down, None),
        (Down, Received(Down)) => (Init, None),
        (Down, Received(Init)) => (Up, None),
        (Down, Received(Up)) => (Down, None),
        (Down, Expired) => (Down, None),
        (Down, EchoFailed) => (Down, None),
        (Down, Disabled) => (AdminDown, Some(AdministrativelyDown)),
        (Down, Enabled) => (Down, None),

        (Init, Received(AdminDown)) => (Down, Some(NeighborSignaledDown)),
        (Init, Received(Down)) => (Init, None),
        (Init, Received(Init)) => (Up, None),
        (Init, Received(Up)) => (Up, None),
        (Init, Expired) => (Down, Some(DetectionTimeExpired)),
        // No echo is sent before a session is up.
        (Init, EchoFailed) => (Init, None),
        (Init, Disabled) => (AdminDown, Some(AdministrativelyDown)),
        (Init, Enabled) => (Init, None),

        (Up, Received(AdminDown)) => (Down, Some(NeighborSignaledDown)),
        (Up, Received(Down)) => (Down, Some(NeighborSignaledDown)),
        (Up, Received(Init)) => (Up, None),
        (Up, Received(Up)) => (Up, None),
        (Up, Expired) => (Down, Some(DetectionTimeExpired)),
        (Up, EchoFailed) => (Down, Some(Diagnostic::EchoFailed)),
        (Up, Disabled) => (AdminDown, Some(AdministrativelyDown)),
        (Up, Enabled) => (Up, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5880 section 6.8.6 as it is written, a sentence a line, and 6.8.4, 6.8.16 and 6.8.5 for what is not
    /// received.
    fn as_written(state: BfdState, event: BfdEvent) -> (BfdState, u8) {
        let unchanged = (state, 0);
        match event {
            BfdEvent::Received(_) if state == BfdState::AdminDown => unchanged,
            BfdEvent::Received(BfdState::AdminDown) if state != BfdState::Down => (BfdState::Down, 3),
            BfdEvent::Received(BfdState::AdminDown) => unchanged,
            BfdEvent::Received(received) if state == BfdState::Down => match received {
                BfdState::Down => (BfdState::Init, 0),
                BfdState::Init => (BfdState::Up, 0),
                BfdState::AdminDown | BfdState::Up => unchanged,
            },
            BfdEvent::Received(received) if state == BfdState::Init => {
                if received >= BfdState::Init {
                    (BfdState::Up, 0)
                } else {
                    unchanged
                }
            }
            BfdEvent::Received(received) => {
                if received == BfdState::Down {
                    (BfdState::Down, 3)
                } else {
                    unchanged
                }
            }
            BfdEvent::Expired if state >= BfdState::Init => (BfdState::Down, 1),
            BfdEvent::EchoFailed if state == BfdState::Up => (BfdState::Down, 2),
            BfdEvent::Disabled if state != BfdState::AdminDown => (BfdState::AdminDown, 7),
            BfdEvent::Enabled if state == BfdState::AdminDown => (BfdState::Down, 0),
            BfdEvent::Expired | BfdEvent::EchoFailed | BfdEvent::Disabled | BfdEvent::Enabled => unchanged,
        }
    }

    #[test]
    fn every_pair_is_as_the_rfc_says() {
        for state in BfdState::ALL {
            for event in BfdEvent::ALL {
                let (next, diagnostic) = next(state, event);
                let expected = as_written(state, event);
                assert_eq!((next, diagnostic.map_or(0, Diagnostic::code)), expected, "{state:?} {event:?}");
            }
        }
    }

    /// So a state or an event that is new must be decided about. Clippy's lint does not look into pairs.
    #[test]
    fn the_table_has_no_wildcard() {
        let source = include_str!("state.rs");
        let table = source.split("pub(crate) const fn next(").nth(1).unwrap().split("\n}\n").next().unwrap();
        let arms: Vec<&str> = table.lines().filter(|line| line.contains("=>")).collect();
        assert_eq!(arms.len(), BfdState::ALL.len() * BfdEvent::ALL.len());
        for arm in arms {
            let pattern = arm.split("=>").next().unwrap();
            assert!(
                !pattern.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "_"),
                "{arm}"
            );
        }
    }

    #[test]
    fn bits_and_codes_are_read_as_they_are_written() {
        for state in BfdState::ALL {
            assert_eq!(BfdState::from_bits(state.bits()), state);
        }
        for code in 0..32 {
            assert_eq!(Diagnostic::from_code(code).code(), code);
        }
    }
}
