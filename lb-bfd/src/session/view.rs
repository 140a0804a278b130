//! What a session shows of itself.

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
    /// Why, where it went down.
    pub diagnostic: Diagnostic,
    /// What the neighbor last said of itself. One that is AdminDown says that the path may well be fine
    /// (RFC 5882 section 3.2).
    pub remote: BfdState,
    /// When.
    pub at: Duration,
}

/// How a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its state.
    pub state: BfdState,
    /// Why it last went down; none while it is up.
    pub diagnostic: Diagnostic,
    /// Since when it is in this state.
    pub since: Duration,
    /// What the neighbor last said of itself.
    pub remote_state: BfdState,
    /// Why the neighbor's side last went down, as it told.
    pub remote_diagnostic: Diagnostic,
    /// The neighbor's discriminator; zero if it is not known.
    pub remote_discriminator: u32,
    /// Time between two packets out, before jitter.
    pub transmit_interval: Duration,
    /// Time without a packet in after which the neighbor is dead; zero before it was heard.
    pub detection_time: Duration,
    /// Time between two echo packets out; `None` if none are sent.
    pub echo_interval: Option<Duration>,
    /// What it counted.
    pub counters: SessionCounters,
}

/// What a session counted, since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Control packets out.
    pub sent: u64,
    /// Control packets in that were taken.
    pub received: u64,
    /// Echo packets out.
    pub echo_sent: u64,
    /// Echo packets back.
    pub echo_received: u64,
    /// Times that it came up.
    pub up_events: u64,
    /// Times that it went down from up.
    pub down_events: u64,
    /// Control packets in that were not taken, by the reason's word.
    pub rejected: BTreeMap<&'static str, u64>,
}
