//! What is offered in an OPEN, and what two OPENs agree on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::close_reason::CloseReason;
use super::config::{PeerConfig, RemoteAs};
use super::negotiated::{MissingFamily, Negotiated, NegotiatedRestart};
use super::refused_capabilities::RefusedCapabilities;
use crate::message::{Capabilities, GracefulRestartCapability, Open};
use crate::value::{Asn, Family, HoldTime, NextHop};

/// What a connection adds to the configuration: our address on it, and what was before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfferContext<'a> {
    pub(super) local: IpAddr,
    /// What the peer has refused before.
    pub(super) refused: Option<&'a RefusedCapabilities>,
    /// We have just been restarted, and the neighbour may not know.
    pub(super) restarted: bool,
    /// Packets that came for our routes until now have been forwarded.
    pub(super) forwarding: bool,
}

/// Our OPEN.
pub(super) fn offer(config: &PeerConfig, context: OfferContext<'_>) -> Open {
    let local = context.local;
    let mut families: Vec<Family> =
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
        extended_next_hop: families.contains(&Family::Ipv4) && needs_extended_next_hop(config, local),
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

/// Whether a family that is configured can come of an OPEN, with a peer that agrees to all that it offers.
pub(super) fn is_useful(config: &PeerConfig, local: IpAddr, ours: &Open) -> bool {
    let extended_next_hop = ours.capabilities.extended_next_hop;
    config
        .families
        .iter()
        .any(|family| next_hop(config, *family, local, extended_next_hop, ours, ours).is_ok())
}

/// What two OPENs agree on, or why the neighbour's is refused (RFC 4271 section 6.2).
pub(super) fn negotiate(
    config: &PeerConfig,
    local: IpAddr,
    ours: &Open,
    theirs: &Open,
) -> Result<Negotiated, CloseReason> {
    let internal = is_internal(config, theirs.asn)?;
    // Two of one AS need different identifiers, of two AS they need not (RFC 6286 section 2.2).
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

fn is_internal(config: &PeerConfig, says: Asn) -> Result<bool, CloseReason> {
    let internal = says == config.presented_asn();
    let suits = match config.remote {
        RemoteAs::Exactly(asn) => says == asn,
        RemoteAs::Internal => internal,
        RemoteAs::External => !internal,
    };
    if suits {
        Ok(internal)
    } else {
        Err(CloseReason::WrongAsn { says, expected: config.remote, presented: config.presented_asn() })
    }
}

/// Where our routes of a family would lead to.
fn next_hop(
    config: &PeerConfig,
    family: Family,
    local: IpAddr,
    extended_next_hop: bool,
    ours: &Open,
    theirs: &Open,
) -> Result<NextHop, MissingFamily> {
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

fn has_next_hop(config: &PeerConfig, family: Family, local: IpAddr) -> bool {
    config.next_hops.native(family, local).is_some() || config.next_hops.over_v6(local).is_some()
}

fn needs_extended_next_hop(config: &PeerConfig, local: IpAddr) -> bool {
    config.next_hops.native(Family::Ipv4, local).is_none()
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
