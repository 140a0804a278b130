//! What a neighbour is configured as.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::value::{Asn, Family, HoldTime, NextHop, RouterId};

/// A neighbour's configuration. Its address is its driver's business: another address is another
/// [`Peer`](super::Peer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Our AS number.
    pub local_asn: Asn,
    /// Shown to this neighbour in the place of ours, in OPEN and AS_PATH (what routers call
    /// "local-as … no-prepend replace-as").
    pub presented_asn: Option<Asn>,
    /// What the neighbour's AS number must be.
    pub remote: RemoteAs,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// Hold time proposed; the smaller one of both sides holds.
    pub hold_time: HoldTime,
    /// Time between KEEPALIVEs; a third of the hold time that was agreed if `None` or if longer than that.
    pub keepalive: Option<Duration>,
    /// Families offered.
    pub families: Vec<Family>,
    /// Next hops where the connection's local address is not the one.
    pub next_hops: NextHops,
    /// Graceful restart is offered (RFC 4724): how many seconds the neighbour is to keep our routes, at most 4095.
    pub graceful_restart: Option<u16>,
    /// This process has replaced one whose routes the neighbour may still keep: say so until the first
    /// session with it is up.
    pub restarted: bool,
    /// Never open a connection, only accept.
    pub passive: bool,
    /// Our name, for the neighbour's operator; cut at 64 octets.
    pub host_name: String,
    /// How long an attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long to wait between attempts, and after an error.
    pub back_off: BackOff,
}

/// What the neighbour's AS number must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Exactly(Asn),
    /// The one that we show.
    Internal,
    /// Any but the one that we show.
    External,
}

/// Waiting times double from `first` to `max_length` and start anew after a session that lasted for `max_length`.
/// Each is shortened by up to a quarter at random, so that a hundred nodes do not come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// After the first failure.
    pub initial: Duration,
    /// After many.
    pub max: Duration,
}

impl BackOff {
    /// One second, doubling to two minutes.
    pub const DEFAULT: Self = Self { initial: Duration::from_secs(1), max: Duration::from_secs(120) };
}

/// Where routes shall lead to; what is `None` is the connection's local address, where that is of the family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// Of IPv4 routes.
    pub v4: Option<Ipv4Addr>,
    /// Of IPv6 routes, and of IPv4 routes where there is no IPv4 address and the router takes them so (RFC 8950).
    pub v6: Option<Ipv6Addr>,
    /// Sent beside a global IPv6 next hop (RFC 2545 section 3).
    pub link_local: Option<Ipv6Addr>,
}

impl PeerConfig {
    /// The AS number that the neighbour sees.
    pub fn presented_asn(&self) -> Asn {
        self.presented_asn.unwrap_or(self.local_asn)
    }
}

impl NextHops {
    /// The next hop of a family's own kind over a connection with this local address.
    pub(super) fn native(&self, family: Family, local: IpAddr) -> Option<NextHop> {
        match family {
            Family::Ipv4 => self.v4.or(v4(local)).map(NextHop::V4),
            Family::Ipv6 => self.over_v6(local),
        }
    }

    /// An IPv6 next hop over a connection with this local address.
    pub(super) fn over_v6(&self, local: IpAddr) -> Option<NextHop> {
        let address = self.v6.or(v6(local))?;
        let link_local = self.link_local.filter(|link_local| *link_local != address);
        Some(NextHop::V6 { address, link_local })
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_none().then_some(address),
    }
}
