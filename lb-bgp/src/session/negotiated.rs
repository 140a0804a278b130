//! The parameters that two OPENs agree on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::value::{AddressFamily, Asn, HoldTime, RouteNextHop, RouterId};

/// The negotiated parameters of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AS number.
    pub remote_asn: Asn,
    /// The peer's BGP identifier.
    pub remote_router_id: RouterId,
    /// The peer's host name, if sent.
    pub remote_host_name: Option<String>,
    /// Our AS number as presented to the peer: the whole AS_PATH on an external session.
    pub presented_asn: Asn,
    /// Both are in the same AS (iBGP).
    pub internal: bool,
    /// The smaller of both sides.
    pub hold_time: HoldTime,
    /// Keepalive interval before jitter; `None` without a hold time.
    pub keepalive: Option<Duration>,
    /// Both support four-octet AS numbers (RFC 6793).
    pub four_octet_asn: bool,
    /// Both support messages of up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// Both support IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Negotiated families, each with the next hop of our routes.
    pub next_hops: BTreeMap<AddressFamily, RouteNextHop>,
    /// Configured families that were not negotiated.
    pub missing: BTreeMap<AddressFamily, MissingFamily>,
    /// Graceful restart, if both support it.
    pub graceful_restart: Option<NegotiatedRestart>,
}

/// Negotiated graceful restart parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiatedRestart {
    /// Seconds for which the peer is to keep our routes.
    pub restart_time: u16,
    /// A NOTIFICATION other than a hard reset also triggers a graceful restart (RFC 8538).
    pub notification: bool,
}

/// Why a family was not negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingFamily {
    /// The peer did not offer it.
    NotOffered,
    /// This node has no next hop for the family.
    NoNextHop,
    /// This node has only an IPv6 next hop, and the peer does not support it for IPv4 routes (RFC 8950).
    NoExtendedNextHop,
    /// The peer refused the capability, so it was not offered (RFC 5492).
    Refused,
}

impl MissingFamily {
    /// Returns the reason as a text without a full stop.
    pub(super) const fn description(self, family: AddressFamily) -> &'static str {
        match (family, self) {
            (AddressFamily::Ipv4, Self::NotOffered) => "the router does not offer IPv4",
            (AddressFamily::Ipv6, Self::NotOffered) => "the router does not offer IPv6",
            (AddressFamily::Ipv4, Self::NoNextHop) => "this node has no next hop address for IPv4 routes",
            (AddressFamily::Ipv6, Self::NoNextHop) => "this node has no next hop address for IPv6 routes",
            (AddressFamily::Ipv4, Self::Refused) => {
                "the router refused the multiprotocol capability for IPv4"
            }
            (AddressFamily::Ipv6, Self::Refused) => {
                "the router refused the multiprotocol capability for IPv6"
            }
            (_, Self::NoExtendedNextHop) => {
                "this node has no IPv4 address on the session, and the router does not support IPv6 next hops of IPv4 \
                 routes (RFC 8950)"
            }
        }
    }
}
