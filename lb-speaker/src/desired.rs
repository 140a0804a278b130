//! What the speaker is told: all neighbours, and what each shall know.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use lb_bfd::session::{Hops, SessionProfile};
use lb_bgp::session::{PeerConfig, Routes};

use super::address::is_link_local;
use super::bfd::BfdTarget;

/// All neighbours, by the names of their objects.
pub type DesiredPeers = BTreeMap<String, DesiredPeer>;

/// A neighbour and what it shall know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredPeer {
    /// How it is reached. Another transport is another session.
    pub transport: Transport,
    /// How it is spoken to.
    pub config: PeerConfig,
    /// The way to it is watched so; `None`: it is not.
    pub bfd: Option<BfdSettings>,
    /// There may be routers between.
    pub multihop: bool,
    /// What it shall know; `None` while that is not known: it then keeps what it was told before a restart.
    pub routes: Option<Arc<Routes>>,
}

/// How the way to a neighbour is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSettings {
    /// How far it is.
    pub hops: Hops,
    /// How fast.
    pub profile: SessionProfile,
}

impl DesiredPeer {
    pub(super) fn bfd_target(&self) -> Option<BfdTarget> {
        let BfdSettings { hops, profile } = self.bfd?;
        let Transport { address, source, device, .. } = self.transport.clone();
        Some(BfdTarget { address, source, device, hops, profile })
    }
}

/// How a neighbour is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Our address; the one that the route takes if `None`.
    pub source: Option<IpAddr>,
    /// The VRF, or the interface that a link-local address is on.
    pub device: Option<String>,
    /// Segments are signed with it (RFC 2385).
    pub key: Option<Md5Key>,
    /// Segments that have come with less are dropped (RFC 5082): 255 minus the routers between.
    pub minimum_ttl: Option<u8>,
}

impl Transport {
    /// The VRF: of a link-local neighbour, the device is just its interface.
    pub fn vrf(&self) -> Option<&str> {
        self.device.as_deref().filter(|_| !is_link_local(self.address))
    }
}

/// Octets of a key, at most.
pub(super) const MAX_KEY_LEN: usize = 80;

/// A key for TCP-MD5; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key(Arc<[u8]>);

impl Md5Key {
    /// A key; `None` for an empty one or one of more than [`MAX_KEY_LEN`] octets.
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
