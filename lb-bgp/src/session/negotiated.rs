//! The parameters that two OPENs agree on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::value::{Asn, Family, HoldTime, NextHop, RouterId};

/// What holds for a session, as plain values: whoever has them and the connection can carry it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The neighbour's AS number.
    pub remote_asn: Asn,
    /// The neighbour.
    pub remote_router_id: RouterId,
    /// The neighbour's name, if it told.
    pub remote_host_name: Option<String>,
    /// The AS number that the neighbour knows us by, and all of AS_PATH on an external session.
    pub presented_asn: Asn,
    /// Both are of one AS (iBGP).
    pub internal: bool,
    /// The smaller one of both.
    pub hold_time: HoldTime,
    /// Time between our KEEPALIVEs before jitter; `None` without hold time.
    pub keepalive: Option<Duration>,
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Both take messages of up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Families spoken, and where our routes of each lead to.
    pub next_hops: BTreeMap<Family, NextHop>,
    /// Families configured and not spoken.
    pub missing: BTreeMap<Family, MissingFamily>,
    /// Graceful restart, where both can.
    pub graceful_restart: Option<NegotiatedRestart>,
}

/// What was agreed about graceful restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiatedRestart {
    /// Seconds for which the neighbour is to keep our routes.
    pub restart_time: u16,
    /// NOTIFICATIONs other than a hard reset restart gracefully, too (RFC 8538).
    pub notification: bool,
}

/// Why a family is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingFamily {
    /// The neighbour did not offer it.
    NotOffered,
    /// We have no address of the family that routes could lead to.
    NoNextHop,
    /// We have an IPv6 address only, and the neighbour takes no IPv4 routes over such (RFC 8950).
    NoExtendedNextHop,
    /// The peer refused the capability, so that we did not offer it (RFC 5492).
    Refused,
}

impl MissingFamily {
    /// The reason, without a full stop.
    pub(super) const fn words(self, family: Family) -> &'static str {
        match (family, self) {
            (Family::Ipv4, Self::NotOffered) => "the router does not offer IPv4",
            (Family::Ipv6, Self::NotOffered) => "the router does not offer IPv6",
            (Family::Ipv4, Self::NoNextHop) => "this node has no address that IPv4 routes could lead to",
            (Family::Ipv6, Self::NoNextHop) => "this node has no IPv6 address that routes could lead to",
            (Family::Ipv4, Self::Refused) => "the router refused the capability for IPv4",
            (Family::Ipv6, Self::Refused) => "the router refused the capability for IPv6",
            (_, Self::NoExtendedNextHop) => {
                "this node has no IPv4 address on the session, and the router takes no IPv4 routes over IPv6 (RFC 8950)"
            }
        }
    }
}
