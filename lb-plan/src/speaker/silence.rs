//! Whether a Service is announced, and why not: MetalLB's reasons, in its order.

use std::collections::BTreeSet;

use serde::Serialize;

use super::context::{Speaker, Told};
use lb_model::{BgpAdvertisement, Exclusion, Service, TrafficPolicy, exclusion};

/// Why this node does not announce a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Silence {
    /// No advertisement of its pools is for this node.
    #[error("no BGPAdvertisement of its pool selects this node")]
    NotOwner,
    /// No advertisement is for it.
    #[error("no BGPAdvertisement of its pool selects this Service")]
    NoMatchingAdvertisement,
    /// Two advertisements want two local preferences.
    #[error("two BGPAdvertisements select this Service with two localPrefs")]
    ConflictingAdvertisements,
    /// The node's network is said not to work.
    #[error("this node's condition NetworkUnavailable is True")]
    NodeNetworkUnavailable,
    /// The node is none of the load balancer's.
    #[error("this node has label node.kubernetes.io/exclude-from-external-load-balancers")]
    NodeLabeledExcludeBalancers,
    /// Nothing on this node serves it.
    #[error("externalTrafficPolicy is Local, and no endpoint on this node serves")]
    NoLocalEndpoints,
    /// Nothing serves it.
    #[error("no endpoint serves")]
    NoEndpoints,
    /// The node cannot carry packets.
    #[error("this node is not ready: packets that come by its uplinks are not carried")]
    NotReady,
}

impl Silence {
    /// MetalLB's word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotOwner => "notOwner",
            Self::NoMatchingAdvertisement => "noMatchingAdvertisement",
            Self::ConflictingAdvertisements => "conflictingAdvertisements",
            Self::NodeNetworkUnavailable => "nodeNetworkUnavailable",
            Self::NodeLabeledExcludeBalancers => "nodeLabeledExcludeBalancers",
            Self::NoLocalEndpoints => "noLocalEndpoints",
            Self::NoEndpoints => "noEndpoints",
            // MetalLB has no such reason.
            Self::NotReady => "notReady",
        }
    }
}

/// The addresses of a Service that are announced, at least one; or the first reason that keeps the last of them
/// from it. A conflict about one of them keeps all from it.
pub(super) fn judge<'a>(speaker: &Speaker<'a>, service: &'a Service) -> Result<Vec<Told<'a>>, Silence> {
    let addresses: BTreeSet<_> = service.vips.iter().map(|vip| vip.address).collect();
    let mut told = Vec::new();
    let mut silence = Silence::NotOwner;
    for address in addresses {
        let by = advertisements(speaker, service, address).and_then(|by| {
            may_speak(speaker)?;
            has_endpoints(speaker, service, address)?;
            Ok(by)
        });
        match by {
            Ok(by) => told.push(Told { address, by }),
            // A Service of two families that is announced for one would seem to be right.
            Err(Silence::ConflictingAdvertisements) => return Err(Silence::ConflictingAdvertisements),
            Err(reason) => silence = silence.max(reason),
        }
    }
    if told.is_empty() { Err(silence) } else { Ok(told) }
}

fn advertisements<'a>(
    speaker: &Speaker<'a>,
    service: &Service,
    address: std::net::IpAddr,
) -> Result<Vec<&'a BgpAdvertisement>, Silence> {
    let Some((name, pool)) = speaker.model.pools.of(address) else { return Err(Silence::NotOwner) };
    let all = speaker.model.bgp.advertisements.iter();
    let here: Vec<_> =
        all.filter(|it| it.selects_pool(name, pool) && it.selects_node(speaker.node)).collect();
    if here.is_empty() {
        return Err(Silence::NotOwner);
    }
    let by: Vec<_> = here.into_iter().filter(|it| it.selects_service(&service.labels)).collect();
    let conflict = |(i, one): (usize, &&BgpAdvertisement)| {
        by.iter().skip(i + 1).any(|other| one.contradicts(other, address.is_ipv4()))
    };
    if by.is_empty() {
        Err(Silence::NoMatchingAdvertisement)
    } else if by.iter().enumerate().any(conflict) {
        Err(Silence::ConflictingAdvertisements)
    } else {
        Ok(by)
    }
}

fn may_speak(speaker: &Speaker<'_>) -> Result<(), Silence> {
    if speaker.settings.withdrawn {
        return Err(Silence::NotReady);
    }
    match exclusion(speaker.node, speaker.settings.ignore_exclude_label) {
        Some(Exclusion::NetworkUnavailable) => Err(Silence::NodeNetworkUnavailable),
        Some(Exclusion::Labeled) => Err(Silence::NodeLabeledExcludeBalancers),
        None => Ok(()),
    }
}

fn has_endpoints(speaker: &Speaker<'_>, service: &Service, address: std::net::IpAddr) -> Result<(), Silence> {
    let mut vips = service.vips.iter().filter(|vip| vip.address == address);
    let is_local = service.policy == TrafficPolicy::Local;
    if is_local && speaker.settings.local_needs_endpoint {
        let here = vips.any(|vip| vip.endpoints.by_node.contains_key(speaker.name));
        return if here { Ok(()) } else { Err(Silence::NoLocalEndpoints) };
    }
    if vips.any(|vip| vip.is_served(service.policy)) { Ok(()) } else { Err(Silence::NoEndpoints) }
}
