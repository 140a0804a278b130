//! What a router is told, in words that all four share.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, bail};
use ipnet::IpNet;

use crate::lab::addresses::IpFamily;

/// A router's configuration.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Its own autonomous system.
    pub asn: u32,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Its neighbours.
    pub peers: Vec<RouterPeer>,
    /// What it announces to all of them.
    pub announcements: Vec<OriginatedRoute>,
    /// Next hops of one route at most.
    pub maximum_paths: u8,
}

/// One neighbour, or one range of them.
#[derive(Clone, Debug)]
pub struct RouterPeer {
    /// Where it is.
    pub endpoint: PeerEndpoint,
    /// Its autonomous system.
    pub asn: u32,
    /// The address families of the session.
    pub families: Vec<IpFamily>,
    /// The router's own end; the one that the route takes if not said.
    pub source: Option<IpAddr>,
    /// The secret of TCP-MD5 (RFC 2385).
    pub password: Option<String>,
    /// Generalized TTL security (RFC 5082): how many hops away the neighbour may be.
    pub ttl_security: Option<u8>,
    /// How many hops away an external neighbour may be.
    pub multihop: Option<u8>,
    /// Bidirectional forwarding detection with it.
    pub bfd: Option<BfdTimers>,
    /// Which side of graceful restart (RFC 4724) the router plays.
    pub graceful_restart: GracefulRestartMode,
    /// Never connects, only listens.
    pub passive: bool,
    /// Proposed hold time in seconds; keepalives go at a third of it.
    pub hold_time: u16,
    /// Seconds for which BIRD waits after an error, resetting connections meanwhile; others do not ask.
    pub error_wait: u16,
    /// Takes an IPv6 neighbour's link-local next hop where it offers both (RFC 2545), as FRR does by default.
    pub link_local_next_hop: bool,
}

/// Where a neighbour is.
#[derive(Clone, Debug)]
pub enum PeerEndpoint {
    /// At an address.
    Address(IpAddr),
    /// Behind an interface, at its link-local address.
    Interface(String),
    /// Anywhere in a network: whoever connects.
    Range(IpNet),
}

/// The timers of a BFD session (RFC 5880).
#[derive(Clone, Copy, Debug)]
pub struct BfdTimers {
    /// How often it would send.
    pub transmit: Duration,
    /// How often it could receive.
    pub receive: Duration,
    /// Missed packets until the neighbour is down.
    pub multiplier: u8,
    /// The lowest TTL that a multihop session accepts.
    pub minimum_ttl: Option<u8>,
    /// Whether it sends echoes. Only FRR does.
    pub echo: bool,
}

/// Graceful restart, from a router's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracefulRestartMode {
    /// Not offered.
    Off,
    /// Keeps the routes of a neighbour that restarts, and does not restart itself.
    Helper,
    /// Both sides, with its own restart time in seconds.
    Full(u16),
}

/// A prefix that a router announces.
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
    /// A router without neighbours, up to 16 next hops a route.
    #[must_use]
    pub fn new(asn: u32, router_id: Ipv4Addr) -> Self {
        Self { asn, router_id, peers: Vec::new(), announcements: Vec::new(), maximum_paths: 16 }
    }

    /// Adds a neighbour.
    #[must_use]
    pub fn peer(mut self, peer: RouterPeer) -> Self {
        self.peers.push(peer);
        self
    }

    /// Adds a prefix to be announced.
    #[must_use]
    pub fn announce(mut self, announcement: OriginatedRoute) -> Self {
        self.announcements.push(announcement);
        self
    }
}

impl RouterPeer {
    /// A neighbour at an address, for the family of that address; hold time 9 s, nothing else.
    #[must_use]
    pub fn at(address: impl Into<IpAddr>, asn: u32) -> Self {
        let address = address.into();
        Self::new(PeerEndpoint::Address(address), asn, &[IpFamily::of(address)])
    }

    /// A neighbour behind an interface, for both families.
    #[must_use]
    pub fn behind(interface: &str, asn: u32) -> Self {
        Self::new(PeerEndpoint::Interface(interface.into()), asn, &IpFamily::BOTH)
    }

    /// Whoever connects from a network, for the family of that network.
    #[must_use]
    pub fn within(range: IpNet, asn: u32) -> Self {
        Self::new(PeerEndpoint::Range(range), asn, &[IpFamily::of(range.addr())])
    }

    /// The same with this BFD session.
    #[must_use]
    pub fn bfd(mut self, bfd: BfdTimers) -> Self {
        self.bfd = Some(bfd);
        self
    }

    /// The same with this secret.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The same with this own address.
    #[must_use]
    pub fn source(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    fn new(endpoint: PeerEndpoint, asn: u32, families: &[IpFamily]) -> Self {
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

    /// The neighbour's address.
    ///
    /// # Errors
    /// When it has none, which the router named `router` cannot do with.
    pub(super) fn address(&self, router: &str) -> Result<IpAddr> {
        match &self.endpoint {
            PeerEndpoint::Address(address) => Ok(*address),
            other => bail!("{router} cannot have a neighbour at {other:?}"),
        }
    }

    /// Refuses BFD on behalf of the router named `router`.
    pub(super) fn refuse_bfd(&self, router: &str) -> Result<()> {
        if self.bfd.is_some() { bail!("{router} has no BFD") } else { Ok(()) }
    }

    /// Seconds between keepalives.
    pub(super) fn keepalive(&self) -> u16 {
        self.hold_time / 3
    }
}

impl BfdTimers {
    /// The same interval both ways, three times missed.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self { transmit: interval, receive: interval, multiplier: 3, minimum_ttl: None, echo: false }
    }
}

impl OriginatedRoute {
    /// A prefix without any attribute of its own.
    #[must_use]
    pub fn of(prefix: IpNet) -> Self {
        Self { prefix, communities: Vec::new(), large_communities: Vec::new(), med: None }
    }

    /// The family of the prefix.
    pub(super) fn family(&self) -> IpFamily {
        IpFamily::of(self.prefix.addr())
    }
}
