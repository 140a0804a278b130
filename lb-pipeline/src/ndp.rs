//! Neighbor Solicitations for a VIP, which its announcer answers (RFC 4861).
//!
//! ```text
//! before | MACs | tags | type | IPv6 | Neighbor Solicitation | options …
//! after  | MACs | tags | type | IPv6 | Neighbor Advertisement | target link-layer address |
//! ```
//!
//! A solicitation that RFC 4861 section 7.1.1 calls invalid passes to the stack, as does one for any other
//! address.

use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ip::{self, protocol};
use lb_common::wire::{checksum, ethernet, ndp};

use crate::announcer::is_announced_here;
use crate::encapsulate::{Headroom, make_headroom};
use crate::frame::Frame;
use crate::link_layer::is_addressed_here;
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::tables::{Tables, configured};
use crate::verdict::{Forward, NOT_OURS, Verdict};

/// Offset of the ICMPv6 type from the IP header.
const KIND: usize = ip::V6_HEADER;
/// Offset of the target from the IP header.
const TARGET: usize = KIND + 8;
/// The IPv6 header of the reply, up to the addresses.
const FRONT: [u8; ip::v6::SOURCE] =
    [6 << 4, 0, 0, 0, 0, ndp::ADVERTISEMENT_LENGTH as u8, protocol::ICMPV6, ndp::HOP_LIMIT];
/// Bytes of the reply from the IP header on.
const REPLY: usize = ip::V6_HEADER + ndp::ADVERTISEMENT_LENGTH;
/// Options that are read: hosts send at most a link-layer address and a nonce (RFC 3971, RFC 7527).
const MAX_OPTIONS: usize = 4;
/// No link-layer address.
const NONE: u64 = u64::MAX;
/// Maximum bytes of a solicitation that is answered.
const LONGEST: u32 = 128;

/// Returns whether the frame has a Neighbor Solicitation directly behind an IPv6 header, by its types alone.
/// What has passed a router is none.
#[inline(always)]
pub(crate) fn is_solicitation<F: Frame>(frame: &F, l3: usize) -> bool {
    frame.view::<{ KIND + 1 }>(l3).is_some_and(|header| {
        header[6..8] == [protocol::ICMPV6, ndp::HOP_LIMIT] && header[KIND] == ndp::SOLICITATION[0]
    })
}

/// Processes a packet of which `is_solicitation` is true.
///
/// # Errors
/// [`Refusal::NdpNotAnswered`], [`Refusal::NotConfigured`], and those of [`answer_ndp`].
#[inline(always)]
pub fn judge_ndp<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let l3 = packet.l3;
    let Some(target) = frame.view::<16>(l3 + TARGET) else { return NOT_OURS };
    let Some(announcer) = tables.ndp(target) else { return NOT_OURS };
    let Some(asker) = asker(frame, tables, l3) else { return NOT_OURS };
    packet.asker = asker;
    let link = tables.link(frame.ingress()).ok_or(Refusal::NotConfigured)?;
    // Of several uplinks on a LAN, one answers: the sender would use the last of two replies.
    let config = configured(tables)?;
    let is_here = || is_announced_here(tables, config, announcer, |node| tables.announcer_state(node));
    if !announcer.answers_on(link) || !is_here() {
        return Err(Refusal::NdpNotAnswered);
    }
    packet.vip = announcer.number;
    frame.answer_ndp(tables, packet)
}

/// Returns the MAC that the reply goes to, as a number; `None` if the solicitation is invalid or not for this
/// node.
#[inline(always)]
fn asker<F: Subprograms, T: TableSubprograms>(frame: &F, tables: &T, l3: usize) -> Option<u64> {
    let macs = frame.view::<{ ethernet::MACS }>(0)?;
    if !ethernet::is_group(macs[0]) && !is_addressed_here(frame, tables) {
        return None;
    }
    let header = frame.view::<{ ip::V6_HEADER }>(l3)?;
    let length = u32::from(u16::from_be_bytes([header[4], header[5]]));
    // A group is no source (RFC 4291 section 2.7).
    let is_sound = header[0] >> 4 == 6 && header[ip::v6::SOURCE] != ndp::ALL_NODES[0];
    let is_check = number(header, ip::v6::SOURCE) == 0;
    let to = number(header, ip::v6::DESTINATION);
    let message = frame.view::<{ ndp::MESSAGE }>(l3 + KIND)?;
    if !is_sound || message[1] != ndp::SOLICITATION[1] || length < ndp::MESSAGE as u32 || length > LONGEST {
        return None;
    }
    let target = number(message, 8);
    let group = u128::from_ne_bytes(ndp::solicited_node(target.to_ne_bytes()));
    if to != group && (to != target || is_check) {
        return None;
    }
    let end = l3 + ip::V6_HEADER + length as usize;
    if end > frame.linear_len() || !is_checksum_valid(frame, l3, length) {
        return None;
    }
    match source_address(frame, l3 + KIND, length as usize)? {
        // A host that checks for duplicates has no address yet.
        Some(_) if is_check => None,
        Some(mac) => Some(mac),
        None if is_check => Some(word(ndp::multicast_mac(ndp::ALL_NODES))),
        None => frame.view::<8>(4).map(|bytes| u64::from_le_bytes(*bytes) >> 16),
    }
}

#[inline(always)]
const fn word(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// Returns 16 bytes at an offset, as a number: the BPF compiler copies bytes one by one.
#[inline(always)]
fn number<const N: usize>(bytes: &[u8; N], at: usize) -> u128 {
    let mut taken = [0; 16];
    taken.copy_from_slice(&bytes[at..at + 16]);
    u128::from_ne_bytes(taken)
}

/// Returns whether the checksum of the ICMPv6 message is valid (RFC 4443 section 2.3).
#[inline(always)]
fn is_checksum_valid<F: Subprograms>(frame: &F, l3: usize, length: u32) -> bool {
    let Some(addresses) = frame.view::<32>(l3 + ip::v6::SOURCE) else { return false };
    let pseudo = checksum::sum(addresses) + length + u32::from(protocol::ICMPV6);
    let message = frame.partial_checksum(l3 + KIND, length as usize);
    checksum::fold(pseudo + u32::from(checksum::fold(message))) == 0xffff
}

/// Returns the source link-layer address in the options, if there is one; `None` if an option is invalid.
#[inline(always)]
fn source_address<F: Frame>(frame: &F, icmp: usize, length: usize) -> Option<Option<u64>> {
    let (mut at, mut found) = (ndp::MESSAGE, NONE);
    for _ in 0..MAX_OPTIONS {
        if at >= length {
            break;
        }
        let option = frame.view::<{ ndp::OPTION }>(icmp + at)?;
        let [kind, units, mac @ ..] = *option;
        if units == 0 || at + usize::from(units) * 8 > length {
            return None;
        }
        if [kind, units] == ndp::SOURCE_ADDRESS && found == NONE {
            found = word(mac);
        }
        at += usize::from(units) * 8;
    }
    (at >= length).then_some((found != NONE).then_some(found))
}

/// Turns a solicitation for a VIP of this node into the advertisement.
///
/// # Errors
/// [`Refusal::NotConfigured`], [`Refusal::NoHeadroom`], [`Refusal::Truncated`].
#[inline(always)]
pub fn answer_ndp<F: Frame, T: Tables>(frame: &mut F, tables: &T, packet: &PacketInfo) -> Verdict {
    let l3 = packet.l3;
    let mac = tables.link(frame.ingress()).ok_or(Refusal::NotConfigured)?.mac;
    let ([a, b, c, d, e, f, ..], [g, h, i, j, k, l]) = (packet.asker.to_le_bytes(), mac);
    let macs = [a, b, c, d, e, f, g, h, i, j, k, l];
    let header = frame.view::<{ ip::V6_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let source = number(header, ip::v6::SOURCE);
    let target = number(frame.view::<{ ndp::MESSAGE }>(l3 + KIND).ok_or(Refusal::Truncated)?, 8);
    if frame.linear_len() < l3 + REPLY {
        // Only the option is missing: the shortest solicitation has none.
        let room = Headroom { macs, ether_type: ethernet::IPV6, bytes: ndp::OPTION };
        make_headroom(frame, packet, room)?;
    } else {
        *frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)? = macs;
    }
    if !frame.cut_tail(l3 + REPLY) {
        return Err(Refusal::NoHeadroom);
    }
    write(frame, l3, [source, target], mac).ok_or(Refusal::Truncated)?;
    tables.count_l2(packet.vip);
    Ok(Forward::Transmit(Outcome::NdpAnswered))
}

/// Writes the advertisement, from the IP header on.
#[inline(always)]
fn write<F: Frame>(frame: &mut F, l3: usize, [source, target]: [u128; 2], mac: [u8; 6]) -> Option<()> {
    let is_check = source == 0;
    let to = if is_check { u128::from_ne_bytes(ndp::ALL_NODES) } else { source };
    let header = frame.view_mut::<{ ip::V6_HEADER }>(l3)?;
    let (front, addresses) = header.split_at_mut(ip::v6::SOURCE);
    front.copy_from_slice(&FRONT);
    let (from, destination) = addresses.split_at_mut(16);
    from.copy_from_slice(&target.to_ne_bytes());
    destination.copy_from_slice(&to.to_ne_bytes());
    let flags = if is_check { ndp::OVERRIDE } else { ndp::SOLICITED | ndp::OVERRIDE };
    let ([kind, code], [option, units]) = (ndp::ADVERTISEMENT, ndp::TARGET_ADDRESS);
    let [m0, m1, m2, m3, m4, m5] = mac;
    let message = frame.view_mut::<{ ndp::ADVERTISEMENT_LENGTH }>(l3 + KIND)?;
    let (front, rest) = message.split_at_mut(8);
    front.copy_from_slice(&[kind, code, 0, 0, flags, 0, 0, 0]);
    let (about, address) = rest.split_at_mut(16);
    about.copy_from_slice(&target.to_ne_bytes());
    address.copy_from_slice(&[option, units, m0, m1, m2, m3, m4, m5]);
    let sum = checksum::sum(frame.view::<32>(l3 + ip::v6::SOURCE)?)
        + checksum::sum(frame.view::<{ ndp::ADVERTISEMENT_LENGTH }>(l3 + KIND)?)
        + (ndp::ADVERTISEMENT_LENGTH as u32 + protocol::ICMPV6 as u32);
    *frame.view_mut::<2>(l3 + KIND + 2)? = checksum::finish(sum);
    Some(())
}
