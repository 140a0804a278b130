//! A packet for a VIP: which node is it for, and how does it get there.

use super::{Arrival, Family, Target, configured, encapsulate};
use crate::frame::Frame;
use crate::maps::{Node, way};
use crate::ring::{NO_NODE, leader_of};
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::wire::checksum;

/// Offsets of TTL, header checksum and hop limit in their headers.
const V4_TTL: usize = 8;
const V6_HOP_LIMIT: usize = 7;

#[inline(always)]
pub(super) fn judge<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    target: &Target,
    arrival: Arrival,
) -> Result<Forward, Refusal> {
    let config = configured(tables)?;
    let slot = target.vip.ring.wrapping_add(target.hash as u32 & target.vip.mask);
    let leader = leader_of(tables.slot_order(slot).ok_or(Refusal::NoSlot)?);
    tables.count_vip(target.vip.number, target.length);
    if arrival == Arrival::Tunnel {
        return Ok(Forward::Pass(Outcome::Decapsulated));
    }
    if leader == config.self_node {
        return Ok(Forward::Pass(Outcome::Local));
    }
    // A peer has chosen this node. To choose again, by a ring that differs from the peer's for a moment,
    // could send the packet back and forth.
    if is_from_peer(frame, tables) {
        return Ok(Forward::Pass(Outcome::LocalFromPeer));
    }
    if leader == NO_NODE {
        return Err(Refusal::NoLiveNode);
    }
    let node = tables.node(leader).ok_or(Refusal::NoWay)?;
    let outcome = send(frame, node, target)?;
    tables.count_node(leader, target.length);
    Ok(if node.ifindex == frame.ingress() {
        Forward::Transmit(outcome)
    } else {
        Forward::Redirect(outcome, node.ifindex)
    })
}

#[inline(always)]
fn is_from_peer<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    let Some(macs) = frame.view::<12>(0) else { return false };
    tables.is_peer_mac(&[macs[6], macs[7], macs[8], macs[9], macs[10], macs[11], 0, 0])
}

#[inline(always)]
fn send<F: Frame>(frame: &mut F, node: &Node, target: &Target) -> Result<Outcome, Refusal> {
    match node.way {
        way::L2 => {
            decrement_ttl(frame, target)?;
            let macs = frame.view_mut::<12>(0).ok_or(Refusal::Truncated)?;
            write_macs(macs, node);
            Ok(Outcome::ForwardedL2)
        }
        way::GUE4 => {
            encapsulate::check_size(node, target, encapsulate::GUE4_OVERHEAD)?;
            decrement_ttl(frame, target)?;
            encapsulate::gue4(frame, node, target)
        }
        way::GUE6 => {
            encapsulate::check_size(node, target, encapsulate::GUE6_OVERHEAD)?;
            decrement_ttl(frame, target)?;
            encapsulate::gue6(frame, node, target)
        }
        _ => Err(Refusal::NoWay),
    }
}

/// Destination and source MAC of a frame to the next hop of `node`.
#[inline(always)]
pub(super) fn write_macs(macs: &mut [u8; 12], node: &Node) {
    let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (node.next_hop_mac, node.source_mac);
    *macs = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5];
}

/// Forwarding is a hop, so a packet that two nodes pass to each other dies (RFC 1812 section 5.3.1,
/// RFC 8200 section 3).
#[inline(always)]
fn decrement_ttl<F: Frame>(frame: &mut F, target: &Target) -> Result<(), Refusal> {
    match target.family {
        Family::V4 => {
            // TTL, protocol, header checksum.
            let fields = frame.view_mut::<4>(target.l3 + V4_TTL).ok_or(Refusal::Truncated)?;
            let [ttl, protocol, c0, c1] = *fields;
            if ttl <= 1 {
                return Err(Refusal::TtlExpired);
            }
            let [c0, c1] = checksum::update([c0, c1], [ttl, protocol], [ttl - 1, protocol]);
            *fields = [ttl - 1, protocol, c0, c1];
        }
        Family::V6 => {
            let [hop_limit] = frame.view_mut::<1>(target.l3 + V6_HOP_LIMIT).ok_or(Refusal::Truncated)?;
            if *hop_limit <= 1 {
                return Err(Refusal::TtlExpired);
            }
            *hop_limit -= 1;
        }
    }
    Ok(())
}
