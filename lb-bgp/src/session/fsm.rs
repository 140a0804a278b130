//! One of the two state machines of a neighbour (RFC 4271 section 8.2.1): that of the connection opened
//! here, or of the one accepted.

use std::time::Duration;

use super::connection::PeerConnection;
use super::state_table::BgpState;

/// A state, and the connection where there is one.
#[derive(Debug)]
pub(super) struct Fsm {
    pub(super) state: BgpState,
    /// There from OpenSent on.
    pub(super) connection: Option<PeerConnection>,
    /// Idle: when to start. Active: when to connect. Connect: when to give up.
    pub(super) timer: Option<Duration>,
}

impl Fsm {
    pub(super) const IDLE: Self = Self { state: BgpState::Idle, connection: None, timer: None };

    /// Whether its timer has run out.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.timer.is_some_and(|timer| timer <= now)
    }
}
