//! Written objects, read from YAML or JSON but not yet validated.

mod annotations;
mod bgp;
mod cel_rule;
mod document;
mod fields;
mod json;
mod kubernetes;
mod metallb;
mod nearest;
mod null;
mod object;
mod parser_message;
mod path;
mod reader;
mod secret;
mod selector;
pub mod status;
mod yaml;

pub use bgp::{
    BfdProfile, BfdProfileSpec, BgpAdvertisement, BgpAdvertisementSpec, BgpPeer, BgpPeerSpec, Community,
    CommunityAlias, CommunitySpec, SecretReference,
};
pub use fields::{BGP_PEER_V1BETA1_FIELDS, schema_of};
pub use kubernetes::{
    Conditions, Endpoint, EndpointPort, EndpointSlice, Ingress, LoadBalancerStatus, Metadata, Namespace,
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
    Taint,
};
pub use metallb::{
    IpAddressPool, IpAddressPoolSpec, L2Advertisement, L2AdvertisementSpec, PreferredNodes, ServiceAllocation,
};
pub use object::{Object, Sourced};
pub use reader::{from_json, parse};
pub use secret::{Secret, SecretText};
pub use selector::{LabelSelector, Operator, Requirement};

#[cfg(test)]
mod tests;
