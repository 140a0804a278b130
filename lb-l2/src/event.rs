//! What happened, for the driver to log and to report.

use std::net::IpAddr;

use lb_common::maps::Standing;
use lb_common::ring::NodeIndex;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L2Event {
    /// This node announces an address from now on.
    TookOver {
        /// The address.
        address: IpAddr,
        /// The node that announced it before; `None`: no node.
        from: Option<NodeIndex>,
    },
    /// This node announces an address no longer.
    GaveUp {
        /// The address.
        address: IpAddr,
        /// The node that announces it now; `None`: no node, or it has left the table.
        to: Option<NodeIndex>,
    },
    /// A host that is no node uses a new address, which is therefore not announced.
    Conflict {
        /// The address.
        address: IpAddr,
        /// The host's MAC address.
        mac: [u8; 6],
        /// Interface index of the link.
        link: u32,
    },
    /// A new address is free: it may be announced.
    Free {
        /// The address.
        address: IpAddr,
    },
    /// A host that is no node claims an address that the cluster announces.
    StrangerSeen {
        /// The address.
        address: IpAddr,
        /// The host's MAC address.
        mac: [u8; 6],
        /// Interface index of the link.
        link: u32,
    },
    /// What this node says of itself as an announcer has changed.
    StandingChanged {
        /// What it said before.
        from: Standing,
        /// What it says now.
        to: Standing,
        /// Why.
        why: StandingReason,
    },
}

/// Why a standing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingReason {
    /// The node cannot announce: it does not forward packets, is isolated, or has no Node object.
    CannotAnnounce,
    /// The node has started, and other nodes announce already.
    Started,
    /// The node has started, and no other node announces.
    StartedAlone,
    /// A stable node says that this node was dead.
    WasDead,
    /// The node drains or has drained.
    Drained,
    /// The node has been stable for long enough.
    Waited,
    /// No address moves by it.
    Harmless,
}

impl StandingReason {
    /// Returns the reason in words, for logs.
    pub const fn text(self) -> &'static str {
        match self {
            Self::CannotAnnounce => "the node cannot announce",
            Self::Started => "the node has started, and other nodes announce",
            Self::StartedAlone => "the node has started, and no other node announces",
            Self::WasDead => "another node lost contact with this node",
            Self::Drained => "the node drains or has drained",
            Self::Waited => "the node has been stable for long enough",
            Self::Harmless => "no address moves by it",
        }
    }
}
