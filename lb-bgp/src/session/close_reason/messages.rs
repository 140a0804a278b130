//! The words.

use std::fmt;

use super::{CloseReason, SessionClose};
use crate::notification::code;
use crate::session::config::RemoteAs;
use crate::session::refused_capabilities;
use crate::session::shutdown::Shutdown;
use crate::session::state_table::BgpState;

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
            Self::Stopped(shutdown) => write!(formatter, "ended here: {}", shutdown_words(shutdown)),
            Self::ConfigurationChanged => write!(formatter, "ended here: the configuration changed"),
            Self::ConnectFailed(why) => write!(formatter, "cannot connect: {why}"),
            Self::ConnectTimedOut(after) => write!(formatter, "cannot connect: no answer for {after:?}"),
            Self::ConnectionClosed(None) => {
                write!(formatter, "the router closed the connection without saying why")
            }
            Self::ConnectionClosed(Some(why)) => write!(formatter, "the connection was lost: {why}"),
            Self::HoldTimerExpired(after) => {
                write!(formatter, "the hold timer expired: nothing was heard of the router for {after:?}")
            }
            Self::SendHoldTimerExpired(after) => {
                write!(formatter, "the send hold timer expired: the router read nothing for {after:?}")
            }
            Self::BfdDown => write!(formatter, "BFD says that the way to the router is down"),
            Self::Collision => write!(formatter, "of two connections the other was kept"),
            Self::Replaced => write!(formatter, "the router began anew with another connection"),
            Self::NotificationReceived(said) => {
                write!(formatter, "the router ended the session: {said}")?;
                match refused_capabilities::listed(&said.data) {
                    listed if said.code == code::OPEN && said.subcode == 7 && !listed.is_empty() => {
                        write!(formatter, ": {}", listed.join(", "))
                    }
                    _ => Ok(()),
                }
            }
            Self::WrongAsn { says, expected, presented } => match expected {
                RemoteAs::Exactly(asn) => {
                    write!(formatter, "the router says it is AS {says}; peerASN says {asn}")
                }
                RemoteAs::Internal => {
                    write!(
                        formatter,
                        "the router says it is AS {says}; dynamicASN internal wants our own, {presented}"
                    )
                }
                RemoteAs::External => {
                    write!(
                        formatter,
                        "the router says it is AS {says}, our own; dynamicASN external wants another"
                    )
                }
            },
            Self::SameRouterId(id) => write!(formatter, "the router has our own BGP identifier, {id}"),
            Self::NoCommonFamily(missing) => {
                let words: Vec<_> = missing.iter().map(|(family, why)| why.words(*family)).collect();
                write!(
                    formatter,
                    "there is no address family that both sides can speak: {}",
                    words.join("; ")
                )
            }
            Self::MalformedMessage(error) => {
                write!(formatter, "the router sent what cannot be read: {error}")
            }
            Self::UnexpectedMessage { message, state } => {
                write!(formatter, "the router sent {message}, which does not belong into {}", state.name())
            }
        }
    }
}

const fn shutdown_words(shutdown: &Shutdown) -> &'static str {
    match shutdown {
        Shutdown::Administrative { .. } => "shut down by a person",
        Shutdown::Reset { .. } => "reset by a person",
        Shutdown::Deconfigured => "not configured any more",
        Shutdown::Replacement => "another process takes over",
    }
}
