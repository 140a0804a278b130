//! The peers to monitor by BFD.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_bfd::session::{Hops, SessionProfile};

/// All targets, by the name of their BGPPeer object.
pub type BfdTargets = BTreeMap<String, BfdTarget>;

/// A peer to monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdTarget {
    /// The peer's address.
    pub address: IpAddr,
    /// The local address; chosen by the route if `None`.
    pub source: Option<IpAddr>,
    /// The VRF, or the interface of a link-local address.
    pub device: Option<String>,
    /// Distance.
    pub hops: Hops,
    /// Timers. Echo packets are sent only over a single hop of IPv4, regardless of the profile.
    pub profile: SessionProfile,
}

impl BfdTarget {
    /// Returns the minimum TTL of a multihop target's packets.
    pub(super) const fn minimum_ttl(&self) -> Option<u8> {
        match self.hops {
            Hops::Single => None,
            Hops::Multi { minimum_ttl } => Some(minimum_ttl),
        }
    }

    /// Returns whether to send echoes. There is no format of IPv6 echoes that routers agree on.
    pub(super) fn uses_echo(&self) -> bool {
        self.profile.echo.is_some() && self.address.is_ipv4() && self.hops == Hops::Single
    }
}
