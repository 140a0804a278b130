//! Why a session ended or did not come up, in words that help.

mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::RemoteAs;
use super::negotiated::{MissingFamily, Negotiated};
use super::shutdown::Shutdown;
use super::state_table::BgpState;
use crate::codec::MessageError;
use crate::message::Notification;
use crate::notification::{Cease, code};
use crate::value::{Asn, Family, RouterId};

/// The end of a session, or of an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClose {
    /// Why.
    pub reason: CloseReason,
    /// In which state.
    pub state: BgpState,
    /// When, counted from the driver's start.
    pub at: Duration,
}

/// Why a session ended or did not come up. `Display` says what happened in one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// On purpose.
    Stopped(Shutdown),
    /// What was agreed does not suit the new configuration.
    ConfigurationChanged,
    /// The operating system said why.
    ConnectFailed(String),
    /// No answer for so long.
    ConnectTimedOut(Duration),
    /// The connection was lost or closed without a NOTIFICATION; what the operating system said of it.
    ConnectionClosed(Option<String>),
    /// Nothing was heard for so long.
    HoldTimerExpired(Duration),
    /// The neighbour read nothing for so long (RFC 9687).
    SendHoldTimerExpired(Duration),
    /// BFD says that the way to the neighbour is gone.
    BfdDown,
    /// The other one of two connections was preferred (RFC 4271 section 6.8).
    Collision,
    /// The neighbour has begun anew with another connection (RFC 4724 section 4.2).
    Replaced,
    /// The neighbour ended it and said why.
    NotificationReceived(Notification),
    /// Another AS number than configured.
    WrongAsn {
        /// The neighbour's.
        says: Asn,
        /// What the configuration says.
        expected: RemoteAs,
        /// What we show.
        presented: Asn,
    },
    /// The neighbour, of our AS, has our BGP identifier.
    SameRouterId(RouterId),
    /// Not one of the families that are configured can be spoken.
    NoCommonFamily(BTreeMap<Family, MissingFamily>),
    /// A message that cannot be read.
    MalformedMessage(MessageError),
    /// A message that does not belong into the state.
    UnexpectedMessage {
        /// Its type.
        message: &'static str,
        /// The state.
        state: BgpState,
    },
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This side.
    Local,
    /// The neighbour.
    Peer,
    /// Neither: the network between them, as far as can be seen from here.
    Network,
}

impl CloseReason {
    /// Who ended it.
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

    /// A fixed name, for metrics.
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

    /// Whether trying again at once would end alike: then the neighbour's connections are refused for the
    /// time of the back-off, too (RFC 4271 section 8.1.1, DampPeerOscillations).
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

    /// Whether it ended only because another connection has its place.
    pub(super) const fn is_superseded(&self) -> bool {
        matches!(self, Self::Collision | Self::Replaced)
    }

    /// Whether somebody here wanted it.
    pub const fn is_intentional(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::ConfigurationChanged)
    }

    /// What the neighbour is told; `None` where it is gone, ended it itself, or shall keep our routes.
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

/// The subcodes of RFC 6608.
const fn unexpected_in(state: BgpState) -> u8 {
    match state {
        BgpState::Idle | BgpState::Connect | BgpState::Active => 0,
        BgpState::OpenSent => 1,
        BgpState::OpenConfirm => 2,
        BgpState::Established => 3,
    }
}

/// Names the capabilities that would be needed (RFC 5492 section 5): code 1, four octets.
fn unsupported_capability(missing: &BTreeMap<Family, MissingFamily>) -> Notification {
    let capability = |family: &Family| {
        let [high, low] = family.afi().to_be_bytes();
        [1, 4, high, low, 0, Family::SAFI]
    };
    let data = missing.keys().flat_map(capability).collect();
    Notification { code: code::OPEN, subcode: 7, data }
}
