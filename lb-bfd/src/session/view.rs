//! Snapshots and state changes of a session.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::state::{BfdState, Diagnostic};

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Before.
    pub from: BfdState,
    /// After.
    pub to: BfdState,
    /// The reason, if it went down.
    pub diagnostic: Diagnostic,
    /// The peer's last reported state. AdminDown does not imply a broken path (RFC 5882, section 3.2).
    pub remote: BfdState,
    /// Time of the change.
    pub at: Duration,
}

/// A snapshot of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its state.
    pub state: BfdState,
    /// The reason it last went down; none while it is up.
    pub diagnostic: Diagnostic,
    /// Time of the last change.
    pub since: Duration,
    /// The peer's last reported state.
    pub remote_state: BfdState,
    /// The peer's last reported diagnostic.
    pub remote_diagnostic: Diagnostic,
    /// The peer's discriminator; zero if unknown.
    pub remote_discriminator: u32,
    /// Transmit interval before jitter.
    pub transmit_interval: Duration,
    /// Detection time; zero before the peer was heard.
    pub detection_time: Duration,
    /// Interval of echo packets; `None` if none are sent.
    pub echo_interval: Option<Duration>,
    /// Counters.
    pub counters: SessionCounters,
}

/// Counters of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Control packets sent.
    pub sent: u64,
    /// Control packets accepted.
    pub received: u64,
    /// Echo packets sent.
    pub echo_sent: u64,
    /// Echo packets returned.
    pub echo_received: u64,
    /// Transitions to Up.
    pub up_events: u64,
    /// Transitions from Up.
    pub down_events: u64,
    /// Control packets rejected, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
}
