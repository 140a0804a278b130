//! Reasons for closing a session, or for not establishing one.

mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::PeerAs;
use super::negotiated::{MissingFamily, Negotiated};
use super::shutdown::Shutdown;
use super::state_table::BgpState;
use crate::codec::MessageError;
use crate::message::Notification;
use crate::notification::{Cease, code};
use crate::value::{AddressFamily, Asn, RouterId};

/// The close of a session, or of an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClose {
    /// Reason.
    pub reason: CloseReason,
    /// State at the time.
    pub state: BgpState,
    /// Time of the close, from the driver's origin.
    pub at: Duration,
}

/// Why a session closed or did not come up. `Display` gives one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Shut down on purpose.
    Stopped(Shutdown),
    /// The negotiated parameters do not match the new configuration.
    ConfigurationChanged,
    /// The connection attempt failed, with the operating system's error.
    ConnectFailed(String),
    /// No answer within this time.
    ConnectTimedOut(Duration),
    /// The connection was closed without a NOTIFICATION or lost, with the operating system's error.
    ConnectionClosed(Option<String>),
    /// No message within the hold time.
    HoldTimerExpired(Duration),
    /// The peer has read nothing for this time (RFC 9687).
    SendHoldTimerExpired(Duration),
    /// The BFD session went down.
    BfdDown,
    /// Collision: the other connection was preferred (RFC 4271, section 6.8).
    Collision,
    /// The peer has restarted with another connection (RFC 4724, section 4.2).
    Replaced,
    /// The peer closed the session with a NOTIFICATION.
    NotificationReceived(Notification),
    /// The peer has another AS number than configured.
    WrongAsn {
        /// The peer's AS number.
        actual: Asn,
        /// The configured AS number.
        expected: PeerAs,
        /// The AS number presented to the peer.
        presented: Asn,
    },
    /// An internal peer has our BGP identifier.
    SameRouterId(RouterId),
    /// None of the configured families can be negotiated.
    NoCommonFamily(BTreeMap<AddressFamily, MissingFamily>),
    /// A malformed message.
    MalformedMessage(MessageError),
    /// A message that is not valid in the state.
    UnexpectedMessage {
        /// Message type.
        message: &'static str,
        /// State.
        state: BgpState,
    },
}

/// The side that closed a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This side.
    Local,
    /// The peer.
    Peer,
    /// Neither: presumably the network between them.
    Network,
}

impl CloseReason {
    /// Returns the side that closed it.
    pub const fn by(&self) -> ClosedBy {
        match self {
            Self::ConnectFailed(_) | Self::ConnectTimedOut(_) | Self::HoldTimerExpired(_) => {
                ClosedBy::Network
            }
            Self::SendHoldTimerExpired(_) | Self::BfdDown => ClosedBy::Network,
            Self::ConnectionClosed(_) | Self::Replaced | Self::NotificationReceived(_) => ClosedBy::Peer,
            Self::Stopped(_) | Self::ConfigurationChanged | Self::Collision => ClosedBy::Local,
            Self::WrongAsn { .. } | Self::SameRouterId(_) | Self::NoCommonFamily(_) => ClosedBy::Local,
            Self::MalformedMessage(_) | Self::UnexpectedMessage { .. } => ClosedBy::Local,
        }
    }

    /// Returns a fixed name, for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Stopped(_) => "stopped",
            Self::ConfigurationChanged => "configuration_changed",
            Self::ConnectFailed(_) => "connect_failed",
            Self::ConnectTimedOut(_) => "connect_timed_out",
            Self::ConnectionClosed(_) => "closed",
            Self::HoldTimerExpired(_) => "hold_timer_expired",
            Self::SendHoldTimerExpired(_) => "send_hold_timer_expired",
            Self::BfdDown => "bfd_down",
            Self::Collision => "collision",
            Self::Replaced => "replaced",
            Self::NotificationReceived(_) => "notification_received",
            Self::WrongAsn { .. } => "wrong_asn",
            Self::SameRouterId(_) => "same_router_id",
            Self::NoCommonFamily(_) => "no_common_family",
            Self::MalformedMessage(_) => "malformed_message",
            Self::UnexpectedMessage { .. } => "unexpected_message",
        }
    }

    /// Returns whether an immediate retry would fail the same way: then the peer's connections are rejected
    /// during the back-off, too (RFC 4271, section 8.1.1, DampPeerOscillations).
    pub(super) const fn holds_down(&self) -> bool {
        match self {
            Self::WrongAsn { .. } | Self::SameRouterId(_) | Self::NoCommonFamily(_) => true,
            Self::MalformedMessage(_) | Self::UnexpectedMessage { .. } | Self::SendHoldTimerExpired(_) => {
                true
            }
            Self::Stopped(_) | Self::ConfigurationChanged | Self::ConnectFailed(_) => false,
            Self::ConnectTimedOut(_)
            | Self::ConnectionClosed(_)
            | Self::HoldTimerExpired(_)
            | Self::BfdDown => false,
            Self::Collision | Self::Replaced | Self::NotificationReceived(_) => false,
        }
    }

    /// Returns whether another connection has superseded it.
    pub(super) const fn is_superseded(&self) -> bool {
        matches!(self, Self::Collision | Self::Replaced)
    }

    /// Returns whether it was closed on purpose from here.
    pub const fn is_intentional(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::ConfigurationChanged)
    }

    /// Returns the NOTIFICATION to send; `None` if the peer is gone, closed the session itself, or is to keep
    /// our routes.
    pub(super) fn notification(&self, negotiated: Option<&Negotiated>) -> Option<Notification> {
        let graceful_restart = negotiated.and_then(|negotiated| negotiated.graceful_restart);
        let hard_reset = graceful_restart.is_some_and(|agreed| agreed.notification);
        match self {
            Self::Stopped(shutdown) => shutdown.notification(graceful_restart.is_some(), hard_reset),
            Self::ConfigurationChanged => cease(Cease::ConfigurationChange),
            Self::HoldTimerExpired(_) => plain(code::HOLD_TIMER, 0),
            Self::SendHoldTimerExpired(_) => plain(code::SEND_HOLD_TIMER, 0),
            Self::BfdDown => cease(Cease::BfdDown),
            Self::Collision => cease(Cease::ConnectionCollision),
            Self::WrongAsn { .. } => plain(code::OPEN, 2),
            Self::SameRouterId(_) => plain(code::OPEN, 3),
            Self::NoCommonFamily(missing) => Some(unsupported_capability(missing)),
            Self::MalformedMessage(error) => Some(error.notification()),
            Self::UnexpectedMessage { state, .. } => plain(code::STATE_MACHINE, unexpected_in(*state)),
            Self::ConnectFailed(_) | Self::ConnectTimedOut(_) | Self::ConnectionClosed(_) => None,
            Self::Replaced | Self::NotificationReceived(_) => None,
        }
    }
}

fn cease(cease: Cease) -> Option<Notification> {
    Some(cease.into())
}

const fn plain(code: u8, subcode: u8) -> Option<Notification> {
    Some(Notification::new(code, subcode))
}

/// Returns the subcode of RFC 6608.
const fn unexpected_in(state: BgpState) -> u8 {
    match state {
        BgpState::Idle | BgpState::Connect | BgpState::Active => 0,
        BgpState::OpenSent => 1,
        BgpState::OpenConfirm => 2,
        BgpState::Established => 3,
    }
}

/// Lists the required capabilities (RFC 5492, section 5): code 1, four octets each.
fn unsupported_capability(missing: &BTreeMap<AddressFamily, MissingFamily>) -> Notification {
    let capability = |family: &AddressFamily| {
        let [high, low] = family.afi().to_be_bytes();
        [1, 4, high, low, 0, AddressFamily::SAFI]
    };
    let data = missing.keys().flat_map(capability).collect();
    Notification { code: code::OPEN, subcode: 7, data }
}
