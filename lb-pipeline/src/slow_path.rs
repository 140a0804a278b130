//! The slow path, which handles every packet.
//!
//! ```text
//! Ethernet, up to two tags, to this link's MAC or, for ARP and NDP, to a group
//! ├─ IPv4, IPv6: to a VIP's port?  ── deliver: ring → slot → owner rule → here, MAC rewrite, or GUE
//! │              GUE to this node? ── check its tag, decapsulate, and deliver as asked by a peer
//! │              IP from a peer?   ── the same, where a packet for a VIP is inside
//! │              ICMP error about a packet from a VIP? ── to the owner of its flow
//! │              echo to a VIP?    ── answer
//! │              S-BFD?            ── reflect a probe, note an answer
//! │              BFD of a router?  ── note it; return an echo
//! │              another port of a VIP? ── port unreachable
//! │              from a client outside the source ranges of a VIP? ── drop, whichever of these it is
//! ├─ ARP request for a VIP?        ── answer
//! ├─ Neighbor Solicitation for a VIP? ── answer
//! └─ anything else                 ── pass untouched
//! ```

use lb_common::verdict::Refusal;
use lb_common::wire::ethernet;

use crate::class::PacketClass;
use crate::icmp_error::report_refusal;
use crate::ip::is_icmp_error;
use crate::link_layer::{is_addressed_here, network_header};
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::tables::configured;
use crate::verdict::{NOT_OURS, Verdict};
use crate::{decapsulate, forward, ndp, relay_tag, undeclared};

/// Processes a packet on the slow path, which handles every packet.
///
/// # Errors
/// The reason for the refusal; [`Refusal::fate`] is what happens to the packet.
#[inline(always)]
pub fn judge_slow<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let Some((ether_type, l3)) = network_header(frame) else { return NOT_OURS };
    packet.reset(l3);
    if ether_type == ethernet::ARP {
        return frame.judge_arp(tables, packet);
    }
    if ether_type == ethernet::IPV6 && ndp::is_solicitation(frame, l3) {
        return frame.judge_ndp(tables, packet);
    }
    if !is_addressed_here(frame, tables) {
        return NOT_OURS;
    }
    let marked = matches!(ether_type, ethernet::ASKED_ONE | ethernet::ASKED_MORE);
    let mut found = match ether_type {
        ethernet::IPV4 | ethernet::IPV6 => frame.read(tables, packet, ether_type)?,
        ethernet::ASKED_ONE | ethernet::ASKED_MORE => relay_tag::read(frame, tables, packet, ether_type)?,
        _ => return NOT_OURS,
    };
    if packet.may_be_closed && !marked && frame.is_undeclared(tables, packet) {
        return undeclared::refuse(frame, tables, packet);
    }
    let tunnel = found;
    let tunnelled = matches!(found, PacketClass::Gue | PacketClass::Ipip);
    if tunnelled {
        let inner = decapsulate::find(frame, tables, packet, tunnel)?;
        if inner == decapsulate::NOT_OURS {
            return NOT_OURS;
        }
        found = match frame.read(tables, packet, inner) {
            Err(refusal) if tunnel == PacketClass::Gue => return Err(decapsulate::drop_unreadable(refusal)),
            other => other?,
        };
    }
    if found == PacketClass::Fragment {
        found = if frame.follow_fragment(tables, packet) { PacketClass::Vip } else { PacketClass::Nothing };
        if found == PacketClass::Vip && !frame.holds(packet.l3, packet.length) {
            return Err(Refusal::BadLength);
        }
    } else if packet.is_first_fragment && found == PacketClass::Vip && tunnel != PacketClass::Gue {
        frame.note_fragment(tables, packet);
    }
    if found == PacketClass::Icmp && is_icmp_error(frame, packet) {
        packet.is_error = true;
        found = match frame.read_icmp_quote(tables, packet) {
            Ok(true) => PacketClass::Vip,
            // A packet between nodes never carries one.
            Err(Refusal::ForeignIcmpError) if tunnelled || marked => PacketClass::Nothing,
            Ok(false) => PacketClass::Nothing,
            Err(refusal) => return Err(refusal),
        };
    }
    if marked {
        if found != PacketClass::Vip {
            return NOT_OURS;
        }
        configured(tables)?;
        relay_tag::restore(frame, packet)?;
    }
    if tunnel == PacketClass::Gue && found == PacketClass::Vip && !frame.authenticate(tables, packet) {
        return Err(Refusal::BadTag);
    }
    if tunnelled && found == PacketClass::Vip {
        decapsulate::open(frame, packet)?;
    }
    match found {
        PacketClass::Vip => report_refusal(forward::forward(frame, tables, packet), frame, tables, packet),
        _ if tunnel == PacketClass::Gue => Err(Refusal::InnerNotVip),
        // The host may have such tunnels of its own, also between nodes.
        _ if tunnel == PacketClass::Ipip => NOT_OURS,
        PacketClass::Icmp => frame.judge_echo(tables, packet),
        PacketClass::Probe => frame.judge_probe(tables, packet, false),
        PacketClass::ProbeAnswer => frame.judge_probe(tables, packet, true),
        PacketClass::Bfd => frame.judge_bfd(tables, packet),
        PacketClass::Gue | PacketClass::Ipip | PacketClass::Fragment | PacketClass::Nothing => NOT_OURS,
    }
}
