//! Configuration of a BGP peer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::value::{AddressFamily, Asn, HoldTime, RouteNextHop, RouterId};

/// Configuration of a peer. The address belongs to the driver: another address is another
/// [`Peer`](super::Peer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Our AS number.
    pub local_asn: Asn,
    /// Presented to this peer instead of ours, in OPEN and AS_PATH (on routers "local-as … no-prepend
    /// replace-as").
    pub presented_asn: Option<Asn>,
    /// Expected AS number of the peer.
    pub remote: PeerAs,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// Proposed hold time; the smaller of both sides is used.
    pub hold_time: HoldTime,
    /// Keepalive interval; a third of the negotiated hold time if `None` or longer than that.
    pub keepalive: Option<Duration>,
    /// Families to offer.
    pub families: Vec<AddressFamily>,
    /// Next hops other than the connection's local address.
    pub next_hops: NextHops,
    /// Offers graceful restart (RFC 4724): seconds for which the peer is to keep our routes, at most 4095.
    pub graceful_restart: Option<u16>,
    /// This process replaces one whose routes the peer may still keep; set in OPEN until the first session is
    /// up.
    pub restarted: bool,
    /// Accepts connections only.
    pub passive: bool,
    /// Our host name, for the peer's operator; cut at 64 octets.
    pub host_name: String,
    /// Maximum duration of a connection attempt.
    pub connect_timeout: Duration,
    /// Delay between attempts, and after an error.
    pub back_off: BackOff,
}

/// Expected AS number of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAs {
    /// Exactly this one.
    Exactly(Asn),
    /// The one presented to the peer.
    Internal,
    /// Any but the one presented to the peer.
    External,
}

/// Delays double from `initial` to `max` and are reset by a session that lasted for `max`. Each is reduced by
/// a random share of up to a quarter, so that a hundred nodes do not connect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// Delay after the first failure.
    pub initial: Duration,
    /// Maximum delay.
    pub max: Duration,
}

impl BackOff {
    /// One second, doubling to two minutes.
    pub const DEFAULT: Self = Self { initial: Duration::from_secs(1), max: Duration::from_secs(120) };
}

/// Next hops; `None` means the connection's local address, if it is of the family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// For IPv4 routes.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6 routes, and for IPv4 routes without an IPv4 address if the peer supports it (RFC 8950).
    pub v6: Option<Ipv6Addr>,
    /// Sent beside a global IPv6 next hop (RFC 2545, section 3).
    pub link_local: Option<Ipv6Addr>,
}

impl PeerConfig {
    /// Returns the AS number presented to the peer.
    pub fn presented_asn(&self) -> Asn {
        self.presented_asn.unwrap_or(self.local_asn)
    }
}

impl NextHops {
    /// Returns a next hop of the family itself, on a connection with this local address.
    pub(super) fn native(&self, family: AddressFamily, local: IpAddr) -> Option<RouteNextHop> {
        match family {
            AddressFamily::Ipv4 => self.v4.or(v4(local)).map(RouteNextHop::V4),
            AddressFamily::Ipv6 => self.over_v6(local),
        }
    }

    /// Returns an IPv6 next hop, on a connection with this local address.
    pub(super) fn over_v6(&self, local: IpAddr) -> Option<RouteNextHop> {
        let address = self.v6.or(v6(local))?;
        let link_local = self.link_local.filter(|link_local| *link_local != address);
        Some(RouteNextHop::V6 { address, link_local })
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
