//! The state of the engine, as commands and metrics show it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lb_common::maps::Standing;
use lb_common::ring::NodeIndex;

/// The state of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineView {
    /// What this node says of itself as an announcer.
    pub standing: Standing,
    /// Time since it last changed.
    pub standing_for: Duration,
    /// All addresses of the table.
    pub addresses: BTreeMap<IpAddr, AddressView>,
    /// Totals since the start.
    pub counters: EngineCounters,
}

/// The state of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressView {
    /// The node that announces it, in this node's view; [`lb_common::ring::NO_NODE`]: none.
    pub announcer: NodeIndex,
    /// What this node does about it.
    pub phase: AddressPhase,
    /// Time since the announcer last changed.
    pub since: Duration,
    /// How often this node took it over from another.
    pub takeovers: u64,
    /// Time since this node last sent an announcement of it.
    pub last_announcement: Option<Duration>,
    /// Announcements of it that this node sent.
    pub announcements: u64,
    /// Hosts that are no nodes and claimed it of late.
    pub strangers: Vec<StrangerView>,
}

/// What a node does about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPhase {
    /// It searches for duplicates, before it announces.
    Checking,
    /// A host that is no node uses the address.
    Conflict,
    /// It announces the address.
    Announcing,
    /// It may announce the address, and another node does.
    Standby,
    /// It may not announce the address.
    Off,
}

impl AddressPhase {
    /// Returns the phase of an address by its check, from the one that it would have without a check.
    pub(crate) const fn with_check(self, is_free: bool, has_duplicate: bool) -> Self {
        match self {
            Self::Announcing if has_duplicate => Self::Conflict,
            Self::Announcing if !is_free => Self::Checking,
            phase => phase,
        }
    }

    /// Returns the name, for commands and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Conflict => "conflict",
            Self::Announcing => "announcing",
            Self::Standby => "standby",
            Self::Off => "off",
        }
    }
}

/// A host that is no node and claims an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrangerView {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Interface index of the link on which it was last seen.
    pub link: u32,
    /// Time since its first claim.
    pub first_seen: Duration,
    /// Time since its last claim.
    pub last_seen: Duration,
    /// Claims.
    pub claims: u64,
}

/// Totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCounters {
    /// Frames sent.
    pub sent: u64,
    /// Of them: announcements that defended an address.
    pub defended: u64,
    /// Of them: frames that had to wait because of the rate.
    pub deferred: u64,
    /// Addresses taken over from another node.
    pub takeovers: u64,
}
