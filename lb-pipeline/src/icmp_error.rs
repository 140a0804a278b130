//! ICMP errors to the senders of packets: time exceeded, fragmentation needed or packet too big, and port
//! unreachable for undeclared ports of a VIP.
//!
//! The message is built in place: headers are added in front, and the packet is truncated to the quote, as
//! far as the RFCs demand and the linear part reaches.
//!
//! ```text
//! before | MACs | tags | type | IP | …
//! after  | MACs | tags | type | IP to the sender | ICMP | IP | … up to a message of 576 or 1,280 bytes |
//! ```

use lb_common::maps::{Budget, Config};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ip::{self, Family, protocol};
use lb_common::wire::{checksum, ethernet, icmp};

use crate::encapsulate::{Headroom, make_headroom};
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::tables::configured;
use crate::verdict::{Forward, Verdict};

/// Minimum bytes of the transport header in a quote: ports and a sequence number (RFC 792).
const QUOTED: usize = 8;
/// Bytes in front of an IPv4 quote.
const FRONT_V4: usize = ip::V4_HEADER + icmp::HEADER;
/// Bytes in front of an IPv6 quote.
const FRONT_V6: usize = ip::V6_HEADER + icmp::HEADER;
/// Maximum bytes of an IPv4 quote (RFC 1812 section 4.3.2.3).
const MOST_V4: usize = 576 - FRONT_V4;
/// Maximum bytes of an IPv6 quote (RFC 4443 section 2.4).
const MOST_V6: usize = 1280 - FRONT_V6;

/// Answers a packet that is refused for its TTL, size or port and has not been modified.
///
/// # Errors
/// The refusal itself, if no error may be sent.
#[inline(always)]
pub fn send_icmp_error<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &PacketInfo,
    refusal: Refusal,
) -> Verdict {
    let config = configured(tables)?;
    let (sent, budget) = match refusal {
        Refusal::TooBig => (Outcome::TooBigSent, Budget::TooBig),
        Refusal::UndeclaredPort => (Outcome::PortUnreachableSent, Budget::Error),
        _ => (Outcome::TimeExceededSent, Budget::Error),
    };
    let second = tables.now_seconds();
    if !tables.allowance(budget, |left| left.spend(config.icmp_error_rate, second)) {
        return Err(refusal);
    }
    match packet.family {
        Family::V4 => answer_v4(frame, config, packet, refusal)?,
        Family::V6 => answer_v6(frame, config, packet, refusal)?,
    }
    Ok(Forward::Transmit(sent))
}

/// Sends an ICMP error if the verdict is a refusal that the sender can act on.
///
/// # Errors
/// Any other refusal, or this one if no error may be sent.
#[inline(always)]
pub fn report_refusal<F: Subprograms, T: TableSubprograms>(
    verdict: Verdict,
    frame: &mut F,
    tables: &T,
    packet: &PacketInfo,
) -> Verdict {
    match verdict {
        // Never an error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
        Err(refusal @ (Refusal::TtlExpired | Refusal::TooBig)) if !packet.is_error => {
            frame.send_icmp_error(tables, packet, refusal)
        }
        other => other,
    }
}

/// Exchanges the MAC addresses, adds headroom and truncates the packet.
#[inline(always)]
fn turn_round<F: Subprograms>(
    frame: &mut F,
    packet: &PacketInfo,
    front: usize,
    quote: usize,
    ether_type: [u8; 2],
) -> Result<(), Refusal> {
    let macs = ethernet::swapped(*frame.view::<{ ethernet::MACS }>(0).ok_or(Refusal::NoHeadroom)?);
    if !frame.cut_tail(packet.l3 + quote) {
        return Err(Refusal::NoHeadroom);
    }
    make_headroom(frame, packet, Headroom { macs, ether_type, bytes: front })
}

/// Returns the bytes of the packet in the linear part.
#[inline(always)]
fn quotable<F: Subprograms>(frame: &F, packet: &PacketInfo) -> usize {
    frame.linear_len().saturating_sub(packet.l3).min(packet.length as usize)
}

/// Returns the unfolded sum of the 16-bit words of `length` bytes from offset `at`, an odd last byte padded
/// with zero: a part of an Internet checksum (RFC 1071). Bytes behind the linear part do not count.
#[inline(always)]
pub fn partial_checksum<F: Subprograms>(frame: &F, at: usize, length: usize) -> u32 {
    // Large pieces first, and a return at the first missing piece: the verifier follows each exit of both
    // loops.
    const LARGE: usize = 64;
    const SMALL: usize = 4;
    let (mut sum, mut done) = (0, 0);
    for _ in 0..MOST_V6 / LARGE {
        if done + LARGE > length {
            break;
        }
        let Some(bytes) = frame.view::<LARGE>(at + done) else { return sum };
        sum += checksum::sum(bytes);
        done += LARGE;
    }
    for _ in 0..LARGE / SMALL {
        if done + SMALL > length {
            break;
        }
        let Some(bytes) = frame.view::<SMALL>(at + done) else { return sum };
        sum += checksum::sum(bytes);
        done += SMALL;
    }
    if done + 2 <= length {
        let Some(bytes) = frame.view::<2>(at + done) else { return sum };
        sum += checksum::sum(bytes);
        done += 2;
    }
    if done < length {
        sum += frame.view::<1>(at + done).map_or(0, |[last]| u32::from(*last) << 8);
    }
    sum
}

#[inline(always)]
fn answer_v4<F: Subprograms>(
    frame: &mut F,
    config: &Config,
    packet: &PacketInfo,
    refusal: Refusal,
) -> Result<(), Refusal> {
    let to = *frame.view::<4>(packet.l3 + ip::v4::SOURCE).ok_or(refusal)?;
    let [first, _, _, _, _, _, f0, f1] = *frame.view::<8>(packet.l3).ok_or(refusal)?;
    // With options, the eight bytes would be options. Some addresses must not be answered.
    let plain = first == 0x45 && ip::is_answerable_v4(to);
    // Of a fragmented packet, only the first fragment is answered (RFC 1122 section 3.2.2).
    let later_part = u16::from_be_bytes([f0, f1]) & ip::v4::FRAGMENT_OFFSET != 0;
    // The destination itself reports a closed port, and here that is the VIP (RFC 1122 section 3.2.2.1).
    let from = match refusal {
        Refusal::UndeclaredPort => *frame.view::<4>(packet.l3 + ip::v4::DESTINATION).ok_or(refusal)?,
        _ => config.address4,
    };
    if !plain || later_part || from == [0; 4] {
        return Err(refusal);
    }
    let quoted = quotable(frame, packet).min(MOST_V4);
    if quoted < ip::V4_HEADER + QUOTED {
        return Err(refusal);
    }
    turn_round(frame, packet, FRONT_V4, quoted, ethernet::IPV4)?;
    let quote = frame.partial_checksum(packet.l3 + FRONT_V4, quoted);
    let [l0, l1] = ((FRONT_V4 + quoted) as u16).to_be_bytes();
    let first = [0x45, 0, l0, l1, 0, 0, 0, 0, ip::DEFAULT_TTL, protocol::ICMP];
    let sum = checksum::sum(&first) + checksum::sum(&from) + checksum::sum(&to);
    let [c0, c1] = checksum::finish(sum);
    let [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9] = first;
    *frame.view_mut::<12>(packet.l3).ok_or(refusal)? = [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, c0, c1];
    *frame.view_mut::<4>(packet.l3 + ip::v4::SOURCE).ok_or(refusal)? = from;
    *frame.view_mut::<4>(packet.l3 + ip::v4::DESTINATION).ok_or(refusal)? = to;
    let [m0, m1] = (packet.path_mtu as u16).to_be_bytes();
    let message = match refusal {
        // RFC 1191 section 4: the MTU is in the last two bytes.
        Refusal::TooBig => [icmp::FRAGMENTATION_NEEDED[0], icmp::FRAGMENTATION_NEEDED[1], 0, 0, 0, 0, m0, m1],
        Refusal::UndeclaredPort => [icmp::PORT_UNREACHABLE[0], icmp::PORT_UNREACHABLE[1], 0, 0, 0, 0, 0, 0],
        _ => [icmp::TIME_EXCEEDED[0], icmp::TIME_EXCEEDED[1], 0, 0, 0, 0, 0, 0],
    };
    write_message(frame, packet.l3 + ip::V4_HEADER, message, quote)
}

#[inline(always)]
fn answer_v6<F: Subprograms>(
    frame: &mut F,
    config: &Config,
    packet: &PacketInfo,
    refusal: Refusal,
) -> Result<(), Refusal> {
    let to = u128::from_ne_bytes(*frame.view::<16>(packet.l3 + ip::v6::SOURCE).ok_or(refusal)?);
    let from = match refusal {
        Refusal::UndeclaredPort => {
            u128::from_ne_bytes(*frame.view::<16>(packet.l3 + ip::v6::DESTINATION).ok_or(refusal)?)
        }
        _ => u128::from_ne_bytes(config.address6),
    };
    let multicast = to.to_ne_bytes()[0] == 0xff;
    if from == 0 || to == 0 || multicast {
        return Err(refusal);
    }
    let quoted = quotable(frame, packet).min(MOST_V6);
    if quoted < ip::V6_HEADER + QUOTED {
        return Err(refusal);
    }
    turn_round(frame, packet, FRONT_V6, quoted, ethernet::IPV6)?;
    let quote = frame.partial_checksum(packet.l3 + FRONT_V6, quoted);
    let length = (icmp::HEADER + quoted) as u16;
    let [l0, l1] = length.to_be_bytes();
    let first = [0x60, 0, 0, 0, l0, l1, protocol::ICMPV6, ip::DEFAULT_TTL];
    *frame.view_mut::<8>(packet.l3).ok_or(refusal)? = first;
    *frame.view_mut::<16>(packet.l3 + ip::v6::SOURCE).ok_or(refusal)? = from.to_ne_bytes();
    *frame.view_mut::<16>(packet.l3 + ip::v6::DESTINATION).ok_or(refusal)? = to.to_ne_bytes();
    // The sum covers addresses, length and next header too (RFC 8200 section 8.1).
    let addresses = checksum::sum(frame.view::<32>(packet.l3 + ip::v6::SOURCE).ok_or(refusal)?);
    let sum = quote + addresses + u32::from(length) + u32::from(protocol::ICMPV6);
    let [m0, m1, m2, m3] = packet.path_mtu.to_be_bytes();
    let message = match refusal {
        Refusal::TooBig => [icmp::PACKET_TOO_BIG_V6[0], icmp::PACKET_TOO_BIG_V6[1], 0, 0, m0, m1, m2, m3],
        Refusal::UndeclaredPort => {
            [icmp::PORT_UNREACHABLE_V6[0], icmp::PORT_UNREACHABLE_V6[1], 0, 0, 0, 0, 0, 0]
        }
        _ => [icmp::TIME_EXCEEDED_V6[0], icmp::TIME_EXCEEDED_V6[1], 0, 0, 0, 0, 0, 0],
    };
    write_message(frame, packet.l3 + ip::V6_HEADER, message, sum)
}

/// Writes the eight bytes of the message, with the checksum over them and all else that it covers.
#[inline(always)]
fn write_message<F: Subprograms>(
    frame: &mut F,
    at: usize,
    message: [u8; icmp::HEADER],
    covered: u32,
) -> Result<(), Refusal> {
    let [c0, c1] = checksum::finish(covered + checksum::sum(&message));
    let [t, c, _, _, m0, m1, m2, m3] = message;
    *frame.view_mut::<{ icmp::HEADER }>(at).ok_or(Refusal::NoHeadroom)? = [t, c, c0, c1, m0, m1, m2, m3];
    Ok(())
}
