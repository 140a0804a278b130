//! The texts of close reasons.

use std::fmt;

use super::{CloseReason, SessionClose};
use crate::message::Notification;
use crate::session::config::PeerAs;
use crate::session::refused_capabilities;
use crate::session::shutdown::Shutdown;
use crate::session::state_table::BgpState;
use crate::value::Asn;

impl fmt::Display for SessionClose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.reason)?;
        if self.state == BgpState::Established {
            Ok(())
        } else {
            write!(formatter, ", in {}", self.state.name())
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(shutdown) => write!(formatter, "closed by this node: {}", shutdown_text(shutdown)),
            Self::ConfigurationChanged => write!(formatter, "closed by this node: configuration changed"),
            Self::ConnectFailed(why) => write!(formatter, "cannot connect: {why}"),
            Self::ConnectTimedOut(after) => write!(formatter, "cannot connect: no answer for {after:?}"),
            Self::ConnectionClosed(None) => {
                write!(formatter, "the router closed the connection without a NOTIFICATION")
            }
            Self::ConnectionClosed(Some(why)) => write!(formatter, "connection lost: {why}"),
            Self::HoldTimerExpired(after) => {
                write!(formatter, "hold timer expired: no message from the router for {after:?}")
            }
            Self::SendHoldTimerExpired(after) => {
                write!(formatter, "send hold timer expired: the router has read nothing for {after:?}")
            }
            Self::BfdDown => write!(formatter, "BFD session down"),
            Self::Collision => write!(formatter, "closed by connection collision resolution"),
            Self::Replaced => write!(formatter, "the router restarted with a new connection"),
            Self::NotificationReceived(notification) => received(formatter, notification),
            Self::WrongAsn { actual, expected, presented } => {
                wrong_asn(formatter, *actual, *expected, *presented)
            }
            Self::SameRouterId(id) => {
                write!(formatter, "the router has the same BGP identifier as this node, {id}")
            }
            Self::NoCommonFamily(missing) => {
                let reasons: Vec<_> = missing.iter().map(|(family, why)| why.description(*family)).collect();
                write!(formatter, "no common address family: {}", reasons.join("; "))
            }
            Self::MalformedMessage(error) => {
                write!(formatter, "malformed message from the router: {error}")
            }
            Self::UnexpectedMessage { message, state } => {
                write!(formatter, "unexpected {message} from the router in {}", state.name())
            }
        }
    }
}

fn received(formatter: &mut fmt::Formatter<'_>, notification: &Notification) -> fmt::Result {
    write!(formatter, "the router closed the session: {notification}")?;
    let names = refused_capabilities::listed(&notification.data);
    if refused_capabilities::is_unsupported_capability(notification) && !names.is_empty() {
        write!(formatter, ": {}", names.join(", "))?;
    }
    Ok(())
}

fn wrong_asn(
    formatter: &mut fmt::Formatter<'_>,
    actual: Asn,
    expected: PeerAs,
    presented: Asn,
) -> fmt::Result {
    write!(formatter, "the router's AS number is {actual}")?;
    match expected {
        PeerAs::Exactly(asn) => write!(formatter, "; peerASN is {asn}"),
        PeerAs::Internal => write!(formatter, "; dynamicASN internal requires ours, {presented}"),
        PeerAs::External => write!(formatter, ", the same as ours; dynamicASN external requires another"),
    }
}

const fn shutdown_text(shutdown: &Shutdown) -> &'static str {
    match shutdown {
        Shutdown::Administrative { .. } => "administrative shutdown",
        Shutdown::Reset { .. } => "administrative reset",
        Shutdown::Deconfigured => "peer no longer configured",
        Shutdown::Replacement => "another process takes over",
    }
}
