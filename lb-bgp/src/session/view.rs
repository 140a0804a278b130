//! A neighbour as it is now, for whoever looks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::advice::AdviceContext;
use super::close_reason::{CloseReason, SessionClose};
use super::connection::SendStall;
use super::counters::PeerCounters;
use super::direction::ConnectionDirection;
use super::negotiated::Negotiated;
use super::refused_capabilities::RefusedCapabilities;
use super::state_table::BgpState;
use crate::value::{Asn, Family};

/// A neighbour as it is now. Times are counted from the driver's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Of the connection that is furthest. Between attempts to connect it is Active, as on routers.
    pub state: BgpState,
    /// Since when.
    pub since: Duration,
    /// How long that is.
    pub state_age: Duration,
    /// The connection in that state, if there is one: who opened it, our address, the neighbour's.
    pub connection: Option<(ConnectionDirection, SocketAddr, SocketAddr)>,
    /// What was agreed, from OpenConfirm on.
    pub negotiated: Option<Negotiated>,
    /// Families spoken, when Established.
    pub families: BTreeMap<Family, FamilyView>,
    /// Routes of families that are not spoken.
    pub unsendable: usize,
    /// What the neighbour does not read; `None` while it reads.
    pub send_stall: Option<SendStall>,
    /// Why the last session ended or none came up: of the last attempts, the one that says most.
    pub last_close: Option<SessionClose>,
    /// The latest attempt, where it says less than that.
    pub latest_close: Option<SessionClose>,
    /// Capabilities that our OPEN goes without because the peer refused them.
    pub refused: Option<RefusedCapabilities>,
    /// When the next attempt to connect is due.
    pub next_attempt: Option<Duration>,
    /// What BFD last said.
    pub bfd: Option<bool>,
    /// What was counted.
    pub counters: PeerCounters,
}

/// A family of an Established session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyView {
    /// Prefixes that the neighbour has been told.
    pub advertised: usize,
    /// Prefixes whose change it has not been told yet.
    pub pending: usize,
    /// The initial table has been sent to its end.
    pub end_of_rib: bool,
}

impl PeerView {
    /// Why the last session ended or none came up, without a full stop: what says most of the last attempts, and the
    /// latest where that is another.
    pub fn last_error(&self) -> Option<String> {
        let primary = &self.last_close.as_ref()?.reason;
        let latest = self.latest_close.as_ref();
        Some(latest.map_or_else(
            || primary.to_string(),
            |latest| format!("{primary}; since then: {}", latest.reason),
        ))
    }

    /// What the peer does not get though the session is up or may come up, and why; each without a full stop. `asn`
    /// is the AS number that it is to see.
    pub fn limits(&self, asn: Asn) -> Vec<String> {
        let refused = self.refused.as_ref().map(|refused| refused.consequences(asn));
        let missing = self.negotiated.iter().flat_map(|negotiated| &negotiated.missing);
        let words = missing.map(|(family, why)| why.words(*family)).collect::<Vec<_>>().join("; ");
        let unsendable = self.unsendable;
        let unsendable = (unsendable > 0)
            .then(|| format!("{unsendable} routes cannot be advertised to the router: {words}"));
        refused.into_iter().chain(unsendable).collect()
    }

    /// What to do about it, without a full stop; `None` while the session is up, or where nothing can be said.
    pub fn advice(&self, setup: AdviceContext) -> Option<String> {
        if self.state == BgpState::Established {
            return None;
        }
        // A connection that is closed again and again follows from what was before.
        let latest = self
            .latest_close
            .as_ref()
            .filter(|latest| !matches!(latest.reason, CloseReason::ConnectionClosed(_)));
        let advice: Vec<String> =
            self.last_close.iter().chain(latest).filter_map(|close| close.advice(setup)).collect();
        (!advice.is_empty()).then(|| advice.join("; "))
    }
}
