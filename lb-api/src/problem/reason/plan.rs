//! Reasons why a node cannot do what the valid objects ask for.

use std::net::IpAddr;

use crate::problem::excerpt::named;
use crate::problem::severity::Severity;

/// Why a node cannot do what the valid objects ask for, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanReason {
    /// L2Advertisements without any uplink of this node.
    #[error(
        "this node announces the pool, but none of the interfaces in the pool's L2Advertisements is one \
         of its uplinks, so its addresses are not announced; add the interface to the \
         uplinks of the agent, or an uplink to spec.interfaces"
    )]
    NoSuchUplink,
    /// Addresses in no network of this node's uplinks, which only L2Advertisements announce.
    #[error(
        "{count} of its addresses, as {address}, are in no network of this node's uplinks: hosts ask for them \
         only if they have a route to them on this link; add such a route, or use addresses of the link's network"
    )]
    OffLink {
        /// Number of the addresses.
        count: usize,
        /// One of them.
        address: IpAddr,
    },
    /// All Nodes are excluded from load balancing.
    #[error(
        "every Node is excluded from load balancing, by label \
         node.kubernetes.io/exclude-from-external-load-balancers or condition NetworkUnavailable: no node \
         announces any address, and arriving packets are distributed among all of them; remove the label, \
         or start with --ignore-exclude-lb"
    )]
    AllNodesExcluded,
    /// All endpoints of a Service with policy Local are on excluded Nodes.
    #[error(
        "all endpoints are on Nodes that are excluded from load balancing, which serve them for lack of \
         others; schedule the pods on other Nodes"
    )]
    EndpointsExcluded,
    /// Two Node names with the same node ID.
    #[error(
        "the name of this Node hashes to the same 32-bit node ID as that of Node {0}; a fallback ID is \
         used, which changes whenever {0} joins or leaves: rename one of them",
        named(.by)
    )]
    NodeIdentityTaken {
        /// Name of the Node that has the number.
        by: String,
    },
    /// This machine is not among the Nodes.
    #[error(
        "this machine is Node {}, which does not exist, so it announces and advertises nothing, and forwards as \
         before; add the Node, or correct --node",
        named(.node)
    )]
    OwnNodeUnknown {
        /// This machine's name.
        node: String,
    },
    /// Forwarding mode l2 to a node that is not on-link.
    #[error(
        "{address} is not on-link, and forwarding mode l2 reaches on-link nodes only; set forwarding to \
         auto, gue or ipip"
    )]
    NotOnLink {
        /// The node's address.
        address: IpAddr,
    },
    /// A next hop on an interface that is not an uplink.
    #[error(
        "the route to {address} uses interface {ifindex}, which is not an uplink; add it with --interface"
    )]
    NotAnUplink {
        /// The node's address.
        address: IpAddr,
        /// The interface.
        ifindex: u32,
    },
    /// A next hop with a source address of the other family.
    #[error(
        "the route to {address} has source address {source_address}, of the other IP version; correct the \
         route"
    )]
    WayFamilies {
        /// The node's address.
        address: IpAddr,
        /// The source address.
        source_address: IpAddr,
    },
    /// A map is full.
    #[error("map {map} is full with {capacity} entries, so this is left out; remove other entries")]
    MapFull {
        /// Name of the map.
        map: &'static str,
        /// Its capacity.
        capacity: usize,
    },
    /// The map of source ranges is full.
    #[error(
        "map {map} is full with {capacity} entries, so {lacking} source ranges are left out and their \
         clients are dropped; write fewer or larger ranges"
    )]
    SourcesFull {
        /// Name of the map.
        map: &'static str,
        /// Its capacity.
        capacity: usize,
        /// Entries that did not fit.
        lacking: usize,
    },
    /// The array of rings is full.
    #[error(
        "map {map} with {capacity} slots has no {slots} consecutive free ones, so the former ring stays \
         in use; lower the slots per node, or raise the capacity"
    )]
    NoRingSpace {
        /// Name of the map.
        map: &'static str,
        /// Slots that are needed.
        slots: usize,
        /// Its capacity.
        capacity: u32,
    },
}

impl PlanReason {
    /// Returns a fixed word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoSuchUplink => "no_such_uplink",
            Self::OffLink { .. } => "off_link",
            Self::AllNodesExcluded => "all_nodes_excluded",
            Self::EndpointsExcluded => "endpoints_excluded",
            Self::OwnNodeUnknown { .. } => "own_node_unknown",
            Self::NodeIdentityTaken { .. } => "node_identity_taken",
            Self::NotOnLink { .. } => "not_on_link",
            Self::NotAnUplink { .. } => "not_an_uplink",
            Self::WayFamilies { .. } => "way_families",
            Self::MapFull { .. } => "map_full",
            Self::SourcesFull { .. } => "sources_full",
            Self::NoRingSpace { .. } => "no_ring_space",
        }
    }

    /// Returns how severe it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::AllNodesExcluded | Self::EndpointsExcluded | Self::OffLink { .. } => Severity::Notice,
            _ => Severity::Error,
        }
    }
}
