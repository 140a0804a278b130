//! An object of any supported kind, and its position in a file.

use super::bgp::{BfdProfile, BgpAdvertisement, BgpPeer, Community};
use super::kubernetes::{EndpointSlice, Metadata, Namespace, Node, Service};
use super::metallb::{IpAddressPool, L2Advertisement};
use super::secret::Secret;
use crate::kind::ObjectKind;
use crate::problem::{ObjectRef, Problem, Reason, location};

/// Namespace of an object without one.
const DEFAULT_NAMESPACE: &str = "default";

/// A value with its position in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T> {
    /// Name of its file; empty without one.
    pub source: String,
    /// Line of its document's first line, from 1.
    pub line: usize,
    /// The value.
    pub value: T,
}

/// An object of a supported kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `v1` Service.
    Service(Box<Service>),
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// `v1` Node.
    Node(Node),
    /// `v1` Namespace.
    Namespace(Namespace),
    /// `metallb.io/v1beta1` IPAddressPool.
    IpAddressPool(Box<IpAddressPool>),
    /// `metallb.io/v1beta1` L2Advertisement.
    L2Advertisement(L2Advertisement),
    /// `metallb.io` BGPPeer.
    BgpPeer(Box<BgpPeer>),
    /// `metallb.io/v1beta1` BGPAdvertisement.
    BgpAdvertisement(Box<BgpAdvertisement>),
    /// `metallb.io/v1beta1` BFDProfile.
    BfdProfile(BfdProfile),
    /// `metallb.io/v1beta1` Community.
    Community(Community),
    /// `v1` Secret.
    Secret(Box<Secret>),
}

impl Object {
    /// Returns the kind.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Service(_) => ObjectKind::SERVICE,
            Self::EndpointSlice(_) => ObjectKind::ENDPOINT_SLICE,
            Self::Node(_) => ObjectKind::NODE,
            Self::Namespace(_) => ObjectKind::NAMESPACE,
            Self::IpAddressPool(_) => ObjectKind::IP_ADDRESS_POOL,
            Self::L2Advertisement(_) => ObjectKind::L2_ADVERTISEMENT,
            Self::BgpPeer(_) => ObjectKind::BGP_PEER,
            Self::BgpAdvertisement(_) => ObjectKind::BGP_ADVERTISEMENT,
            Self::BfdProfile(_) => ObjectKind::BFD_PROFILE,
            Self::Community(_) => ObjectKind::COMMUNITY,
            Self::Secret(_) => ObjectKind::SECRET,
        }
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Service(service) => &service.metadata,
            Self::EndpointSlice(slice) => &slice.metadata,
            Self::Node(node) => &node.metadata,
            Self::Namespace(namespace) => &namespace.metadata,
            Self::IpAddressPool(pool) => &pool.metadata,
            Self::L2Advertisement(advertisement) => &advertisement.metadata,
            Self::BgpPeer(peer) => &peer.metadata,
            Self::BgpAdvertisement(advertisement) => &advertisement.metadata,
            Self::BfdProfile(profile) => &profile.metadata,
            Self::Community(community) => &community.metadata,
            Self::Secret(secret) => &secret.metadata,
        }
    }

    /// Returns the namespace; `None` for a kind without namespaces.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Node(_) | Self::Namespace(_) => None,
            _ => Some(self.metadata().namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)),
        }
    }

    /// Returns a reference to the object.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.kind(), self.namespace(), &self.metadata().name)
    }
}

impl Problem {
    /// Creates a problem of an object.
    pub fn of(object: &Sourced<Object>, reason: impl Into<Reason>) -> Self {
        let (source, line) = location(&object.source, object.line);
        Self { source, line, object: Some(object.value.reference()), field: None, reason: reason.into() }
    }

    /// Creates a problem of a field of an object.
    pub fn at(object: &Sourced<Object>, field: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self { field: Some(field.into()), ..Self::of(object, reason) }
    }
}
