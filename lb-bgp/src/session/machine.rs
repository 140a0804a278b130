//! One of the two state machines of a neighbour (RFC 4271 section 8.2.1): that of the connection opened
//! here, or of the one accepted.

use std::time::Duration;

use super::link::Link;
use super::table::State;

/// A state, and the connection where there is one.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) state: State,
    /// There from OpenSent on.
    pub(super) link: Option<Link>,
    /// Idle: when to start. Active: when to connect. Connect: when to give up.
    pub(super) timer: Option<Duration>,
}

impl Machine {
    pub(super) const IDLE: Self = Self { state: State::Idle, link: None, timer: None };

    /// Whether its timer has run out.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.timer.is_some_and(|timer| timer <= now)
    }
}
