//! One TCP connection with a peer.

use std::net::SocketAddr;
use std::slice;
use std::time::Duration;

use super::negotiated::Negotiated;
use crate::adj_out::UpdateTerms;
use crate::codec::{Decoding, Encoding};
use crate::message::{MAX_EXTENDED_MESSAGE, MAX_MESSAGE, Open};
use crate::value::AddressFamily;

/// Hold time while waiting for the peer's OPEN (RFC 4271, section 8.2.2, suggests four minutes).
pub(super) const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);

/// Minimum send hold time (RFC 9687, section 3).
const SHORTEST_SEND_HOLD_TIME: Duration = Duration::from_secs(480);

/// Output the peer does not read: its window and the kernel's buffer are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendStall {
    /// Start of the stall.
    pub since: Duration,
    /// Expiry of the send hold timer, which closes the session (RFC 9687).
    pub expires_at: Duration,
}

/// One TCP connection with a peer.
#[derive(Debug)]
pub(super) struct PeerConnection {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Our OPEN.
    pub(super) ours: Open,
    /// The peer's OPEN, from OpenConfirm on.
    pub(super) theirs: Option<Open>,
    /// The peer's OPEN while the other connection is preferred and may still be established; nothing more is
    /// read until that is decided.
    pub(super) deferred_open: Option<Open>,
    /// Negotiated parameters.
    pub(super) negotiated: Option<Negotiated>,
    /// Octets of an incomplete message.
    pub(super) inbox: Vec<u8>,
    /// OPEN is still to be sent.
    pub(super) open_pending: bool,
    /// KEEPALIVE is still to be sent; several merge into one.
    pub(super) keepalive_pending: bool,
    /// Since when the driver holds octets that are not in the kernel.
    pub(super) unsent_since: Option<Duration>,
    /// Expiry of the hold timer.
    pub(super) hold_at: Option<Duration>,
    /// Expiry of the keepalive timer.
    pub(super) keepalive_at: Option<Duration>,
    /// Time of becoming Established, or of the adoption.
    pub(super) established_at: Option<Duration>,
    /// How long the session had been up when it was adopted from another process.
    pub(super) age_at_adoption: Option<Duration>,
    /// The other connection was Established when this one arrived: the peer has restarted.
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
            age_at_adoption: None,
            is_restart: false,
        }
    }

    /// Returns how long the session has been up, if it is.
    pub(super) fn lasted(&self, now: Duration) -> Option<Duration> {
        let here = now.saturating_sub(self.established_at?);
        Some(here.saturating_add(self.age_at_adoption.unwrap_or_default()))
    }

    /// Returns the hold time.
    pub(super) fn hold_time(&self) -> Option<Duration> {
        self.negotiated.as_ref().map_or(Some(OPEN_HOLD_TIME), |negotiated| negotiated.hold_time.duration())
    }

    /// Restarts the hold timer.
    pub(super) fn restart_hold_timer(&mut self, now: Duration) {
        self.hold_at = self.hold_time().map(|hold| now.saturating_add(hold));
    }

    /// Shortens the hold timer: the other connection is up or waits for this one, which is to make progress
    /// or be dropped.
    pub(super) fn shorten_hold_timer(&mut self, by: Duration) {
        self.hold_at = Some(self.hold_at.map_or(by, |hold_at| hold_at.min(by)));
    }

    /// Returns the send hold time.
    pub(super) fn send_hold_time(&self) -> Duration {
        let twice = self.hold_time().unwrap_or_default().saturating_mul(2);
        twice.max(SHORTEST_SEND_HOLD_TIME)
    }

    /// Returns the expiry of the send hold timer.
    pub(super) fn send_hold_at(&self) -> Option<Duration> {
        Some(self.unsent_since?.saturating_add(self.send_hold_time()))
    }

    /// Returns the current stall of output, if any.
    pub(super) fn send_stall(&self) -> Option<SendStall> {
        Some(SendStall { since: self.unsent_since?, expires_at: self.send_hold_at()? })
    }

    /// Returns the earliest timer expiry.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        [self.hold_at, self.keepalive_at, self.send_hold_at()].into_iter().flatten().min()
    }

    /// Returns the maximum length of received messages: extended if we have offered it (RFC 8654).
    pub(super) const fn max_received(&self) -> usize {
        if self.theirs.is_some() && self.ours.capabilities.extended_message {
            MAX_EXTENDED_MESSAGE
        } else {
            MAX_MESSAGE
        }
    }

    /// Returns the maximum length of sent messages.
    pub(super) fn max_sent(&self) -> usize {
        let extended = self.negotiated.as_ref().is_some_and(|negotiated| negotiated.extended_message);
        if extended { MAX_EXTENDED_MESSAGE } else { MAX_MESSAGE }
    }

    /// Returns the session's contribution to each route, once it is negotiated.
    pub(super) fn terms(&self) -> Option<UpdateTerms<'_>> {
        let negotiated = self.negotiated.as_ref()?;
        let encoding = Encoding {
            internal: negotiated.internal,
            four_octet_asn: negotiated.four_octet_asn,
            max_length: self.max_sent(),
        };
        let as_path = if negotiated.internal { &[][..] } else { slice::from_ref(&negotiated.presented_asn) };
        Some(UpdateTerms { encoding, next_hops: &negotiated.next_hops, as_path })
    }

    /// Returns how messages of this connection are decoded.
    pub(super) fn decoding<'a>(&self, families: &'a [AddressFamily], max_length: usize) -> Decoding<'a> {
        let negotiated = self.negotiated.as_ref();
        Decoding {
            internal: negotiated.is_some_and(|negotiated| negotiated.internal),
            four_octet_asn: negotiated.is_some_and(|negotiated| negotiated.four_octet_asn),
            extended_next_hop: negotiated.is_some_and(|negotiated| negotiated.extended_next_hop),
            families,
            max_length,
        }
    }

    /// Returns the negotiated families.
    pub(super) fn families(&self) -> Vec<AddressFamily> {
        self.negotiated.iter().flat_map(|negotiated| negotiated.next_hops.keys().copied()).collect()
    }
}
