//! A packet's way: [`judge_fast`] or else [`judge_slow`] decides and rewrites, and leaves the words of the driver (XDP
//! actions) to its caller.
//!
//! ```text
//! Ethernet, up to two tags, to this link's MAC or, for ARP, to a group
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
//! └─ anything else                 ── pass untouched
//! ```

mod arp;
mod bfd;
mod complain;
mod connection;
mod decapsulate;
mod deliver;
mod echo;
mod encapsulate;
mod fast_path;
mod found;
mod fragment;
mod ipv4;
mod ipv6;
mod marked;
mod outer;
mod packet;
mod probe;
mod quoted;
mod second;
mod sources;
mod undeclared;

pub use bfd::judge_bfd;
pub use complain::{complain, partial_checksum};
pub use connection::read_connection;
pub use decapsulate::authenticate;
pub use deliver::{can_ask, find_to_ask, serve};
pub use echo::judge_echo;
pub use encapsulate::{encapsulate, sign};
pub use fast_path::judge_fast;
pub use found::Found;
pub use fragment::{follow_fragment, note_fragment};
pub use ipv6::{find_v6, walk_v6};
pub use packet::Packet;
pub use probe::judge_probe;
pub use quoted::read_quoted;
pub use sources::is_source_refused;
pub use undeclared::is_undeclared;

use crate::frame::Frame;
use crate::maps::Config;
use crate::ring::NO_NODE;
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::wire::{ethernet, icmp};
use ipv4::holds;
use packet::{Asked, Family};

/// Processes a packet on the slow path, which handles every packet.
///
/// # Errors
/// The reason why it was refused; [`Refusal::fate`] says what happens to it then.
#[inline(always)]
pub fn judge_slow<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
) -> Result<Forward, Refusal> {
    let Some((ether_type, l3)) = network_header(frame) else { return NOT_OURS };
    if ether_type == ethernet::ARP {
        return arp::judge(frame, tables, l3);
    }
    if !is_addressed_here(frame, tables) {
        return NOT_OURS;
    }
    packet.reset(l3);
    let marked = matches!(ether_type, ethernet::ASKED_ONE | ethernet::ASKED_MORE);
    let mut found = match ether_type {
        ethernet::IPV4 | ethernet::IPV6 => frame.read(tables, packet, ether_type)?,
        ethernet::ASKED_ONE | ethernet::ASKED_MORE => marked::read(frame, tables, packet, ether_type)?,
        _ => return NOT_OURS,
    };
    if packet.may_be_closed && !marked && frame.is_undeclared(tables, packet) {
        return undeclared::refuse(frame, tables, packet);
    }
    let tunnel = found;
    let tunnelled = matches!(found, Found::Gue | Found::Ipip);
    if tunnelled {
        let inner = decapsulate::find(frame, tables, packet, tunnel)?;
        if inner == decapsulate::NOT_OURS {
            return NOT_OURS;
        }
        found = match frame.read(tables, packet, inner) {
            Err(refusal) if tunnel == Found::Gue => return Err(decapsulate::drop_unreadable(refusal)),
            other => other?,
        };
    }
    if found == Found::Fragment {
        found = if frame.follow_fragment(tables, packet) { Found::Target } else { Found::Nothing };
        if found == Found::Target && !holds(frame, packet.l3, packet.length) {
            return Err(Refusal::BadLength);
        }
    } else if packet.is_first_fragment && found == Found::Target && tunnel != Found::Gue {
        frame.note_fragment(tables, packet);
    }
    if found == Found::Icmp && is_error(frame, packet) {
        packet.is_error = true;
        found = match frame.read_quoted(tables, packet) {
            Ok(true) => Found::Target,
            // In a packet of the cluster it is none that the cluster moves.
            Err(Refusal::ForeignIcmpError) if tunnelled || marked => Found::Nothing,
            Ok(false) => Found::Nothing,
            Err(refusal) => return Err(refusal),
        };
    }
    if marked {
        if found != Found::Target {
            return NOT_OURS;
        }
        configured(tables)?;
        marked::restore(frame, packet)?;
    }
    if tunnel == Found::Gue && found == Found::Target && !frame.authenticate(tables, packet) {
        return Err(Refusal::BadTag);
    }
    if tunnelled && found == Found::Target {
        decapsulate::open(frame, packet)?;
    }
    match found {
        Found::Target => tell_sender(deliver::judge(frame, tables, packet), frame, tables, packet),
        _ if tunnel == Found::Gue => Err(Refusal::InnerNotVip),
        // The host may have such tunnels of its own, also between nodes of the cluster.
        _ if tunnel == Found::Ipip => NOT_OURS,
        Found::Icmp => frame.judge_echo(tables, packet),
        Found::Probe => frame.judge_probe(tables, packet, true),
        Found::ProbeAnswer => frame.judge_probe(tables, packet, false),
        Found::Bfd => frame.judge_bfd(tables, packet),
        Found::Gue | Found::Ipip | Found::Fragment | Found::Nothing => NOT_OURS,
    }
}

const NOT_OURS: Result<Forward, Refusal> = Ok(Forward::Pass(Outcome::NotOurs));

/// Whether the frame is addressed to the interface that it came in by. A switch that does not know a MAC floods its
/// frames to all nodes, and each that took them for its own would forward them once more.
#[inline(always)]
fn is_addressed_here<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    // As numbers: arrays of bytes would take up the stack.
    let Some(first) = frame.view::<8>(0) else { return false };
    let destination = u64::from_le_bytes(*first) & ethernet::MAC_MASK;
    let Some(config) = tables.config() else { return true };
    let ingress = frame.ingress();
    if let Some(mac) = config.uplink_mac(ingress) {
        return mac == destination;
    }
    // Of an interface that the agent has not told of yet nothing is known.
    tables.link(ingress).is_none_or(|link| link.mac_word() == destination)
}

/// Whether an ICMP message is an error.
#[inline(always)]
fn is_error<F: Frame>(frame: &F, packet: &Packet) -> bool {
    let Some([kind]) = frame.view::<1>(packet.l4) else { return false };
    match packet.family {
        Family::V4 => icmp::is_error(*kind),
        Family::V6 => icmp::is_error_v6(*kind),
    }
}

/// Of two refusals the sender can make something: it is told of them.
///
/// # Errors
/// The refusal, where it is another or the sender cannot or may not be told.
#[inline(always)]
pub fn tell_sender<F: Frame, T: Tables>(
    judgement: Result<Forward, Refusal>,
    frame: &mut F,
    tables: &T,
    packet: &Packet,
) -> Result<Forward, Refusal> {
    match judgement {
        // Never an error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
        Err(refusal @ (Refusal::TtlExpired | Refusal::TooBig)) if !packet.is_error => {
            frame.complain(tables, packet, refusal)
        }
        other => other,
    }
}

/// Reads the IP packet that comes next.
///
/// # Errors
/// That there is none that can be read, or none that its VIP takes.
#[inline(always)]
pub fn read<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut Packet,
    ether_type: [u8; 2],
) -> Result<Found, Refusal> {
    if ether_type == ethernet::IPV4 {
        packet.family = Family::V4;
        ipv4::read(frame, tables, packet)
    } else {
        packet.family = Family::V6;
        ipv6::read(frame, tables, packet)
    }
}

/// EtherType and offset of what the Ethernet header and up to two tags carry; `None` where the frame ends
/// before, or has more tags.
#[inline(always)]
fn network_header<F: Frame>(frame: &F) -> Option<([u8; 2], usize)> {
    let header = frame.view::<{ ethernet::HEADER }>(0)?;
    let mut ether_type = [header[12], header[13]];
    let mut at = ethernet::HEADER;
    for _ in 0..ethernet::MAX_TAGS {
        if !ethernet::is_tag(ether_type) {
            break;
        }
        let tag = frame.view::<{ ethernet::TAG }>(at)?;
        ether_type = [tag[2], tag[3]];
        at += ethernet::TAG;
    }
    Some((ether_type, at))
}

/// The configuration, once the agent has written it.
#[inline(always)]
fn configured<T: Tables>(tables: &T) -> Result<&Config, Refusal> {
    match tables.config() {
        Some(config) if config.self_node != NO_NODE => Ok(config),
        _ => Err(Refusal::NotConfigured),
    }
}
