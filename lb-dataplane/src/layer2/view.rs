//! The view of the announcer: who announces each address on the local network, as seen by this node.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The addresses that nodes announce, as seen by this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer2View {
    /// What this node says of itself: `stable`, `returned`, `ready` or `absent`.
    pub standing: Cow<'static, str>,
    /// The addresses, in order.
    pub addresses: Vec<AddressState>,
    /// Announcements sent: gratuitous ARP and unsolicited Neighbor Advertisements.
    pub announcements: u64,
    /// Announcements sent because another host claimed the address.
    pub defended: u64,
}

/// An address that nodes announce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressState {
    /// The address.
    pub address: IpAddr,
    /// Its pool, as `namespace/name`.
    pub pool: String,
    /// The Services on it, as `namespace/name`.
    pub services: Vec<String>,
    /// The node that announces it; `None`: none does.
    pub announcer: Option<String>,
    /// Whether that is this node.
    pub is_self: bool,
    /// What this node does: `announcing`, `standby`, `checking` for duplicates, `conflict` with another host,
    /// or `off`.
    pub phase: Cow<'static, str>,
    /// The nodes that may announce it, by rank.
    pub ranks: Vec<RankState>,
    /// The interfaces on which this node announces it.
    pub interfaces: Vec<String>,
    /// Number of the address in `lb_l2_stats`.
    pub number: u32,
    /// Milliseconds since the announcer last changed; `None`: never since this agent started.
    pub since_ms: Option<u64>,
    /// How often this node has taken the address over.
    pub takeovers: u64,
    /// Announcements that this node has sent.
    pub announcements: u64,
    /// Milliseconds since the last one.
    pub last_announcement_ms: Option<u64>,
    /// Hosts outside the cluster that claim the address.
    pub strangers: Vec<StrangerState>,
}

/// A node that may announce an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankState {
    /// Its name.
    pub node: String,
    /// `alive`, `draining` or `dead`.
    pub state: Cow<'static, str>,
    /// What it says of itself: `stable`, `returned`, `ready` or `absent`.
    pub standing: Cow<'static, str>,
}

/// A host outside the cluster that claims an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangerState {
    /// Its MAC address.
    pub mac: String,
    /// The interface on which it was heard.
    pub interface: String,
    /// How often.
    pub claims: u64,
    /// Milliseconds since it was last heard.
    pub last_ms: u64,
}
