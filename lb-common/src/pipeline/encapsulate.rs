//! GUE in front of a packet: outer IP, UDP 6080, four bytes of GUE.
//!
//! ```text
//! before  | MACs | tags | type | inner …
//! after   | MACs | tags | type | outer IP | UDP | GUE | inner …
//! ```

use super::deliver::write_macs;
use super::{Family, Target};
use crate::frame::Frame;
use crate::maps::Node;
use crate::verdict::{Outcome, Refusal};
use crate::wire::ip::{self, protocol};
use crate::wire::{checksum, ethernet, gue};

const UDP_AND_GUE: usize = ip::UDP_HEADER + gue::HEADER;
/// Bytes that GUE over IPv4 adds.
pub(super) const GUE4_OVERHEAD: usize = ip::V4_HEADER + UDP_AND_GUE;
/// Bytes that GUE over IPv6 adds.
pub(super) const GUE6_OVERHEAD: usize = ip::V6_HEADER + UDP_AND_GUE;

/// Refuses what would not fit the way to the node.
#[inline(always)]
pub(super) fn check_size(node: &Node, target: &Target, overhead: usize) -> Result<(), Refusal> {
    if target.length + overhead as u32 > u32::from(node.mtu) { Err(Refusal::TooBig) } else { Ok(()) }
}

#[inline(always)]
pub(super) fn gue4<F: Frame>(frame: &mut F, node: &Node, target: &Target) -> Result<Outcome, Refusal> {
    let class = traffic_class(frame, target)?;
    make_room(frame, node, target.l3, GUE4_OVERHEAD, ethernet::IPV4)?;
    let outer = frame.view_mut::<{ ip::V4_HEADER }>(target.l3).ok_or(Refusal::NoHeadroom)?;
    let [l0, l1] = ((target.length + GUE4_OVERHEAD as u32) as u16).to_be_bytes();
    let [c0, c1] = checksum::finish(node.outer_sum + u32::from(class) + target.length + GUE4_OVERHEAD as u32);
    let (s, d) = (node.outer_source, node.outer_destination);
    *outer = [
        0x45,
        class,
        l0,
        l1,
        0,
        0,
        gue::OUTER_V4_FRAGMENT[0],
        gue::OUTER_V4_FRAGMENT[1],
        ip::DEFAULT_TTL,
        protocol::UDP,
        c0,
        c1,
        s[0],
        s[1],
        s[2],
        s[3],
        d[0],
        d[1],
        d[2],
        d[3],
    ];
    write_udp_and_gue(frame, target, target.l3 + ip::V4_HEADER)
}

#[inline(always)]
pub(super) fn gue6<F: Frame>(frame: &mut F, node: &Node, target: &Target) -> Result<Outcome, Refusal> {
    let class = traffic_class(frame, target)?;
    make_room(frame, node, target.l3, GUE6_OVERHEAD, ethernet::IPV6)?;
    let [l0, l1] = ((target.length + UDP_AND_GUE as u32) as u16).to_be_bytes();
    // The flow label carries the flow's entropy for fabrics that hash it (RFC 6438).
    let label = target.hash.to_le_bytes();
    let first = [
        0x60 | (class >> 4),
        (class << 4) | (label[5] & 0x0f),
        label[6],
        label[7],
        l0,
        l1,
        protocol::UDP,
        ip::DEFAULT_TTL,
    ];
    *frame.view_mut::<8>(target.l3).ok_or(Refusal::NoHeadroom)? = first;
    // As numbers: from one memory to another the compiler copies bytes one by one.
    let [source, destination] = [node.outer_source, node.outer_destination].map(u128::from_ne_bytes);
    *frame.view_mut::<16>(target.l3 + 8).ok_or(Refusal::NoHeadroom)? = source.to_ne_bytes();
    *frame.view_mut::<16>(target.l3 + 24).ok_or(Refusal::NoHeadroom)? = destination.to_ne_bytes();
    write_udp_and_gue(frame, target, target.l3 + ip::V6_HEADER)
}

/// DSCP and ECN of the inner packet, which the outer one takes over (RFC 6040 section 4.1).
#[inline(always)]
fn traffic_class<F: Frame>(frame: &F, target: &Target) -> Result<u8, Refusal> {
    let [first, second] = *frame.view::<2>(target.l3).ok_or(Refusal::Truncated)?;
    Ok(match target.family {
        Family::V4 => second,
        Family::V6 => (first << 4) | (second >> 4),
    })
}

/// Moves the Ethernet header, with its tags, `overhead` bytes to the front and writes what is new in it.
#[inline(always)]
fn make_room<F: Frame>(
    frame: &mut F,
    node: &Node,
    l3: usize,
    overhead: usize,
    ether_type: [u8; 2],
) -> Result<(), Refusal> {
    let tags = *frame.view::<{ 2 * ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::Truncated)?;
    if !frame.move_head(-(overhead as i32)) {
        return Err(Refusal::NoHeadroom);
    }
    write_macs(frame.view_mut::<12>(0).ok_or(Refusal::NoHeadroom)?, node);
    // With fewer tags than two this writes too much; the type and the outer header then go over it.
    *frame.view_mut::<{ 2 * ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::NoHeadroom)? = tags;
    *frame.view_mut::<2>(l3 - 2).ok_or(Refusal::NoHeadroom)? = ether_type;
    Ok(())
}

#[inline(always)]
fn write_udp_and_gue<F: Frame>(frame: &mut F, target: &Target, at: usize) -> Result<Outcome, Refusal> {
    let [s0, s1] =
        (gue::SOURCE_PORT_BASE | ((target.hash >> 32) as u16 & !gue::SOURCE_PORT_BASE)).to_be_bytes();
    let [l0, l1] = ((target.length + UDP_AND_GUE as u32) as u16).to_be_bytes();
    let inner = match target.family {
        Family::V4 => protocol::IPV4,
        Family::V6 => protocol::IPV6,
    };
    // No UDP checksum: the inner packet has its own (RFC 6935 for IPv6).
    let header = [s0, s1, gue::PORT[0], gue::PORT[1], l0, l1, 0, 0, 0, inner, 0, 0];
    *frame.view_mut::<UDP_AND_GUE>(at).ok_or(Refusal::NoHeadroom)? = header;
    Ok(Outcome::ForwardedGue)
}
