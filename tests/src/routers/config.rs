//! A router's configuration, in terms that all four share.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, bail};
use ipnet::IpNet;

use crate::lab::addresses::IpVersion;

/// A router's configuration.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Its autonomous system.
    pub asn: u32,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Its peers.
    pub peers: Vec<RouterPeer>,
    /// Routes that it originates and advertises to all peers.
    pub originated: Vec<OriginatedRoute>,
    /// Maximum number of next hops of a route.
    pub maximum_paths: u8,
}

/// A peer, or a range of dynamic peers.
#[derive(Clone, Debug)]
pub struct RouterPeer {
    /// Its address or interface.
    pub endpoint: RouterPeerEndpoint,
    /// Its autonomous system.
    pub asn: u32,
    /// The address families of the session.
    pub families: Vec<IpVersion>,
    /// The router's own address; that of the route by default.
    pub source: Option<IpAddr>,
    /// The password of TCP-MD5 (RFC 2385).
    pub password: Option<String>,
    /// Generalized TTL security (RFC 5082): how many hops away the peer may be.
    pub ttl_security: Option<u8>,
    /// How many hops away an external peer may be.
    pub multihop: Option<u8>,
    /// BFD with the peer.
    pub bfd: Option<BfdTimers>,
    /// The router's role in graceful restart (RFC 4724).
    pub graceful_restart: GracefulRestartMode,
    /// Never connects, only listens.
    pub passive: bool,
    /// Proposed hold time in seconds; keepalives go at a third of it.
    pub hold_time: u16,
    /// Seconds that BIRD waits after an error, resetting connections meanwhile; the others ignore it.
    pub error_wait: u16,
    /// Prefers an IPv6 peer's link-local next hop if it sends both (RFC 2545), as FRR does by default.
    pub link_local_next_hop: bool,
}

/// The endpoint of a peer.
#[derive(Clone, Debug)]
pub enum RouterPeerEndpoint {
    /// An address.
    Address(IpAddr),
    /// A link-local address on an interface.
    Interface(String),
    /// Any address of a network: a dynamic peer.
    Range(IpNet),
}

/// The timers of a BFD session (RFC 5880).
#[derive(Clone, Copy, Debug)]
pub struct BfdTimers {
    /// Desired transmit interval.
    pub transmit: Duration,
    /// Required receive interval.
    pub receive: Duration,
    /// Missed packets until the peer is down.
    pub multiplier: u8,
    /// The lowest TTL that a multihop session accepts.
    pub minimum_ttl: Option<u8>,
    /// Whether it sends echo packets. Only FRR does.
    pub echo: bool,
}

/// A router's role in graceful restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracefulRestartMode {
    /// Not offered.
    Off,
    /// Keeps the routes of a restarting peer, and does not restart itself.
    Helper,
    /// Both roles, with its own restart time in seconds.
    Full(u16),
}

/// A route that a router originates.
#[derive(Clone, Debug)]
pub struct OriginatedRoute {
    /// The prefix.
    pub prefix: IpNet,
    /// Communities (RFC 1997).
    pub communities: Vec<(u16, u16)>,
    /// Large communities (RFC 8092).
    pub large_communities: Vec<(u32, u32, u32)>,
    /// Multi-exit discriminator.
    pub med: Option<u32>,
}

impl RouterConfig {
    /// Creates a router without peers, with up to 16 next hops per route.
    #[must_use]
    pub fn new(asn: u32, router_id: Ipv4Addr) -> Self {
        Self { asn, router_id, peers: Vec::new(), originated: Vec::new(), maximum_paths: 16 }
    }

    /// Adds a peer.
    #[must_use]
    pub fn peer(mut self, peer: RouterPeer) -> Self {
        self.peers.push(peer);
        self
    }

    /// Adds a route to originate.
    #[must_use]
    pub fn originate(mut self, route: OriginatedRoute) -> Self {
        self.originated.push(route);
        self
    }
}

impl RouterPeer {
    /// Creates a peer at an address, for the family of that address; hold time 9 s, no options.
    #[must_use]
    pub fn at(address: impl Into<IpAddr>, asn: u32) -> Self {
        let address = address.into();
        Self::new(RouterPeerEndpoint::Address(address), asn, &[IpVersion::of(address)])
    }

    /// Creates an unnumbered peer on an interface, for both families.
    #[must_use]
    pub fn behind(interface: &str, asn: u32) -> Self {
        Self::new(RouterPeerEndpoint::Interface(interface.into()), asn, &IpVersion::BOTH)
    }

    /// Creates dynamic peers from a network, for the family of that network.
    #[must_use]
    pub fn within(range: IpNet, asn: u32) -> Self {
        Self::new(RouterPeerEndpoint::Range(range), asn, &[IpVersion::of(range.addr())])
    }

    /// Sets the BFD session.
    #[must_use]
    pub fn bfd(mut self, bfd: BfdTimers) -> Self {
        self.bfd = Some(bfd);
        self
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the router's own address.
    #[must_use]
    pub fn source(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    fn new(endpoint: RouterPeerEndpoint, asn: u32, families: &[IpVersion]) -> Self {
        Self {
            endpoint,
            asn,
            families: families.to_vec(),
            source: None,
            password: None,
            ttl_security: None,
            multihop: None,
            bfd: None,
            graceful_restart: GracefulRestartMode::Off,
            passive: false,
            hold_time: 9,
            error_wait: 1,
            link_local_next_hop: false,
        }
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    /// When it has none, which the router named `router` does not support.
    pub(super) fn address(&self, router: &str) -> Result<IpAddr> {
        match &self.endpoint {
            RouterPeerEndpoint::Address(address) => Ok(*address),
            other => bail!("{router} does not support a peer at {other:?}"),
        }
    }

    /// Rejects BFD for the router named `router`.
    pub(super) fn reject_bfd(&self, router: &str) -> Result<()> {
        if self.bfd.is_some() { bail!("{router} does not support BFD") } else { Ok(()) }
    }

    /// Returns the seconds between keepalives.
    pub(super) fn keepalive(&self) -> u16 {
        self.hold_time / 3
    }
}

impl BfdTimers {
    /// Creates timers with this interval both ways and a multiplier of three.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self { transmit: interval, receive: interval, multiplier: 3, minimum_ttl: None, echo: false }
    }
}

impl OriginatedRoute {
    /// Creates a route without attributes of its own.
    #[must_use]
    pub fn of(prefix: IpNet) -> Self {
        Self { prefix, communities: Vec::new(), large_communities: Vec::new(), med: None }
    }

    /// Returns the family of the prefix.
    pub(super) fn family(&self) -> IpVersion {
        IpVersion::of(self.prefix.addr())
    }
}
