//! A packet's way: [`judge`] decides and rewrites, and leaves the words of the driver (XDP actions) to its
//! caller.
//!
//! ```text
//! Ethernet, up to two tags
//! ├─ IPv4, IPv6: to a VIP's port?  ── deliver: ring → slot → leader → here, MAC rewrite, or GUE
//! │              GUE to this node? ── decapsulate, and here
//! │              echo to a VIP?    ── answer
//! ├─ ARP request for a VIP?        ── answer
//! └─ anything else                 ── pass untouched
//! ```

mod arp;
mod decapsulate;
mod deliver;
mod echo;
mod encapsulate;
mod ipv4;
mod ipv6;

use crate::frame::Frame;
use crate::maps::{Config, Vip};
use crate::ring::NO_NODE;
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::wire::ethernet;

/// Judges one packet and rewrites it where that is its lot.
///
/// # Errors
/// The reason why it was refused; [`Refusal::fate`] says what happens to it then.
#[inline(always)]
pub fn judge<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Forward, Refusal> {
    let Some((ether_type, l3)) = network_header(frame) else {
        return Ok(Forward::Pass(Outcome::NotOurs));
    };
    match ether_type {
        ethernet::IPV4 => ipv4::judge(frame, tables, l3),
        ethernet::IPV6 => ipv6::judge(frame, tables, l3),
        ethernet::ARP => arp::judge(frame, tables, l3),
        _ => Ok(Forward::Pass(Outcome::NotOurs)),
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

/// What a look at the IP header and the ports has found.
enum Found {
    /// A packet for a VIP.
    Target(Target),
    /// UDP to the port of GUE; the offset of the UDP header.
    Tunnel(usize),
    /// ICMP or ICMPv6 without anything between the headers; its offset.
    Icmp(usize),
    /// None of our business.
    Nothing,
}

/// A packet for a VIP, and what delivery needs to know of it.
struct Target {
    vip: Vip,
    hash: u64,
    family: Family,
    /// Offset of the IP header.
    l3: usize,
    /// Bytes of the IP packet, as its header says; not more than the frame holds.
    length: u32,
}

/// IP version of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Where a packet for a VIP comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// From the network.
    Wire,
    /// Out of an encapsulation by a node of the cluster.
    Tunnel,
}
