//! The way to a node.

use std::net::IpAddr;

use lb_common::maps::{self, way};
use lb_common::wire::gue;

use crate::plan::settings::{Facts, Forwarding, Way};
use crate::plan::status::WayWord;
use lb_api::problem::Reason;
use lb_model::Node;

/// A node's entry, and how it came about.
pub(super) struct Resolved {
    pub(super) entry: maps::Node,
    /// MAC that its frames come from, where no router is between.
    pub(super) on_link_mac: Option<[u8; 6]>,
    /// Whether the entry is the installed one, for lack of a better.
    pub(super) is_kept: bool,
}

impl Resolved {
    /// This machine: nothing is sent to it.
    pub(super) const OWN: Self = Self::NOWHERE;
    /// There is no way.
    pub(super) const NOWHERE: Self = Self { entry: maps::Node::NONE, on_link_mac: None, is_kept: false };
}

/// The way to another node. One that is not resolved now keeps the entry that is installed: a neighbour entry
/// that is being refreshed is no reason to stop.
///
/// # Errors
/// There is a way, and it cannot be used.
pub(super) fn resolve(
    node: &Node,
    facts: &Facts,
    forwarding: Forwarding,
    installed: Option<&maps::Node>,
) -> Result<Resolved, Reason> {
    let address = node.primary();
    let Some(way) = facts.ways.get(&address) else {
        return Ok(match installed {
            Some(entry) if entry.way != way::NONE => {
                Resolved { entry: *entry, on_link_mac: None, is_kept: true }
            }
            _ => Resolved::NOWHERE,
        });
    };
    let ifindex = way.ifindex;
    let uplink = facts.uplinks.get(&ifindex).ok_or(Reason::NotAnUplink { address, ifindex })?;
    let entry = maps::Node {
        mtu: way.mtu,
        ifindex,
        next_hop_mac: way.next_hop_mac,
        source_mac: uplink.mac,
        ..outer(way, address, forwarding)?
    };
    Ok(Resolved { entry, on_link_mac: way.on_link.then_some(way.next_hop_mac), is_kept: false })
}

/// The kind of way, with the outer header that it would have.
fn outer(way: &Way, address: IpAddr, forwarding: Forwarding) -> Result<maps::Node, Reason> {
    let entry = match (way.source, address) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => maps::Node {
            way: way::GUE4,
            outer_family: 4,
            outer_sum: gue::outer_v4_sum(source.octets(), destination.octets()),
            outer_source: in_first_bytes(source.octets()),
            outer_destination: in_first_bytes(destination.octets()),
            ..maps::Node::NONE
        },
        (IpAddr::V6(source), IpAddr::V6(destination)) => maps::Node {
            way: way::GUE6,
            outer_family: 6,
            outer_source: source.octets(),
            outer_destination: destination.octets(),
            ..maps::Node::NONE
        },
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(Reason::WayFamilies { address, source_address: way.source });
        }
    };
    match (forwarding, way.on_link) {
        (Forwarding::Auto | Forwarding::L2, true) => Ok(maps::Node { way: way::L2, ..entry }),
        (Forwarding::L2, false) => Err(Reason::NotOnLink { address }),
        (Forwarding::Auto, false) | (Forwarding::Gue, _) => Ok(entry),
        (Forwarding::Ipip, _) => {
            let way = if entry.outer_family == 4 { way::IPIP4 } else { way::IPIP6 };
            Ok(maps::Node { way, ..entry })
        }
    }
}

fn in_first_bytes([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl WayWord {
    /// The word for the entry of another node.
    pub(super) fn of(entry: &maps::Node) -> Self {
        match entry.way {
            way::L2 => Self::L2,
            way::GUE4 | way::GUE6 => Self::Gue,
            way::IPIP4 | way::IPIP6 => Self::Ipip,
            _ => Self::Unresolved,
        }
    }
}
