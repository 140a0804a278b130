//! The state machine of a session (RFC 5880, sections 6.2 and 6.8.6).
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
//! Each arrow is labeled with the peer's reported state. AdminDown is not shown: no packet leads out of it.

/// State of a session (RFC 5880, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BfdState {
    /// Held down administratively.
    AdminDown,
    /// The peer is not heard, or no longer.
    #[default]
    Down,
    /// The peer is heard, but does not hear this side yet.
    Init,
    /// Each side hears the other.
    Up,
}

impl BfdState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// Decodes the state from two bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    /// Encodes the state into two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    /// Returns the name in the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }
}

/// The reason for the last transition from Up (RFC 5880, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diagnostic {
    /// None.
    #[default]
    None,
    /// Control detection time expired.
    DetectionTimeExpired,
    /// Echo function failed.
    EchoFailed,
    /// The peer signaled that the session is down.
    NeighborSignaledDown,
    /// Administratively down.
    AdministrativelyDown,
    /// Another code, received from the peer.
    Other(u8),
}

impl Diagnostic {
    /// Decodes the diagnostic from five bits.
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

    /// Encodes the diagnostic into five bits.
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

    /// Returns a text for the operator.
    pub const fn description(self) -> &'static str {
        match self {
            Self::None => "no diagnostic",
            Self::DetectionTimeExpired => "control detection time expired",
            Self::EchoFailed => "echo function failed",
            Self::NeighborSignaledDown => "neighbor signaled session down",
            Self::AdministrativelyDown => "administratively down",
            Self::Other(4) => "forwarding plane reset",
            Self::Other(5) => "path down",
            Self::Other(6) => "concatenated path down",
            Self::Other(8) => "reverse concatenated path down",
            Self::Other(_) => "unknown diagnostic",
        }
    }
}

/// An event of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BfdEvent {
    /// A packet with the peer's state was received.
    Received(BfdState),
    /// The detection time has expired.
    Expired,
    /// The echo function has failed.
    EchoFailed,
    /// The session is disabled administratively.
    Disabled,
    /// The session is enabled again.
    Enabled,
}

impl BfdEvent {
    /// All events.
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

/// Returns the state after an event, and the new diagnostic if there is one.
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

    /// RFC 5880, section 6.8.6, transcribed sentence by sentence, and 6.8.4, 6.8.16 and 6.8.5 for the other
    /// events.
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
    fn every_transition_matches_the_rfc() {
        for state in BfdState::ALL {
            for event in BfdEvent::ALL {
                let (next, diagnostic) = next(state, event);
                let expected = as_written(state, event);
                assert_eq!((next, diagnostic.map_or(0, Diagnostic::code)), expected, "{state:?} {event:?}");
            }
        }
    }

    /// Forces a decision on each new state or event; Clippy's wildcard lint does not cover tuples.
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
    fn bits_and_codes_round_trip() {
        for state in BfdState::ALL {
            assert_eq!(BfdState::from_bits(state.bits()), state);
        }
        for code in 0..32 {
            assert_eq!(Diagnostic::from_code(code).code(), code);
        }
    }
}
