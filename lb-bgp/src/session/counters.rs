//! What is counted of a neighbour, over all its sessions.

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

/// What the neighbour's UPDATEs said. Nothing of it is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixCounters {
    /// Announced.
    pub accepted: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// UPDATEs that had to be treated as withdrawals (RFC 7606).
    pub treated_as_withdraw: u64,
    /// Attributes that were ignored (RFC 7606).
    pub attributes_discarded: u64,
    /// UPDATEs because of which a family is not listened to any more (RFC 4760 section 7).
    pub families_disabled: u64,
    /// End-of-RIB markers.
    pub ends_of_rib: u64,
}

/// What is counted of a neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// Sent.
    pub sent: MessageCounters,
    /// Received, sound enough to be read.
    pub received: MessageCounters,
    /// Of received UPDATEs.
    pub prefixes: PrefixCounters,
    /// Messages received that could not be read at all.
    pub malformed: u64,
    /// Sessions that came up.
    pub established: u64,
    /// Sessions that came up and went down without our wish.
    pub flaps: u64,
    /// Attempts to connect.
    pub connects: u64,
    /// Attempts to connect that failed.
    pub connects_failed: u64,
}

impl MessageCounters {
    /// All of them.
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
