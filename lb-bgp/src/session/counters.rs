//! Counters of a peer, over all its sessions.

use crate::message::Message;

/// Messages by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounters {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

/// Contents of the peer's UPDATEs. None of the routes is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixCounters {
    /// Received.
    pub accepted: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// UPDATEs under treat-as-withdraw (RFC 7606).
    pub treated_as_withdraw: u64,
    /// Attributes under attribute discard (RFC 7606).
    pub attributes_discarded: u64,
    /// UPDATEs that disabled a family (RFC 4760, section 7).
    pub families_disabled: u64,
    /// End-of-RIB markers.
    pub ends_of_rib: u64,
}

/// Counters of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// Sent.
    pub sent: MessageCounters,
    /// Received and decoded.
    pub received: MessageCounters,
    /// Contents of received UPDATEs.
    pub prefixes: PrefixCounters,
    /// Received messages that could not be decoded.
    pub malformed: u64,
    /// Sessions that came up.
    pub established: u64,
    /// Sessions that were adopted from another process.
    pub adopted: u64,
    /// Sessions that came up and went down unintentionally.
    pub flaps: u64,
    /// Connection attempts.
    pub connects: u64,
    /// Failed connection attempts.
    pub connects_failed: u64,
}

impl MessageCounters {
    /// Returns the total.
    pub const fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }

    pub(super) const fn count(&mut self, message: &Message) {
        match message {
            Message::Open(_) => self.open += 1,
            Message::Update(_) => self.update += 1,
            Message::Notification(_) => self.notification += 1,
            Message::Keepalive => self.keepalive += 1,
            Message::RouteRefresh(_) => self.route_refresh += 1,
        }
    }
}
