//! The announcer of one node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use lb_common::maps::{Liveness, Standing};
use lb_common::ring::NodeIndex;

use crate::claim::Claim;
use crate::event::L2Event;
use crate::frame::L2Frame;
use crate::table::L2Table;
use crate::view::EngineView;

/// Settings of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Interval at which an address is announced again; `None`: never.
    pub keep_alive: Option<Duration>,
    /// Frames a second on a network, by all nodes that take addresses over at the same time.
    pub rate: u32,
    /// How long a node that has returned leaves its addresses to others; `None`: as long as they announce
    /// them.
    pub preempt_after: Option<Duration>,
    /// Whether duplicates are searched for before the first announcement of an address.
    pub check: bool,
    /// Time without a reply after which a node is dead.
    pub detection: Duration,
}

/// What this node knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnState {
    /// Whether it drains.
    pub is_draining: bool,
    /// Whether it can announce: it forwards packets, is not isolated, and its Node object exists.
    pub can_announce: bool,
}

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingFrame {
    /// Interface index of the link.
    pub link: u32,
    /// The frame.
    pub frame: L2Frame,
}

/// The announcer of one node.
#[derive(Clone, Debug)]
pub struct Engine {
    standing: Standing,
    checked: BTreeSet<IpAddr>,
    groups: BTreeSet<(u32, Ipv6Addr)>,
}

impl Engine {
    /// Returns an engine without addresses. `adopted` is the standing of an earlier agent whose program goes on
    /// running; [`Standing::Absent`]: there is none.
    pub fn new(_settings: EngineSettings, adopted: Standing, _now: Duration) -> Self {
        Self { standing: adopted, checked: BTreeSet::new(), groups: BTreeSet::new() }
    }

    /// Replaces the table.
    pub fn set_table(&mut self, _table: Arc<L2Table>, _now: Duration) {}

    /// Looks at the state of this node and of the others; `states` returns `None` for a dead node. Called every
    /// few milliseconds.
    pub fn handle_states(
        &mut self,
        _own: OwnState,
        _states: impl Fn(NodeIndex) -> Option<Liveness>,
        _now: Duration,
    ) {
    }

    /// Notes the claim of a received frame ([`crate::claim::read_claim`]).
    pub fn handle_claim(&mut self, _link: u32, _claim: Claim, _now: Duration) {}

    /// Returns a frame that is due; call it until it returns `None`.
    pub fn poll_frame(&mut self, _now: Duration) -> Option<OutgoingFrame> {
        None
    }

    /// Returns when the engine next has something to do by itself. The nodes' states have to be looked at
    /// more often.
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// Returns what has happened since the last call.
    pub fn take_events(&mut self) -> Vec<L2Event> {
        Vec::new()
    }

    /// Returns what this node says of itself as an announcer.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns the addresses that this node's program may answer for: no duplicate of them was found. Without
    /// the check, all of them.
    pub const fn checked(&self) -> &BTreeSet<IpAddr> {
        &self.checked
    }

    /// Returns the multicast groups to join, with the interface index of the link.
    pub const fn groups(&self) -> &BTreeSet<(u32, Ipv6Addr)> {
        &self.groups
    }

    /// Returns the state, for commands and metrics.
    pub fn view(&self, _now: Duration) -> EngineView {
        EngineView {
            standing: self.standing,
            standing_for: Duration::ZERO,
            addresses: std::collections::BTreeMap::new(),
            counters: crate::view::EngineCounters::default(),
        }
    }
}
