//! The status of BFD sessions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lb_bfd::session::Hops;
use serde::{Deserialize, Serialize};

use super::view::{BfdSnapshot, BfdView};

/// Response of `GET /bfd`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BfdStatus {
    /// The sessions.
    pub sessions: Vec<BfdSessionStatus>,
    /// Received packets that matched no session.
    pub unknown_packets: u64,
}

/// A BFD session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BfdSessionStatus {
    /// Name of the BGPPeer object.
    pub peer: String,
    /// The peer's address.
    pub address: IpAddr,
    /// The VRF or interface, if configured.
    pub vrf: Option<String>,
    /// Multihop (RFC 5883).
    pub multihop: bool,
    /// `AdminDown`, `Down`, `Init` or `Up`.
    pub state: Cow<'static, str>,
    /// Seconds in this state.
    pub seconds: u64,
    /// Why it last went down.
    pub diagnostic: Cow<'static, str>,
    /// The peer's last reported state.
    pub remote_state: Cow<'static, str>,
    /// Transmit interval in milliseconds.
    pub transmit_ms: f64,
    /// Detection time in milliseconds.
    pub detection_ms: f64,
    /// Echo interval in milliseconds; `None` if none are sent.
    pub echo_ms: Option<f64>,
    /// Echoes sent.
    pub echo_sent: u64,
    /// Echoes returned.
    pub echo_received: u64,
    /// Control packets sent.
    pub sent: u64,
    /// Control packets accepted.
    pub received: u64,
    /// Transitions to Up.
    pub up_events: u64,
    /// Transitions from Up.
    pub down_events: u64,
    /// The XDP program keeps the session up while the agent restarts. False while the session is down, if the
    /// router's packets do not pass the program, or if the router sends too rarely: less often than once in
    /// its detection time for this node, less a transmit interval.
    #[serde(default)]
    pub kept: bool,
    /// Control packets rejected, by reason.
    pub refused: BTreeMap<Cow<'static, str>, u64>,
}

impl From<&BfdView> for BfdStatus {
    fn from(view: &BfdView) -> Self {
        let mut sessions: Vec<_> = view.sessions.iter().map(session).collect();
        sessions.sort_by(|one, other| one.peer.cmp(&other.peer));
        Self { sessions, unknown_packets: view.unknown }
    }
}

fn session(snapshot: &BfdSnapshot) -> BfdSessionStatus {
    let BfdSnapshot { name, target, view, is_kept, at } = snapshot;
    BfdSessionStatus {
        peer: name.clone(),
        address: target.address,
        vrf: target.device.clone(),
        multihop: matches!(target.hops, Hops::Multi { .. }),
        state: view.state.name().into(),
        seconds: at.saturating_sub(view.since).as_secs(),
        diagnostic: view.diagnostic.description().into(),
        remote_state: view.remote_state.name().into(),
        transmit_ms: milliseconds(view.transmit_interval),
        detection_ms: milliseconds(view.detection_time),
        echo_ms: view.echo_interval.map(milliseconds),
        echo_sent: view.counters.echo_sent,
        echo_received: view.counters.echo_received,
        sent: view.counters.sent,
        received: view.counters.received,
        up_events: view.counters.up_events,
        down_events: view.counters.down_events,
        kept: *is_kept,
        refused: view.counters.rejected.iter().map(|(reason, count)| ((*reason).into(), *count)).collect(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
