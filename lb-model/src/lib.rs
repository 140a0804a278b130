//! What is meant: valid values with references resolved and conflicts decided.
//!
//! This is the only place that knows both the written objects and the domain. Whatever is in a [`Model`] can
//! be acted on; what could not be is a [`Problem`] beside it.

pub mod accepted;
mod address;
mod address_range;
mod advertisement;
mod bgp;
mod drain;
mod duration;
mod endpoints;
mod label;
mod lists;
mod model;
mod modeller;
mod name;
mod node;
mod order;
mod pool;
mod reserved;
mod service;
mod source_ranges;
mod standing;
mod table;
mod target;

pub use address_range::AddressRange;
pub use advertisement::L2Advertisement;
pub use bgp::{BfdProfile, Bgp, BgpAdvertisement, Endpoint, Password, Peer, RemoteAs};
pub use bgp::{SECRET_KEY, SECRET_TYPE};
pub use drain::{DrainCause, DrainRules, Mark, RuleError, TaintRule};
pub use endpoints::Endpoints;
pub use endpoints::SERVICE_LABEL;
pub use model::Model;
pub use modeller::Modeller;
pub use name::{NodeName, PoolName, Protocol, ServiceName};
pub use node::Node;
pub use pool::{Namespaces, Pool, Pools, ServiceAllocation};
pub use reserved::{Owner, Reserved};
pub use service::{AddressRule, Service, ServiceVip, TrafficPolicy};
pub use source_ranges::{SourceRange, SourceRanges, Sources};
pub use target::{Exclusion, Tier, exclusion};

#[cfg(test)]
mod tests;
