//! One TCP connection with a neighbour.

use std::net::SocketAddr;
use std::time::Duration;

use super::negotiated::Negotiated;
use crate::message::{MAX_EXTENDED_MESSAGE, MAX_MESSAGE, Open};
use crate::value::Family;

/// How long the neighbour's OPEN is waited for (RFC 4271 section 8.2.2 suggests four minutes).
pub(super) const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);

/// Shortest time after which a neighbour that reads nothing is given up (RFC 9687 section 3).
const SHORTEST_SEND_HOLD_TIME: Duration = Duration::from_secs(480);

/// Octets that the neighbour is to read, and for which its window and the kernel have no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendStall {
    /// Since when.
    pub since: Duration,
    /// When the session is given up for it (RFC 9687).
    pub expires_at: Duration,
}

/// One TCP connection with a neighbour.
#[derive(Debug)]
pub(super) struct PeerConnection {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Our OPEN.
    pub(super) ours: Open,
    /// The neighbour's, from OpenConfirm on.
    pub(super) theirs: Option<Open>,
    /// The neighbour's while the other connection is preferred and may come to something: nothing is read
    /// until that is known.
    pub(super) deferred_open: Option<Open>,
    /// What the two agree on.
    pub(super) negotiated: Option<Negotiated>,
    /// Octets of a message that is not whole yet.
    pub(super) inbox: Vec<u8>,
    /// OPEN is still to be sent.
    pub(super) open_pending: bool,
    /// KEEPALIVE is still to be sent. Several that were not asked for are one.
    pub(super) keepalive_pending: bool,
    /// Since when octets are with the driver that are not in the kernel.
    pub(super) unsent_since: Option<Duration>,
    /// When too long nothing was heard.
    pub(super) hold_at: Option<Duration>,
    /// When the next KEEPALIVE is due.
    pub(super) keepalive_at: Option<Duration>,
    /// When it became Established.
    pub(super) established_at: Option<Duration>,
    /// The other connection was Established when this one came: it is the neighbour that begins anew.
    pub(super) is_restart: bool,
}

impl PeerConnection {
    pub(super) const fn new(local: SocketAddr, remote: SocketAddr, ours: Open, now: Duration) -> Self {
        Self {
            local,
            remote,
            ours,
            theirs: None,
            deferred_open: None,
            negotiated: None,
            inbox: Vec::new(),
            open_pending: true,
            keepalive_pending: false,
            unsent_since: None,
            hold_at: Some(now.saturating_add(OPEN_HOLD_TIME)),
            keepalive_at: None,
            established_at: None,
            is_restart: false,
        }
    }

    /// How long silence may last.
    pub(super) fn hold_time(&self) -> Option<Duration> {
        self.negotiated.as_ref().map_or(Some(OPEN_HOLD_TIME), |negotiated| negotiated.hold_time.duration())
    }

    /// Something was heard.
    pub(super) fn restart_hold_timer(&mut self, now: Duration) {
        self.hold_at = self.hold_time().map(|hold| now.saturating_add(hold));
    }

    /// The other connection is up or waits for this one, which must say something soon, or it is a remnant.
    pub(super) fn shorten_hold_timer(&mut self, by: Duration) {
        self.hold_at = Some(self.hold_at.map_or(by, |hold_at| hold_at.min(by)));
    }

    /// How long the neighbour may read nothing.
    pub(super) fn send_hold_time(&self) -> Duration {
        let twice = self.hold_time().unwrap_or_default().saturating_mul(2);
        twice.max(SHORTEST_SEND_HOLD_TIME)
    }

    /// When a neighbour that reads nothing is given up.
    pub(super) fn send_hold_at(&self) -> Option<Duration> {
        Some(self.unsent_since?.saturating_add(self.send_hold_time()))
    }

    /// What the neighbour does not read.
    pub(super) fn send_stall(&self) -> Option<SendStall> {
        Some(SendStall { since: self.unsent_since?, expires_at: self.send_hold_at()? })
    }

    /// The earliest of its timers.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        [self.hold_at, self.keepalive_at, self.send_hold_at()].into_iter().flatten().min()
    }

    /// Longest message that the neighbour may send: a long one where we have offered to take such (RFC 8654).
    pub(super) const fn max_received(&self) -> usize {
        if self.theirs.is_some() && self.ours.capabilities.extended_message {
            MAX_EXTENDED_MESSAGE
        } else {
            MAX_MESSAGE
        }
    }

    /// Longest message that may be sent.
    pub(super) fn max_sent(&self) -> usize {
        let extended = self.negotiated.as_ref().is_some_and(|negotiated| negotiated.extended_message);
        if extended { MAX_EXTENDED_MESSAGE } else { MAX_MESSAGE }
    }

    /// Families that UPDATEs are read of.
    pub(super) fn families(&self) -> Vec<Family> {
        self.negotiated.iter().flat_map(|negotiated| negotiated.next_hops.keys().copied()).collect()
    }
}
