//! A neighbour as it is now, for whoever looks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::counters::Counters;
use super::ending::Ending;
use super::negotiation::Negotiated;
use super::peer::Way;
use super::table::State;
use crate::value::Family;

/// A neighbour as it is now. Times are counted from the driver's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Of the connection that is furthest. Between attempts to connect it is Active, as on routers.
    pub state: State,
    /// Since when.
    pub since: Duration,
    /// How long that is.
    pub lasting: Duration,
    /// The connection in that state, if there is one: who opened it, our address, the neighbour's.
    pub connection: Option<(Way, SocketAddr, SocketAddr)>,
    /// What was agreed, from OpenConfirm on.
    pub negotiated: Option<Negotiated>,
    /// Families spoken, when Established.
    pub families: BTreeMap<Family, FamilyView>,
    /// Routes of families that are not spoken.
    pub unsendable: usize,
    /// What the neighbour does not read; `None` while it reads.
    pub unread: Option<Unread>,
    /// Why the last session ended or none came up.
    pub last_ending: Option<Ending>,
    /// When the next attempt to connect is due.
    pub next_attempt: Option<Duration>,
    /// What BFD last said.
    pub bfd: Option<bool>,
    /// What was counted.
    pub counters: Counters,
}

/// Octets that the neighbour is to read, and for which its window and the kernel have no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Since when.
    pub since: Duration,
    /// When the session is given up for it (RFC 9687).
    pub given_up_at: Duration,
}

/// A family of an Established session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyView {
    /// Prefixes that the neighbour has been told.
    pub told: usize,
    /// Prefixes whose change it has not been told yet.
    pub pending: usize,
    /// The initial table has been sent to its end.
    pub end_of_rib: bool,
}
