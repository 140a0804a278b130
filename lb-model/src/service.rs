//! Services that are to be served.

mod address;
mod candidate;
mod claims;
mod index;
mod port;
mod sources;

pub(super) use candidate::Context;
pub(super) use index::ServiceIndex;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::endpoints::Endpoints;
use crate::name::Protocol;
use crate::source_ranges::SourceRanges;

/// A Service that is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Which nodes may serve it.
    pub policy: TrafficPolicy,
    /// Whether all flows of a client go to one node.
    pub affinity: bool,
    /// The clients that it admits.
    pub sources: SourceRanges,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Each address with each port, without those that another Service has.
    pub vips: Vec<ServiceVip>,
}

/// Which addresses count as a Service's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressRule {
    /// Those in its status, or else those that it asks for: where no controller fills in a status. Who holds an address
    /// comes before who asks for it, and a pool that is kept for others is not asked.
    #[default]
    HeldOrAsked,
    /// Those in its status alone: on a cluster, where a controller decides about what is asked for.
    Held,
}

/// Which nodes may serve a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// All: a node passes on what it has no endpoint for.
    Cluster,
    /// Those with an endpoint.
    Local,
}

impl TrafficPolicy {
    /// Returns its name in an object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// One port of one address of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceVip {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Endpoints of the address's family that can serve it.
    pub endpoints: Endpoints,
}

impl ServiceVip {
    /// Whether some node can serve it under a policy.
    pub fn is_served(&self, policy: TrafficPolicy) -> bool {
        match policy {
            TrafficPolicy::Cluster => !self.endpoints.is_empty(),
            TrafficPolicy::Local => !self.endpoints.by_node.is_empty(),
        }
    }
}
