//! Services to be served.

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

/// A Service to be served.
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
    /// Each address with each port, except those that belong to another Service.
    pub vips: Vec<ServiceVip>,
}

/// The rule that decides which addresses count as a Service's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressRule {
    /// Those in its status, or else those that it asks for: without a controller that fills in the status.
    /// Services that hold an address take precedence over those that ask, and pools reserved for other
    /// Services do not count.
    #[default]
    HeldOrAsked,
    /// Those in its status only: in a cluster, where a controller decides about requests.
    Held,
}

/// Which nodes may serve a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// All: a node forwards to others what it has no endpoint for.
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
    /// Serving endpoints of the address's family.
    pub endpoints: Endpoints,
}

impl ServiceVip {
    /// Returns whether some node can serve it under a policy.
    pub fn is_served(&self, policy: TrafficPolicy) -> bool {
        match policy {
            TrafficPolicy::Cluster => !self.endpoints.is_empty(),
            TrafficPolicy::Local => !self.endpoints.by_node.is_empty(),
        }
    }
}
