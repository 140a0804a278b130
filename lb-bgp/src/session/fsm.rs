//! One of a peer's two state machines (RFC 4271, section 8.2.1): of the outgoing or of the incoming
//! connection.

use std::time::Duration;

use super::connection::PeerConnection;
use super::state_table::BgpState;

/// A state, and the connection if there is one.
#[derive(Debug)]
pub(super) struct Fsm {
    pub(super) state: BgpState,
    /// Present from OpenSent on.
    pub(super) connection: Option<PeerConnection>,
    /// Idle: start. Active: connect. Connect: time-out.
    pub(super) timer: Option<Duration>,
}

impl Fsm {
    pub(super) const IDLE: Self = Self { state: BgpState::Idle, connection: None, timer: None };

    /// Returns whether the timer has expired.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.timer.is_some_and(|timer| timer <= now)
    }
}
