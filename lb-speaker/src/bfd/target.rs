//! The peers to monitor by BFD.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_bfd::session::{Hops, SessionProfile};

/// All sessions, by the names of the neighbours' objects.
pub type BfdTargets = BTreeMap<String, BfdTarget>;

/// A neighbour that the way to is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdTarget {
    /// Its address.
    pub address: IpAddr,
    /// Our address; the one that the route takes if `None`.
    pub source: Option<IpAddr>,
    /// The VRF, or the interface that a link-local address is on.
    pub device: Option<String>,
    /// How far it is.
    pub hops: Hops,
    /// How fast. Echo packets are sent over one hop of IPv4 only, whatever it says.
    pub profile: SessionProfile,
}

impl BfdTarget {
    /// Whether echoes are to be sent. IPv6 has no form of them that routers agree on.
    pub(super) fn uses_echo(&self) -> bool {
        self.profile.echo.is_some() && self.address.is_ipv4() && self.hops == Hops::Single
    }
}
