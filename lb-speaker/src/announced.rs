//! What this node says of each Service to routers.

use std::net::IpAddr;
use std::sync::Arc;

use lb_model::ServiceName;
use lb_plan::speaker::WithheldReason;

/// What this node says of a Service to routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The Service.
    pub service: ServiceName,
    /// The peers that are told, whether their sessions are up or not.
    pub peers: Arc<[String]>,
    /// Its addresses that they are told.
    pub addresses: Vec<IpAddr>,
    /// Why nobody shall be told.
    pub silence: Option<WithheldReason>,
}
