//! Our OPEN, and the negotiation between two OPENs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::close_reason::CloseReason;
use super::config::{PeerAs, PeerConfig};
use super::negotiated::{MissingFamily, Negotiated, NegotiatedRestart};
use super::refused_capabilities::RefusedCapabilities;
use crate::message::{Capabilities, GracefulRestartCapability, Open};
use crate::value::{AddressFamily, Asn, HoldTime, RouteNextHop};

/// The context of an OPEN beyond the configuration: our address on the connection, and the past.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfferContext<'a> {
    pub(super) local: IpAddr,
    /// Capabilities the peer has refused.
    pub(super) refused: Option<&'a RefusedCapabilities>,
    /// This process has just restarted, and the peer may not know.
    pub(super) restarted: bool,
    /// Forwarding state has been preserved until now.
    pub(super) forwarding: bool,
}

/// Builds our OPEN.
pub(super) fn offer(config: &PeerConfig, context: OfferContext<'_>) -> Open {
    let local = context.local;
    let mut families: Vec<AddressFamily> =
        config.families.iter().copied().filter(|family| has_next_hop(config, *family, local)).collect();
    families.sort_unstable();
    families.dedup();
    let graceful_restart = config.graceful_restart.map(|restart_time| GracefulRestartCapability {
        restarted: context.restarted,
        notification: true,
        restart_time,
        families: families.iter().map(|family| (*family, context.forwarding)).collect(),
    });
    let mut capabilities = Capabilities {
        extended_next_hop: families.contains(&AddressFamily::Ipv4) && needs_extended_next_hop(config, local),
        families,
        route_refresh: true,
        extended_message: true,
        four_octet_asn: true,
        graceful_restart,
        host_name: Some(config.host_name.clone()).filter(|name| !name.is_empty()),
        others: Vec::new(),
    };
    if let Some(refused) = context.refused {
        refused.apply(&mut capabilities);
    }
    Open {
        asn: config.presented_asn(),
        hold_time: config.hold_time,
        router_id: config.router_id,
        capabilities,
    }
}

/// Returns whether an OPEN can yield a configured family, if the peer accepts all it offers.
pub(super) fn is_useful(config: &PeerConfig, local: IpAddr, ours: &Open) -> bool {
    let extended_next_hop = ours.capabilities.extended_next_hop;
    config
        .families
        .iter()
        .any(|family| next_hop(config, *family, local, extended_next_hop, ours, ours).is_ok())
}

/// Negotiates the session between two OPENs, or returns why the peer's is rejected (RFC 4271, section 6.2).
pub(super) fn negotiate(
    config: &PeerConfig,
    local: IpAddr,
    ours: &Open,
    theirs: &Open,
) -> Result<Negotiated, CloseReason> {
    let internal = is_internal(config, theirs.asn)?;
    // BGP identifiers must differ within an AS only (RFC 6286, section 2.2).
    if internal && theirs.router_id == ours.router_id {
        return Err(CloseReason::SameRouterId(theirs.router_id));
    }
    let extended_next_hop = ours.capabilities.extended_next_hop && theirs.capabilities.extended_next_hop;
    let mut next_hops = BTreeMap::new();
    let mut missing = BTreeMap::new();
    for family in config.families.iter().copied() {
        match next_hop(config, family, local, extended_next_hop, ours, theirs) {
            Ok(next_hop) => drop(next_hops.insert(family, next_hop)),
            Err(reason) => drop(missing.insert(family, reason)),
        }
    }
    if next_hops.is_empty() {
        return Err(CloseReason::NoCommonFamily(missing));
    }
    let hold_time = ours.hold_time.min(theirs.hold_time);
    Ok(Negotiated {
        remote_asn: theirs.asn,
        remote_router_id: theirs.router_id,
        remote_host_name: theirs.capabilities.host_name.clone(),
        presented_asn: config.presented_asn(),
        internal,
        hold_time,
        keepalive: keepalive(config, hold_time),
        four_octet_asn: ours.capabilities.four_octet_asn && theirs.capabilities.four_octet_asn,
        extended_message: ours.capabilities.extended_message && theirs.capabilities.extended_message,
        extended_next_hop,
        next_hops,
        missing,
        graceful_restart: agreed(ours, theirs),
    })
}

fn is_internal(config: &PeerConfig, actual: Asn) -> Result<bool, CloseReason> {
    let internal = actual == config.presented_asn();
    let suits = match config.remote {
        PeerAs::Exactly(asn) => actual == asn,
        PeerAs::Internal => internal,
        PeerAs::External => !internal,
    };
    if suits {
        Ok(internal)
    } else {
        Err(CloseReason::WrongAsn { actual, expected: config.remote, presented: config.presented_asn() })
    }
}

/// Returns the next hop of our routes of a family.
fn next_hop(
    config: &PeerConfig,
    family: AddressFamily,
    local: IpAddr,
    extended_next_hop: bool,
    ours: &Open,
    theirs: &Open,
) -> Result<RouteNextHop, MissingFamily> {
    if !has_next_hop(config, family, local) {
        return Err(MissingFamily::NoNextHop);
    }
    if !ours.capabilities.offered_families().contains(&family) {
        return Err(MissingFamily::Refused);
    }
    if !theirs.capabilities.offered_families().contains(&family) {
        return Err(MissingFamily::NotOffered);
    }
    let over_v6 = || config.next_hops.over_v6(local).filter(|_| extended_next_hop);
    config.next_hops.native(family, local).or_else(over_v6).ok_or(MissingFamily::NoExtendedNextHop)
}

fn has_next_hop(config: &PeerConfig, family: AddressFamily, local: IpAddr) -> bool {
    config.next_hops.native(family, local).is_some() || config.next_hops.over_v6(local).is_some()
}

fn needs_extended_next_hop(config: &PeerConfig, local: IpAddr) -> bool {
    config.next_hops.native(AddressFamily::Ipv4, local).is_none()
}

fn keepalive(config: &PeerConfig, hold_time: HoldTime) -> Option<Duration> {
    let third = hold_time.duration()? / 3;
    Some(config.keepalive.filter(|keepalive| !keepalive.is_zero()).map_or(third, |own| own.min(third)))
}

fn agreed(ours: &Open, theirs: &Open) -> Option<NegotiatedRestart> {
    let (ours, theirs) =
        (ours.capabilities.graceful_restart.as_ref()?, theirs.capabilities.graceful_restart.as_ref()?);
    Some(NegotiatedRestart {
        restart_time: ours.restart_time,
        notification: ours.notification && theirs.notification,
    })
}
