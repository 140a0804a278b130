//! What is written: objects as they stand in YAML, not yet judged.

mod annotations;
mod bgp;
mod document;
mod fields;
mod json;
mod kinds;
mod null;
mod object;
mod path;
mod reader;
mod rule;
mod secret;
mod selector;
mod spelling;
pub mod status;
mod words;
mod yaml;

pub use bgp::{
    BfdProfile, BfdProfileSpec, BgpAdvertisement, BgpAdvertisementSpec, BgpPeer, BgpPeerSpec, Community,
    CommunityAlias, CommunitySpec, SecretReference,
};
pub use fields::{BGP_PEER_V1BETA1_FIELDS, schema_of};
pub use kinds::{
    Conditions, Endpoint, EndpointPort, EndpointSlice, Ingress, IpAddressPool, IpAddressPoolSpec,
    L2Advertisement, L2AdvertisementSpec, LoadBalancerStatus, Metadata, Namespace, Node, NodeAddress,
    NodeCondition, NodeSpec, NodeStatus, PreferredNodes, Service, ServiceAllocation, ServicePort,
    ServiceSpec, ServiceStatus, Taint,
};
pub use object::{Object, Sourced};
pub use reader::{from_json, parse};
pub use secret::{Secret, SecretText};
pub use selector::{LabelSelector, Operator, Requirement};

#[cfg(test)]
mod tests;
