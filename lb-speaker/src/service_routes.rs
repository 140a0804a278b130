//! The routes of a Service at the peers.

use std::net::IpAddr;
use std::sync::Arc;

use lb_model::ServiceName;
use lb_plan::speaker::WithheldReason;

/// The routes of a Service at the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRoutes {
    /// The Service.
    pub service: ServiceName,
    /// The peers they are advertised to, whether their sessions are up or not.
    pub peers: Arc<[String]>,
    /// The advertised addresses.
    pub addresses: Vec<IpAddr>,
    /// Why the routes are withheld, if they are.
    pub silence: Option<WithheldReason>,
}
