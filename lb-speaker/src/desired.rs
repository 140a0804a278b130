//! The desired state of the speaker: all peers and their routes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use lb_bfd::session::{Hops, SessionProfile};
use lb_bgp::session::{PeerConfig, Routes};

use super::address::is_link_local;
use super::bfd::BfdTarget;

/// All peers, by the name of their BGPPeer object.
pub type DesiredPeers = BTreeMap<String, DesiredPeer>;

/// A peer and the routes to advertise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredPeer {
    /// How the peer is reached. Another transport is another session.
    pub transport: Transport,
    /// Session configuration.
    pub config: PeerConfig,
    /// BFD settings, if the peer is to be monitored.
    pub bfd: Option<BfdSettings>,
    /// The peer may be several hops away.
    pub multihop: bool,
    /// The routes to advertise; `None` while unknown: the peer then keeps those from before a restart.
    pub routes: Option<Arc<Routes>>,
}

/// BFD settings of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSettings {
    /// Distance.
    pub hops: Hops,
    /// Timers.
    pub profile: SessionProfile,
}

impl DesiredPeer {
    pub(super) fn bfd_target(&self) -> Option<BfdTarget> {
        let BfdSettings { hops, profile } = self.bfd?;
        let Transport { address, source, device, .. } = self.transport.clone();
        Some(BfdTarget { address, source, device, hops, profile })
    }
}

/// How a peer is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's port.
    pub port: u16,
    /// The local address; chosen by the route if `None`.
    pub source: Option<IpAddr>,
    /// The VRF, or the interface of a link-local address.
    pub device: Option<String>,
    /// TCP-MD5 key (RFC 2385).
    pub key: Option<Md5Key>,
    /// Minimum TTL of received segments (RFC 5082): 255 less the number of routers in between.
    pub minimum_ttl: Option<u8>,
}

impl Transport {
    /// Returns the VRF; the device of a link-local peer is its interface instead.
    pub fn vrf(&self) -> Option<&str> {
        self.device.as_deref().filter(|_| !is_link_local(self.address))
    }
}

/// Maximum length of a key in octets.
pub(super) const MAX_KEY_LEN: usize = 80;

/// A TCP-MD5 key; never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key(Arc<[u8]>);

impl Md5Key {
    /// Returns a key; `None` if empty or longer than 80 octets.
    pub fn new(octets: &[u8]) -> Option<Self> {
        (1..=MAX_KEY_LEN).contains(&octets.len()).then(|| Self(octets.into()))
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Md5Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}
