//! The domain model: valid values with references resolved and conflicts decided.
//!
//! Only this crate knows both the written objects and the domain. A [`Model`] contains only what can be acted
//! on; everything else is reported as a [`Problem`](lb_api::problem::Problem).

mod address;
mod address_range;
mod advertisement;
mod bgp;
mod drain;
mod duration;
mod endpoints;
mod incremental;
mod label;
pub mod last_good;
mod lists;
mod model;
mod name;
mod node;
mod object_set;
mod order;
mod pool;
mod precedence;
mod reserved;
mod service;
mod source_ranges;
mod table;
mod target;

pub use address_range::AddressRange;
pub use advertisement::L2Advertisement;
pub use bgp::{BfdParameters, Bgp, BgpAdvertisement, Password, Peer, PeerLocation};
pub use bgp::{SECRET_KEY, SECRET_TYPE};
pub use drain::{AnnotationRule, ConditionRule, DrainCause, DrainRules, RuleError, TaintRule};
pub use duration::parse as parse_duration;
pub use endpoints::Endpoints;
pub use endpoints::SERVICE_LABEL;
pub use incremental::IncrementalModel;
pub use model::Model;
pub use name::{NodeName, PoolName, Protocol, ServiceName};
pub use node::Node;
pub use pool::{Namespaces, Pool, PoolAllocation, Pools};
pub use reserved::{Owner, Reserved};
pub use service::{AddressRule, Service, ServiceVip, TrafficPolicy};
pub use source_ranges::{SourceRange, SourceRanges, SourceSet};
pub use target::{Exclusion, Tier, exclusion};

#[cfg(test)]
mod tests;
