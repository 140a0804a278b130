//! What the speaker is told: all neighbours, and what each shall know.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use lb_bfd::session::{Hops, SessionProfile};
use lb_bgp::session::{PeerConfig, Routes};

use super::bfd::{Watched, is_link_local};

/// All neighbours, by the names of their objects.
pub type Wanted = BTreeMap<String, Neighbour>;

/// A neighbour and what it shall know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// How it is reached. Another transport is another session.
    pub transport: Transport,
    /// How it is spoken to.
    pub config: PeerConfig,
    /// The way to it is watched so; `None`: it is not.
    pub bfd: Option<Bfd>,
    /// There may be routers between.
    pub multihop: bool,
    /// What it shall know; `None` while that is not known: it then keeps what it was told before a restart.
    pub routes: Option<Arc<Routes>>,
}

/// How the way to a neighbour is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bfd {
    /// How far it is.
    pub hops: Hops,
    /// How fast.
    pub profile: SessionProfile,
}

impl Neighbour {
    pub(super) fn watched(&self) -> Option<Watched> {
        let Bfd { hops, profile } = self.bfd?;
        let Transport { address, source, device, .. } = self.transport.clone();
        Some(Watched { address, source, device, hops, profile })
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
    pub key: Option<Key>,
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
pub const LONGEST_KEY: usize = 80;

/// A key for TCP-MD5; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// A key; `None` for an empty one or one of more than [`LONGEST_KEY`] octets.
    pub fn new(octets: &[u8]) -> Option<Self> {
        (1..=LONGEST_KEY).contains(&octets.len()).then(|| Self(octets.into()))
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}
