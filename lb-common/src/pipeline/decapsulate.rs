//! GUE to this node: taken from nodes of the cluster only, and only with a packet for a VIP inside.

use super::ipv4::holds;
use super::{Arrival, Found, configured, deliver, ipv4, ipv6};
use crate::frame::Frame;
use crate::tables::Tables;
use crate::verdict::{Fate, Forward, Outcome, Refusal};
use crate::wire::ip::{self, protocol};
use crate::wire::{ethernet, gue};

/// `::ffff:0.0.0.0`, the IPv6 form of IPv4 addresses. Addresses are put together as numbers: from arrays
/// that begin as zeros the compiler makes a loop over bytes.
const V4_MAPPED: u128 = 0xffff << 32;

/// Judges UDP 6080 over IPv4; `udp` is the offset of the UDP header.
#[inline(always)]
pub(super) fn judge_v4<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    l3: usize,
    udp: usize,
) -> Result<Forward, Refusal> {
    let outer = frame.view::<{ ip::V4_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let config = configured(tables)?;
    if outer[16..20] != config.address4 || config.address4 == [0; 4] {
        return Ok(Forward::Pass(Outcome::NotOurs));
    }
    let source = u32::from_be_bytes([outer[12], outer[13], outer[14], outer[15]]);
    let mapped = (V4_MAPPED | u128::from(source)).to_be_bytes();
    let length = u32::from(u16::from_be_bytes([outer[2], outer[3]]));
    judge(frame, tables, &mapped, Outer { l3, udp, length })
}

/// Judges UDP 6080 over IPv6; `udp` is the offset of the UDP header.
#[inline(always)]
pub(super) fn judge_v6<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    l3: usize,
    udp: usize,
) -> Result<Forward, Refusal> {
    let outer = frame.view::<{ ip::V6_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let config = configured(tables)?;
    if outer[24..40] != config.address6 || config.address6 == [0; 16] {
        return Ok(Forward::Pass(Outcome::NotOurs));
    }
    let source = ipv6::source(outer);
    let length = ip::V6_HEADER as u32 + u32::from(u16::from_be_bytes([outer[4], outer[5]]));
    judge(frame, tables, &source, Outer { l3, udp, length })
}

/// Where the headers of the outer packet are, and how long it says it is.
struct Outer {
    l3: usize,
    udp: usize,
    length: u32,
}

#[inline(always)]
fn judge<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    source: &[u8; 16],
    outer: Outer,
) -> Result<Forward, Refusal> {
    if !tables.is_peer_address(source) {
        return Err(Refusal::UnknownPeer);
    }
    if !holds(frame, outer.l3, outer.length) {
        return Err(Refusal::BadGue);
    }
    let header = *frame.view::<{ gue::HEADER }>(outer.udp + ip::UDP_HEADER).ok_or(Refusal::BadGue)?;
    if header[0] & gue::VERSION_AND_CONTROL != 0 {
        return Err(Refusal::BadGue);
    }
    let optional = (header[0] & gue::OPTIONAL_WORDS) as usize * 4;
    let inner = outer.udp + ip::UDP_HEADER + gue::HEADER + optional;
    let ether_type = match header[1] {
        protocol::IPV4 => ethernet::IPV4,
        protocol::IPV6 => ethernet::IPV6,
        _ => return Err(Refusal::BadGue),
    };
    if (inner - outer.l3) as u32 > outer.length {
        return Err(Refusal::BadGue);
    }
    cut(frame, outer.l3, inner - outer.l3, ether_type)?;
    deliver_inner(frame, tables, outer.l3, ether_type).map_err(drop_what_was_cut)
}

/// A refusal that passes a packet passes it as it came. Here that would hand what nobody could read to the
/// stack, without the header that tells who sent it.
#[inline(always)]
fn drop_what_was_cut(refusal: Refusal) -> Refusal {
    match refusal.fate() {
        Fate::Pass => Refusal::BadGue,
        Fate::Drop => refusal,
    }
}

#[inline(always)]
fn deliver_inner<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    l3: usize,
    ether_type: [u8; 2],
) -> Result<Forward, Refusal> {
    let found = if ether_type == ethernet::IPV4 {
        ipv4::find(frame, tables, l3)?
    } else {
        ipv6::find(frame, tables, l3)?
    };
    match found {
        Found::Target(target) => deliver::judge(frame, tables, &target, Arrival::Tunnel),
        Found::Tunnel(_) | Found::Icmp(_) | Found::Nothing => Err(Refusal::InnerNotVip),
    }
}

/// Cuts `by` bytes behind the Ethernet header, which moves with its tags.
#[inline(always)]
fn cut<F: Frame>(frame: &mut F, l3: usize, by: usize, ether_type: [u8; 2]) -> Result<(), Refusal> {
    // Read, move, write: a copy inside the packet would be a memmove, which the verifier cannot follow.
    let head = *frame.view::<{ ethernet::MACS + 2 * ethernet::TAG }>(0).ok_or(Refusal::Truncated)?;
    if !frame.move_head(by as i32) {
        return Err(Refusal::NoHeadroom);
    }
    let [macs @ .., a0, a1, a2, a3, b0, b1, b2, b3] = head;
    *frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)? = macs;
    if l3 > ethernet::HEADER {
        *frame.view_mut::<{ ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::Truncated)? = [a0, a1, a2, a3];
    }
    if l3 > ethernet::HEADER + ethernet::TAG {
        let second = ethernet::MACS + ethernet::TAG;
        *frame.view_mut::<{ ethernet::TAG }>(second).ok_or(Refusal::Truncated)? = [b0, b1, b2, b3];
    }
    *frame.view_mut::<2>(l3 - 2).ok_or(Refusal::Truncated)? = ether_type;
    Ok(())
}
