//! Advice for the operator on why a session is down.

use super::close_reason::{CloseReason, SessionClose};
use super::config::PeerAs;
use super::refused_capabilities;
use super::state_table::BgpState;
use crate::message::Notification;
use crate::notification::{Cease, code};
use crate::value::Asn;

/// What advice depends on, besides the close reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdviceContext {
    /// The AS number presented to the peer.
    pub asn: Asn,
    /// TCP-MD5 authentication is configured (RFC 2385).
    pub password: bool,
    /// The peer may be several hops away.
    pub multihop: bool,
}

impl SessionClose {
    /// Returns the operator's next step, without a full stop, if there is one.
    pub fn advice(&self, context: AdviceContext) -> Option<String> {
        let advice = match &self.reason {
            CloseReason::WrongAsn { actual, expected, .. } => return Some(wrong_asn(*actual, *expected)),
            CloseReason::SameRouterId(_) => {
                "set another routerID; check that peerAddress is not this node's own address"
            }
            CloseReason::NoCommonFamily(_) => "activate the address family for this node on the router",
            CloseReason::ConnectTimedOut(_) => return Some(no_answer(context)),
            CloseReason::ConnectFailed(_) => {
                "check that the router listens on peerAddress and peerPort, that there is a route to it, and that the \
                 router has this node as a peer"
            }
            CloseReason::ConnectionClosed(_) => closed(self.state),
            CloseReason::HoldTimerExpired(_) => return Some(silent(self.state, context)),
            CloseReason::SendHoldTimerExpired(_) => "the router is overloaded, or its BGP process hangs",
            CloseReason::BfdDown => {
                "check the link to the router; if only BFD fails, compare the BFD profiles, and check that both sides \
                 use single-hop or both use multihop BFD"
            }
            CloseReason::NotificationReceived(notification) => {
                return advice_on(notification.hard_reset().as_ref().unwrap_or(notification), context);
            }
            CloseReason::MalformedMessage(_) | CloseReason::UnexpectedMessage { .. } => {
                "please report this, with the router's vendor and version"
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

fn wrong_asn(actual: Asn, expected: PeerAs) -> String {
    let other = match expected {
        PeerAs::Exactly(_) => String::new(),
        PeerAs::Internal => "dynamicASN to external, or ".to_owned(),
        PeerAs::External => "dynamicASN to internal, or ".to_owned(),
    };
    format!("set {other}peerASN to {actual}, or correct the router's own AS number")
}

/// The router's kernel silently drops segments with an unexpected signature or from too many hops away.
fn no_answer(context: AdviceContext) -> String {
    let password = if context.password {
        "check that the router has the same TCP-MD5 password for this node: its kernel silently drops segments \
         with a wrong or an unexpected signature"
    } else {
        "if the router has a TCP-MD5 password for this node, set passwordSecret: its kernel drops unsigned segments"
    };
    let hops = if context.multihop {
        "check that the router's ebgp-multihop or ttl-security allows the actual number of hops"
    } else {
        "a router that is not on this node's link needs ebgpMultiHop here and ebgp-multihop there"
    };
    format!("{password}; {hops}; otherwise check the address, the port, and firewalls in between")
}

const fn closed(state: BgpState) -> &'static str {
    match state {
        BgpState::Established => "the router's BGP process has stopped or restarted; see its log",
        _ => {
            "if this repeats, the router does not have this node's address as a peer, has it shut down, or backs \
             off after an error (BIRD: up to 5 minutes); see its log"
        }
    }
}

fn silent(state: BgpState, context: AdviceContext) -> String {
    if state != BgpState::Established {
        return "the router accepted the connection but sent no OPEN: check whether its BGP process hangs"
            .to_owned();
    }
    let password =
        if context.password { ", and whether the TCP-MD5 password was changed on one side only" } else { "" };
    format!(
        "check the link to the router, and whether the router is overloaded or its BGP process hangs{password}"
    )
}

fn advice_on(notification: &Notification, context: AdviceContext) -> Option<String> {
    const REJECTED: u8 = Cease::ConnectionRejected as u8;
    const MAXIMUM: u8 = Cease::MaximumPrefixes as u8;
    const BFD: u8 = Cease::BfdDown as u8;
    const SHUTDOWN: u8 = Cease::AdministrativeShutdown as u8;
    const DECONFIGURED: u8 = Cease::Deconfigured as u8;
    let advice = match (notification.code, notification.subcode) {
        (code::OPEN, 2) => {
            let asn = context.asn;
            return Some(format!(
                "the router expects another AS number of this node than {asn}: set myASN or localASN to the \
                 router's remote-as, or correct the latter"
            ));
        }
        (code::OPEN, 3) => "the router has the same BGP identifier: set routerID",
        (code::OPEN, 4) => {
            "the router supports no capabilities, so only IPv4 routes can be advertised: upgrade it, or enable \
             capability negotiation"
        }
        (code::OPEN, 6) => "the router requires a longer hold time: raise holdTime",
        (code::OPEN, 7) => return Some(capability(notification)),
        (code::HOLD_TIMER, _) => {
            "the router received nothing from this node: check whether the node is starved of CPU or the link is down"
        }
        (code::CEASE, MAXIMUM) => "raise the router's maximum-prefix for this node, or set aggregationLength",
        (code::CEASE, SHUTDOWN | DECONFIGURED) => "an operator has shut this peer down on the router",
        (code::CEASE, REJECTED) => {
            "the router rejects connections from this node: check that it has this node as a peer"
        }
        (code::CEASE, BFD) => {
            "the router's BFD session with this node went down: compare the BFD profiles, and check both sides for CPU starvation"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// RFC 5492, section 5: the router lists the capabilities it refuses or requires.
fn capability(notification: &Notification) -> String {
    if refused_capabilities::is_about_families(&notification.data) {
        return "activate the address family for this node on the router".to_owned();
    }
    let names = refused_capabilities::listed(&notification.data).join(", ");
    format!("the router refuses or requires a capability ({names}): change its settings for this node")
}
