//! ICMP and ICMPv6 echo requests to a VIP. The node that they reach answers clients that a Service of the VIP
//! admits.

use lb_common::maps::{Budget, VIP_CLOSED, VIP_ECHO, Vip, Vip4Key, Vip6Key};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ip::Family;
use lb_common::wire::{checksum, ethernet, icmp, ip};

use crate::packet::PacketInfo;
use crate::sources;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::verdict::{Forward, NOT_OURS, Verdict};

/// Processes ICMP directly behind an IP header without options or extensions.
///
/// # Errors
/// [`Refusal::EchoNotAnswered`], [`Refusal::EchoDropped`], [`Refusal::SourceRefused`],
/// [`Refusal::Truncated`].
#[inline(always)]
pub fn judge_echo<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    match packet.family {
        Family::V4 => judge_v4(frame, tables, packet),
        Family::V6 => judge_v6(frame, tables, packet),
    }
}

/// Processes ICMP behind an IPv4 header without options.
#[inline(always)]
fn judge_v4<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let (l3, at) = (packet.l3, packet.l4);
    let header = *frame.view::<{ ip::V4_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let Some(message) = frame.view::<{ icmp::ECHO_HEADER }>(at) else { return NOT_OURS };
    if [message[0], message[1]] != icmp::ECHO_REQUEST {
        return NOT_OURS;
    }
    let [s, d] =
        [[header[12], header[13], header[14], header[15]], [header[16], header[17], header[18], header[19]]];
    let Some(vip) = tables.vip4(&Vip4Key::address(d)) else { return NOT_OURS };
    packet.note_vip(vip);
    sources::check(frame, tables, packet)?;
    let length = u32::from(u16::from_be_bytes([header[2], header[3]]));
    let fits = length >= (ip::V4_HEADER + icmp::ECHO_HEADER) as u32 && frame.holds(l3, length);
    if !fits || !ip::is_answerable_v4(s) || vip.flags & VIP_ECHO == 0 || !may_answer(tables) {
        return Err(not_answered(vip));
    }
    let [ttl, protocol, c0, c1] =
        ip::with_ttl([header[8], header[9], header[10], header[11]], ip::DEFAULT_TTL);
    let rest = [ttl, protocol, c0, c1, d[0], d[1], d[2], d[3], s[0], s[1], s[2], s[3]];
    *frame.view_mut::<12>(l3 + ip::v4::TTL).ok_or(Refusal::Truncated)? = rest;
    answer(frame, at, icmp::ECHO_REQUEST, icmp::ECHO_REPLY)
}

/// Processes ICMPv6 directly behind the IPv6 header.
#[inline(always)]
fn judge_v6<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let (l3, at) = (packet.l3, packet.l4);
    let header = frame.view::<{ ip::V6_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let length = ip::V6_HEADER as u32 + u32::from(u16::from_be_bytes([header[4], header[5]]));
    let Some(message) = frame.view::<{ icmp::ECHO_HEADER }>(at) else { return NOT_OURS };
    if [message[0], message[1]] != icmp::ECHO_REQUEST_V6 {
        return NOT_OURS;
    }
    let source = *frame.view::<16>(l3 + ip::v6::SOURCE).ok_or(Refusal::Truncated)?;
    let destination = *frame.view::<16>(l3 + ip::v6::DESTINATION).ok_or(Refusal::Truncated)?;
    let multicast = header[8] == 0xff;
    let Some(vip) = tables.vip6(&Vip6Key::address(destination)) else { return NOT_OURS };
    packet.note_vip(vip);
    sources::check(frame, tables, packet)?;
    let fits = length >= (ip::V6_HEADER + icmp::ECHO_HEADER) as u32 && frame.holds(l3, length);
    let answerable = !multicast && u128::from_ne_bytes(source) != 0;
    if !fits || !answerable || vip.flags & VIP_ECHO == 0 || !may_answer(tables) {
        return Err(not_answered(vip));
    }
    *frame.view_mut::<1>(l3 + ip::v6::HOP_LIMIT).ok_or(Refusal::Truncated)? = [ip::DEFAULT_TTL];
    *frame.view_mut::<16>(l3 + ip::v6::SOURCE).ok_or(Refusal::Truncated)? = destination;
    *frame.view_mut::<16>(l3 + ip::v6::DESTINATION).ok_or(Refusal::Truncated)? = source;
    answer(frame, at, icmp::ECHO_REQUEST_V6, icmp::ECHO_REPLY_V6)
}

/// Returns the refusal of a request: to a closed VIP, it is for no other process on this node.
#[inline(always)]
const fn not_answered(vip: Vip) -> Refusal {
    if vip.flags & VIP_CLOSED == 0 { Refusal::EchoNotAnswered } else { Refusal::EchoDropped }
}

/// Limits the rate: the sender chooses content and destination of a reply.
#[inline(always)]
fn may_answer<T: TableSubprograms>(tables: &T) -> bool {
    let Some(config) = tables.config() else { return false };
    let second = tables.now_seconds();
    tables.allowance(Budget::Echo, |left| left.spend(config.echo_rate, second))
}

#[inline(always)]
fn answer<F: Subprograms>(frame: &mut F, at: usize, from: [u8; 2], to: [u8; 2]) -> Verdict {
    let message = frame.view_mut::<4>(at).ok_or(Refusal::Truncated)?;
    let [c0, c1] = checksum::update([message[2], message[3]], from, to);
    *message = [to[0], to[1], c0, c1];
    let macs = frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)?;
    *macs = ethernet::swapped(*macs);
    Ok(Forward::Transmit(Outcome::EchoAnswered))
}
