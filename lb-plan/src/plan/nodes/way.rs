//! The way to a node.

use std::net::IpAddr;

use lb_common::forwarding::ForwardingMode;
use lb_common::maps;
use lb_common::wire::gue;

use crate::model::Node;
use crate::plan::settings::{Facts, Forwarding, Way};
use crate::plan::state::NodePath;
use lb_api::problem::Reason;

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
            Some(entry) if entry.forwarding_mode().is_some() => {
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
            outer_family: 4,
            outer_sum: gue::outer_v4_sum(source.octets(), destination.octets()),
            outer_source: in_first_bytes(source.octets()),
            outer_destination: in_first_bytes(destination.octets()),
            ..maps::Node::NONE
        },
        (IpAddr::V6(source), IpAddr::V6(destination)) => maps::Node {
            outer_family: 6,
            outer_source: source.octets(),
            outer_destination: destination.octets(),
            ..maps::Node::NONE
        },
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(Reason::WayFamilies { address, source_address: way.source });
        }
    };
    let mode = match (forwarding, way.on_link) {
        (Forwarding::Auto, true) => ForwardingMode::L2,
        (Forwarding::Auto, false) => ForwardingMode::Gue,
        (Forwarding::Always(ForwardingMode::L2), false) => return Err(Reason::NotOnLink { address }),
        (Forwarding::Always(mode), _) => mode,
    };
    Ok(maps::Node { mode: mode as u8, ..entry })
}

fn in_first_bytes([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl NodePath {
    /// The path to another node, by its entry.
    pub(super) fn of(entry: &maps::Node) -> Self {
        entry.forwarding_mode().map_or(Self::Unresolved, Self::Mode)
    }
}
