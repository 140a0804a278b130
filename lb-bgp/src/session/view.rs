//! A snapshot of a peer.

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
use crate::value::{AddressFamily, Asn};

/// A snapshot of a peer. Times count from the driver's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// State of the most advanced connection; Active between attempts, as on routers.
    pub state: BgpState,
    /// Time of the last change.
    pub since: Duration,
    /// Time in this state. A session that was adopted has been up for longer than since its adoption.
    pub state_age: Duration,
    /// The session was adopted from another process.
    pub is_adopted: bool,
    /// The connection in that state, if any: direction, local and remote address.
    pub connection: Option<(ConnectionDirection, SocketAddr, SocketAddr)>,
    /// Negotiated parameters, from OpenConfirm on.
    pub negotiated: Option<Negotiated>,
    /// Negotiated families, in Established.
    pub families: BTreeMap<AddressFamily, FamilyView>,
    /// Routes of families that were not negotiated.
    pub unsendable: usize,
    /// Stall of output; `None` while the peer reads.
    pub send_stall: Option<SendStall>,
    /// Why the last session closed or none came up: the most specific reason of recent attempts.
    pub last_close: Option<SessionClose>,
    /// The latest attempt, if less specific.
    pub latest_close: Option<SessionClose>,
    /// Capabilities omitted from our OPEN because the peer refused them.
    pub refused: Option<RefusedCapabilities>,
    /// Time of the next connection attempt.
    pub next_attempt: Option<Duration>,
    /// Last reported BFD state.
    pub bfd: Option<bool>,
    /// Counters.
    pub counters: PeerCounters,
}

/// A family of an Established session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyView {
    /// Prefixes advertised to the peer.
    pub advertised: usize,
    /// Prefixes still to be advertised or withdrawn.
    pub pending: usize,
    /// The initial table has been sent completely.
    pub end_of_rib: bool,
}

impl PeerView {
    /// Returns why the last session closed or none came up, without a full stop: the most specific of the
    /// recent reasons, and the latest one if it differs.
    pub fn last_error(&self) -> Option<String> {
        let primary = &self.last_close.as_ref()?.reason;
        let latest = self.latest_close.as_ref();
        Some(latest.map_or_else(
            || primary.to_string(),
            |latest| format!("{primary}; since then: {}", latest.reason),
        ))
    }

    /// Returns what the peer does not receive though the session is up or may come up, and why; without full
    /// stops. `asn` is the AS number presented to it.
    pub fn limits(&self, asn: Asn) -> Vec<String> {
        let refused = self.refused.as_ref().map(|refused| refused.consequences(asn));
        let missing = self.negotiated.iter().flat_map(|negotiated| &negotiated.missing);
        let reasons = missing.map(|(family, why)| why.description(*family)).collect::<Vec<_>>().join("; ");
        let unsendable = self.unsendable;
        let unsendable = (unsendable > 0)
            .then(|| format!("{unsendable} routes cannot be advertised to the router: {reasons}"));
        refused.into_iter().chain(unsendable).collect()
    }

    /// Returns the operator's next step, without a full stop; `None` while the session is up, or if there is
    /// none.
    pub fn advice(&self, context: AdviceContext) -> Option<String> {
        if self.state == BgpState::Established {
            return None;
        }
        // Repeated closes are a consequence of the earlier error.
        let latest = self
            .latest_close
            .as_ref()
            .filter(|latest| !matches!(latest.reason, CloseReason::ConnectionClosed(_)));
        let advice: Vec<String> =
            self.last_close.iter().chain(latest).filter_map(|close| close.advice(context)).collect();
        (!advice.is_empty()).then(|| advice.join("; "))
    }
}
