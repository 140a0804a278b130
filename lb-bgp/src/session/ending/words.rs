//! The words.

use std::fmt;

use super::{Cause, Ending};
use crate::message::Notification;
use crate::notification::{Cease, code};
use crate::session::config::RemoteAs;
use crate::session::negotiation::Missing;
use crate::session::shutdown::Shutdown;
use crate::session::table::State;
use crate::value::Family;

impl Ending {
    /// What to do about it, in one sentence without a full stop, where that can be said.
    pub fn advice(&self) -> Option<String> {
        self.cause.advice()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.cause)?;
        if self.state == State::Established {
            Ok(())
        } else {
            write!(formatter, ", in {}", self.state.name())
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(shutdown) => write!(formatter, "ended here: {}", shutdown_words(shutdown)),
            Self::ConfigurationChanged => write!(formatter, "ended here: the configuration changed"),
            Self::ConnectFailed(why) => write!(formatter, "cannot connect: {why}"),
            Self::ConnectTimedOut(after) => write!(formatter, "cannot connect: no answer for {after:?}"),
            Self::Closed(None) => write!(formatter, "the router closed the connection without saying why"),
            Self::Closed(Some(why)) => write!(formatter, "the connection was lost: {why}"),
            Self::HoldTimerExpired(after) => {
                write!(formatter, "the hold timer expired: nothing was heard of the router for {after:?}")
            }
            Self::SendHoldTimerExpired(after) => {
                write!(formatter, "the send hold timer expired: the router read nothing for {after:?}")
            }
            Self::BfdDown => write!(formatter, "BFD says that the way to the router is down"),
            Self::Collision => write!(formatter, "of two connections the other was kept"),
            Self::Replaced => write!(formatter, "the router began anew with another connection"),
            Self::Received(said) => write!(formatter, "the router ended the session: {said}"),
            Self::WrongAsn { says, expected, shown } => match expected {
                RemoteAs::Exactly(asn) => {
                    write!(formatter, "the router says it is AS {says}; peerASN says {asn}")
                }
                RemoteAs::Internal => {
                    write!(
                        formatter,
                        "the router says it is AS {says}; dynamicASN internal wants our own, {shown}"
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
                write!(formatter, "there is no address family that both sides can speak:")?;
                missing
                    .iter()
                    .try_for_each(|(family, why)| write!(formatter, " {}", missing_words(*family, *why)))
            }
            Self::Malformed(error) => write!(formatter, "the router sent what cannot be read: {error}"),
            Self::Unexpected { message, state } => {
                write!(formatter, "the router sent {message}, which does not belong into {}", state.name())
            }
        }
    }
}

impl Cause {
    /// What to do about it, in one sentence without a full stop, where that can be said.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::WrongAsn { says, .. } => {
                return Some(format!("set peerASN to {says}, or correct the router's own AS number"));
            }
            Self::SameRouterId(_) => "give one of the two another routerID; is peerAddress this node's own?",
            Self::NoCommonFamily(_) => "activate the address family for this neighbour on the router",
            Self::ConnectTimedOut(_) => {
                "a TCP-MD5 password that differs or is missing on one side looks just so; else check the address, \
                 the port and what filters between"
            }
            Self::ConnectFailed(_) => {
                "check that the router listens on peerAddress and peerPort and knows this node as a neighbour"
            }
            Self::Closed(_) => {
                "where this repeats, the router does not know this node's address as a neighbour's, or the \
                 TCP-MD5 passwords differ; its log knows"
            }
            Self::HoldTimerExpired(_) => "check the link to the router, and whether the router is overloaded",
            Self::SendHoldTimerExpired(_) => "the router is overloaded, or its BGP process hangs",
            Self::BfdDown => "check the link to the router; if BGP alone is well, compare the BFD profiles",
            Self::Received(said) => return advice_on(said).map(str::to_owned),
            Self::Malformed(_) | Self::Unexpected { .. } => {
                "please report it, with the router's make and version"
            }
            Self::Stopped(_) | Self::ConfigurationChanged | Self::Collision | Self::Replaced => return None,
        };
        Some(advice.to_owned())
    }
}

const fn advice_on(said: &Notification) -> Option<&'static str> {
    const REJECTED: u8 = Cease::ConnectionRejected as u8;
    const MAXIMUM: u8 = Cease::MaximumPrefixes as u8;
    const BFD: u8 = Cease::BfdDown as u8;
    const SHUTDOWN: u8 = Cease::AdministrativeShutdown as u8;
    const DECONFIGURED: u8 = Cease::Deconfigured as u8;
    match (said.code, said.subcode) {
        (code::OPEN, 2) => {
            Some("the router expects another AS number of us: compare myASN or localASN with its remote-as")
        }
        (code::OPEN, 3) => Some("the router has the same BGP identifier: set routerID"),
        (code::OPEN, 6) => Some("the router wants a longer hold time: raise holdTime"),
        (code::OPEN, 7) => Some("activate the address family for this neighbour on the router"),
        (code::HOLD_TIMER, _) => {
            Some("the router heard nothing of us: is this node starved of CPU, or the link down?")
        }
        (code::CEASE, MAXIMUM) => {
            Some("raise the router's maximum-prefix for this neighbour, or set aggregationLength")
        }
        (code::CEASE, SHUTDOWN | DECONFIGURED) => {
            Some("the neighbour was shut down on the router, by a person")
        }
        (code::CEASE, REJECTED) => {
            Some("the router does not take connections of this node now: is it configured there?")
        }
        (code::CEASE, BFD) => {
            Some("the router's BFD lost us: compare the BFD profiles, and look for starved CPUs")
        }
        _ => None,
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

const fn missing_words(family: Family, why: Missing) -> &'static str {
    match (family, why) {
        (Family::Ipv4, Missing::NotOffered) => "the router does not offer IPv4;",
        (Family::Ipv6, Missing::NotOffered) => "the router does not offer IPv6;",
        (Family::Ipv4, Missing::NoNextHop) => "this node has no address that IPv4 routes could lead to;",
        (Family::Ipv6, Missing::NoNextHop) => "this node has no IPv6 address that routes could lead to;",
        (_, Missing::NoExtendedNextHop) => {
            "this node has no IPv4 address on the session, and the router takes no IPv4 routes over IPv6 (RFC 8950);"
        }
    }
}
