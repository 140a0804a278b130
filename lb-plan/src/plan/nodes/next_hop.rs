//! The node's entry with its resolved next hop.

use std::net::IpAddr;

use lb_common::forwarding::ForwardingMode;
use lb_common::maps;
use lb_common::wire::gue;

use crate::plan::settings::{Facts, Forwarding, NextHop};
use crate::plan::status::NodePath;
use lb_api::problem::PlanReason;
use lb_model::Node;

/// A node's entry, and its origin.
pub(super) struct Resolved {
    pub(super) entry: maps::Node,
    /// MAC that its frames come from, if it is on-link.
    pub(super) on_link_mac: Option<[u8; 6]>,
    /// Whether the entry is the installed one, for lack of a better.
    pub(super) is_kept: bool,
}

impl Resolved {
    /// This machine: no packets are forwarded to it.
    pub(super) const OWN: Self = Self::UNREACHABLE;
    /// There is no next hop.
    pub(super) const UNREACHABLE: Self = Self { entry: maps::Node::NONE, on_link_mac: None, is_kept: false };
}

/// Resolves the entry of another node. An unresolved node keeps its installed entry: a neighbor entry that is
/// being refreshed is no reason to stop forwarding.
///
/// # Errors
/// There is a next hop, but it cannot be used.
pub(super) fn resolve(
    node: &Node,
    facts: &Facts,
    forwarding: Forwarding,
    installed: Option<&maps::Node>,
) -> Result<Resolved, PlanReason> {
    let address = node.primary();
    let Some(next_hop) = facts.next_hops.get(&address) else {
        return Ok(match installed {
            Some(entry) if entry.forwarding_mode().is_some() => {
                Resolved { entry: *entry, on_link_mac: None, is_kept: true }
            }
            _ => Resolved::UNREACHABLE,
        });
    };
    let ifindex = next_hop.ifindex;
    let uplink = facts.uplinks.get(&ifindex).ok_or(PlanReason::NotAnUplink { address, ifindex })?;
    let entry = maps::Node {
        mtu: next_hop.mtu,
        ifindex,
        next_hop_mac: next_hop.next_hop_mac,
        source_mac: uplink.mac,
        ..outer(next_hop, address, forwarding)?
    };
    Ok(Resolved { entry, on_link_mac: next_hop.on_link.then_some(next_hop.next_hop_mac), is_kept: false })
}

/// Returns the entry with the forwarding mode and its outer header.
fn outer(next_hop: &NextHop, address: IpAddr, forwarding: Forwarding) -> Result<maps::Node, PlanReason> {
    let entry = match (next_hop.source, address) {
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
            return Err(PlanReason::WayFamilies { address, source_address: next_hop.source });
        }
    };
    let mode = match (forwarding, next_hop.on_link) {
        (Forwarding::Auto, true) => ForwardingMode::L2,
        (Forwarding::Auto, false) => ForwardingMode::Gue,
        (Forwarding::Always(ForwardingMode::L2), false) => return Err(PlanReason::NotOnLink { address }),
        (Forwarding::Always(mode), _) => mode,
    };
    Ok(maps::Node { mode: mode as u8, ..entry })
}

fn in_first_bytes([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl NodePath {
    /// Returns the path to another node, by its entry.
    pub(super) fn of(entry: &maps::Node) -> Self {
        entry.forwarding_mode().map_or(Self::Unresolved, Self::Mode)
    }
}
