//! What to do about an ending.

use super::close_reason::{CloseReason, SessionClose};
use super::config::RemoteAs;
use super::refused_capabilities;
use super::state_table::BgpState;
use crate::message::Notification;
use crate::notification::{Cease, code};
use crate::value::Asn;

/// What advice depends on, beside the ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdviceContext {
    /// The AS number that the peer sees.
    pub asn: Asn,
    /// Whether segments are signed (RFC 2385).
    pub password: bool,
    /// Whether there may be routers between.
    pub multihop: bool,
}

impl SessionClose {
    /// What to do about it, without a full stop, where that can be said.
    pub fn advice(&self, setup: AdviceContext) -> Option<String> {
        let advice = match &self.reason {
            CloseReason::WrongAsn { says, expected, .. } => return Some(wrong_asn(*says, *expected)),
            CloseReason::SameRouterId(_) => {
                "give one of the two another routerID; is peerAddress this node's own?"
            }
            CloseReason::NoCommonFamily(_) => "activate the address family for this node on the router",
            CloseReason::ConnectTimedOut(_) => return Some(no_answer(setup)),
            CloseReason::ConnectFailed(_) => {
                "check that the router listens on peerAddress and peerPort, that a route leads there, and that the \
                 router has this node as a neighbor"
            }
            CloseReason::ConnectionClosed(_) => closed(self.state),
            CloseReason::HoldTimerExpired(_) => return Some(silent(self.state, setup)),
            CloseReason::SendHoldTimerExpired(_) => "the router is overloaded, or its BGP process hangs",
            CloseReason::BfdDown => {
                "check the link to the router; where BGP alone stays up, compare the BFD profiles and whether both \
                 sides have BFD over one hop or several"
            }
            CloseReason::NotificationReceived(said) => {
                return advice_on(said.hard_reset().as_ref().unwrap_or(said), setup);
            }
            CloseReason::MalformedMessage(_) | CloseReason::UnexpectedMessage { .. } => {
                "please report it, with the router's make and version"
            }
            CloseReason::Stopped(_)
            | CloseReason::ConfigurationChanged
            | CloseReason::Collision
            | CloseReason::Replaced => {
                return None;
            }
        };
        Some(advice.to_owned())
    }
}

fn wrong_asn(says: Asn, expected: RemoteAs) -> String {
    let other = match expected {
        RemoteAs::Exactly(_) => String::new(),
        RemoteAs::Internal => "dynamicASN to external, or ".to_owned(),
        RemoteAs::External => "dynamicASN to internal, or ".to_owned(),
    };
    format!("set {other}peerASN to {says}, or correct the router's own AS number")
}

/// The router's kernel drops segments that are not signed as it expects, and those from too far away, without a word.
fn no_answer(setup: AdviceContext) -> String {
    let password = if setup.password {
        "check that the router has the same TCP-MD5 password for this node: its kernel drops segments with another \
         one, or with one that it does not expect"
    } else {
        "if the router has a TCP-MD5 password for this node, set passwordSecret: its kernel drops unsigned segments"
    };
    let hops = if setup.multihop {
        "check that the router's ebgp-multihop or ttl-security allows as many hops as there are"
    } else {
        "a router that is not on this node's link needs ebgpMultiHop here and ebgp-multihop there"
    };
    format!("{password}; {hops}; else check the address, the port, and what filters between")
}

const fn closed(state: BgpState) -> &'static str {
    match state {
        BgpState::Established => "the router's BGP process ended or was restarted; its log says why",
        _ => {
            "where this repeats, the router does not have this node's address as a neighbor, or has it shut down, or \
             waits after an error (BIRD: up to 5 minutes); its log says which"
        }
    }
}

fn silent(state: BgpState, setup: AdviceContext) -> String {
    if state != BgpState::Established {
        return "the router took the connection and sent no OPEN: is its BGP process hanging?".to_owned();
    }
    let password =
        if setup.password { ", and whether the TCP-MD5 password was changed on one side only" } else { "" };
    format!(
        "check the link to the router, whether the router is overloaded or its BGP process hangs{password}"
    )
}

fn advice_on(said: &Notification, setup: AdviceContext) -> Option<String> {
    const REJECTED: u8 = Cease::ConnectionRejected as u8;
    const MAXIMUM: u8 = Cease::MaximumPrefixes as u8;
    const BFD: u8 = Cease::BfdDown as u8;
    const SHUTDOWN: u8 = Cease::AdministrativeShutdown as u8;
    const DECONFIGURED: u8 = Cease::Deconfigured as u8;
    let advice = match (said.code, said.subcode) {
        (code::OPEN, 2) => {
            let asn = setup.asn;
            return Some(format!(
                "the router expects another AS number of this node than {asn}: set myASN or localASN to what the \
                 router has as its remote-as, or correct that"
            ));
        }
        (code::OPEN, 3) => "the router has the same BGP identifier: set routerID",
        (code::OPEN, 4) => {
            "the router takes no capabilities, so it can be sent IPv4 routes only: upgrade it, or have it negotiate them"
        }
        (code::OPEN, 6) => "the router wants a longer hold time: raise holdTime",
        (code::OPEN, 7) => return Some(capability(said)),
        (code::HOLD_TIMER, _) => {
            "the router heard nothing from this node: is the node starved of CPU, or the link down?"
        }
        (code::CEASE, MAXIMUM) => "raise the router's maximum-prefix for this node, or set aggregationLength",
        (code::CEASE, SHUTDOWN | DECONFIGURED) => "an operator shut this neighbor down on the router",
        (code::CEASE, REJECTED) => {
            "the router takes no connection from this node now: does it have this node as a neighbor?"
        }
        (code::CEASE, BFD) => {
            "the router's BFD session with this node went down: compare the BFD profiles, and look for starved CPUs"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// RFC 5492 section 5: the router names what it does not take, or what it wants and does not get.
fn capability(said: &Notification) -> String {
    if refused_capabilities::is_about_families(&said.data) {
        return "activate the address family for this node on the router".to_owned();
    }
    let names = refused_capabilities::listed(&said.data).join(", ");
    format!(
        "the router refuses or requires a capability ({names}): change that in its settings for this node"
    )
}
