//! The rules that keep a Service from being advertised: MetalLB's reasons, in its order.

use std::collections::BTreeSet;

use serde::Serialize;

use super::context::{AdvertisedAddress, SpeakerContext};
use lb_model::{BgpAdvertisement, Exclusion, Service, TrafficPolicy, exclusion};

/// Why this node does not advertise a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum WithheldReason {
    /// No advertisement of its pools selects this node.
    #[error("no BGPAdvertisement of its pool selects this node")]
    NotOwner,
    /// No advertisement selects the Service.
    #[error("no BGPAdvertisement of its pool selects this Service")]
    NoMatchingAdvertisement,
    /// Two advertisements set different local preferences.
    #[error("two BGPAdvertisements of this Service have different localPrefs")]
    ConflictingAdvertisements,
    /// The node's network is unavailable.
    #[error("this node's condition NetworkUnavailable is True")]
    NodeNetworkUnavailable,
    /// The node's label excludes it.
    #[error("this node has label node.kubernetes.io/exclude-from-external-load-balancers")]
    NodeLabeledExcludeBalancers,
    /// It has no serving endpoint on this node.
    #[error("externalTrafficPolicy is Local, and no endpoint on this node is serving")]
    NoLocalEndpoints,
    /// It has no serving endpoint.
    #[error("no endpoint is serving")]
    NoEndpoints,
    /// The node cannot carry packets.
    #[error("this node is not ready: it cannot forward packets from its uplinks")]
    NotReady,
}

impl WithheldReason {
    /// Returns MetalLB's name of the reason.
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

/// Returns the addresses of a Service that are advertised, at least one; or the reason that applies to the
/// last of the addresses. A conflict about one address withholds all of them.
pub(super) fn judge<'a>(
    speaker: &SpeakerContext<'a>,
    service: &'a Service,
) -> Result<Vec<AdvertisedAddress<'a>>, WithheldReason> {
    let addresses: BTreeSet<_> = service.vips.iter().map(|vip| vip.address).collect();
    let mut advertised = Vec::new();
    let mut withheld = WithheldReason::NotOwner;
    for address in addresses {
        let by = advertisements(speaker, service, address).and_then(|by| {
            may_advertise(speaker)?;
            has_endpoints(speaker, service, address)?;
            Ok(by)
        });
        match by {
            Ok(by) => advertised.push(AdvertisedAddress { address, by }),
            // A dual-stack Service that is advertised for one family would appear to work.
            Err(WithheldReason::ConflictingAdvertisements) => {
                return Err(WithheldReason::ConflictingAdvertisements);
            }
            Err(reason) => withheld = withheld.max(reason),
        }
    }
    if advertised.is_empty() { Err(withheld) } else { Ok(advertised) }
}

fn advertisements<'a>(
    speaker: &SpeakerContext<'a>,
    service: &Service,
    address: std::net::IpAddr,
) -> Result<Vec<&'a BgpAdvertisement>, WithheldReason> {
    let Some((name, pool)) = speaker.model.pools.of(address) else { return Err(WithheldReason::NotOwner) };
    let all = speaker.model.bgp.advertisements.iter();
    let here: Vec<_> =
        all.filter(|it| it.selects_pool(name, pool) && it.selects_node(speaker.node)).collect();
    if here.is_empty() {
        return Err(WithheldReason::NotOwner);
    }
    let by: Vec<_> = here.into_iter().filter(|it| it.selects_service(&service.labels)).collect();
    let conflict = |(i, one): (usize, &&BgpAdvertisement)| {
        by.iter().skip(i + 1).any(|other| one.contradicts(other, address.is_ipv4()))
    };
    if by.is_empty() {
        Err(WithheldReason::NoMatchingAdvertisement)
    } else if by.iter().enumerate().any(conflict) {
        Err(WithheldReason::ConflictingAdvertisements)
    } else {
        Ok(by)
    }
}

fn may_advertise(speaker: &SpeakerContext<'_>) -> Result<(), WithheldReason> {
    if speaker.settings.withdrawn {
        return Err(WithheldReason::NotReady);
    }
    match exclusion(speaker.node, speaker.settings.ignore_exclude_label) {
        Some(Exclusion::NetworkUnavailable) => Err(WithheldReason::NodeNetworkUnavailable),
        Some(Exclusion::Labeled) => Err(WithheldReason::NodeLabeledExcludeBalancers),
        None => Ok(()),
    }
}

fn has_endpoints(
    speaker: &SpeakerContext<'_>,
    service: &Service,
    address: std::net::IpAddr,
) -> Result<(), WithheldReason> {
    let mut vips = service.vips.iter().filter(|vip| vip.address == address);
    let is_local = service.policy == TrafficPolicy::Local;
    if is_local && speaker.settings.local_needs_endpoint {
        let here = vips.any(|vip| vip.endpoints.by_node.contains_key(speaker.name));
        return if here { Ok(()) } else { Err(WithheldReason::NoLocalEndpoints) };
    }
    if vips.any(|vip| vip.is_served(service.policy)) { Ok(()) } else { Err(WithheldReason::NoEndpoints) }
}
