//! BFD as people and programs are shown it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lb_bfd::session::Hops;
use serde::{Deserialize, Serialize};

use super::view::{BfdSnapshot, BfdView};

/// What `GET /bfd` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BfdStatus {
    /// The sessions.
    pub sessions: Vec<BfdSessionStatus>,
    /// Packets that came in and were of no session.
    pub unknown_packets: u64,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BfdSessionStatus {
    /// The neighbour's object.
    pub peer: String,
    /// Its address.
    pub address: IpAddr,
    /// The VRF or interface, if one is said.
    pub vrf: Option<String>,
    /// Over several hops (RFC 5883).
    pub multihop: bool,
    /// `AdminDown`, `Down`, `Init` or `Up`.
    pub state: Cow<'static, str>,
    /// For how long it has been so.
    pub seconds: u64,
    /// Why it last went down.
    pub diagnostic: Cow<'static, str>,
    /// What the neighbour says of itself.
    pub remote_state: Cow<'static, str>,
    /// Milliseconds between two packets out.
    pub transmit_ms: f64,
    /// Milliseconds without a packet in after which the neighbour is taken for dead.
    pub detection_ms: f64,
    /// Milliseconds between two echoes out; `None` where none are sent.
    pub echo_ms: Option<f64>,
    /// Echoes out.
    pub echo_sent: u64,
    /// Echoes back.
    pub echo_received: u64,
    /// Control packets out.
    pub sent: u64,
    /// Control packets in.
    pub received: u64,
    /// Times that it came up.
    pub up_events: u64,
    /// Times that it went down from up.
    pub down_events: u64,
    /// Control packets in that counted for nothing, by why.
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
    let BfdSnapshot { name, target, view, at } = snapshot;
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
        refused: view.counters.rejected.iter().map(|(reason, count)| ((*reason).into(), *count)).collect(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
