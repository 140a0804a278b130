//! Received frames of ARP and Neighbor Discovery, as far as they claim an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::wire::ip::protocol;
use lb_common::wire::{arp, checksum, ethernet, ip, ndp};

use crate::frame::sum;

/// An address that a host on the link uses or wants to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// The host's MAC address.
    pub mac: [u8; 6],
    /// The host only asks whether another one uses the address, and does not use it yet.
    pub is_probe: bool,
}

/// Returns the claim of a frame, which begins with the Ethernet header; `None` if it claims nothing or is
/// invalid. Up to two VLAN tags are skipped.
pub fn read_claim(frame: &[u8]) -> Option<Claim> {
    let (macs, mut rest) = frame.split_first_chunk::<{ ethernet::MACS }>()?;
    let [.., s0, s1, s2, s3, s4, s5] = *macs;
    let source = [s0, s1, s2, s3, s4, s5];
    for _ in 0..ethernet::MAX_TAGS {
        match rest.first_chunk() {
            Some(ether_type) if ethernet::is_tag(*ether_type) => rest = rest.get(ethernet::TAG..)?,
            _ => break,
        }
    }
    let (ether_type, packet) = rest.split_first_chunk()?;
    let claim = match *ether_type {
        ethernet::ARP => arp_claim(packet),
        ethernet::IPV6 => ndp_claim(source, packet),
        _ => None,
    }?;
    is_of_a_host(claim.mac).then_some(claim)
}

/// Returns whether a host can have this MAC address.
const fn is_of_a_host(mac: [u8; 6]) -> bool {
    !ethernet::is_group(mac[0]) && !matches!(mac, [0, 0, 0, 0, 0, 0])
}

/// Reads an ARP packet: a sender claims its address, and a probe (RFC 5227 section 2.1.1) its target.
fn arp_claim(packet: &[u8]) -> Option<Claim> {
    let packet = packet.first_chunk::<{ arp::LENGTH }>()?;
    let (head, [m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, _, _, _, _, _, _, t0, t1, t2, t3]) =
        packet.split_first_chunk::<8>().and_then(|(head, rest)| Some((*head, *rest.first_chunk::<20>()?)))?;
    let (sender, target) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(t0, t1, t2, t3));
    let is_probe = sender.is_unspecified();
    let address = if is_probe { target } else { sender };
    let is_valid = head == arp::REQUEST || head == arp::REPLY && !is_probe;
    let claim = Claim { address: address.into(), mac: [m0, m1, m2, m3, m4, m5], is_probe };
    (is_valid && !address.is_unspecified()).then_some(claim)
}

/// Reads a message of Neighbor Discovery: an advertisement, or the solicitation of a host that checks for
/// duplicates (RFC 4862 section 5.4.3). It must be valid (RFC 4861 sections 7.1.1 and 7.1.2).
fn ndp_claim(source_mac: [u8; 6], packet: &[u8]) -> Option<Claim> {
    let (header, rest) = packet.split_first_chunk::<{ ip::V6_HEADER }>()?;
    let [v, _, _, _, l0, l1, next, hops, addresses @ ..] = header;
    let is_sound = v >> 4 == 6 && *next == protocol::ICMPV6 && *hops == ndp::HOP_LIMIT;
    let length = u16::from_be_bytes([*l0, *l1]);
    let message = rest.get(..usize::from(length)).filter(|_| is_sound)?;
    let (fixed, options) = message.split_first_chunk::<{ ndp::MESSAGE }>()?;
    let pseudo_header = sum(addresses) + u32::from(length) + u32::from(protocol::ICMPV6);
    if checksum::fold(pseudo_header + sum(message)) != 0xffff {
        return None;
    }
    let [kind, code, _, _, _, _, _, _, target @ ..] = *fixed;
    let address = Ipv6Addr::from(target);
    let from = addresses.first_chunk::<16>()?;
    let option = |wanted| option_mac(options, wanted);
    let (mac, is_probe) = match [kind, code] {
        ndp::ADVERTISEMENT => (option(ndp::TARGET_ADDRESS)?.unwrap_or(source_mac), false),
        // With an option it would be invalid.
        ndp::SOLICITATION if *from == [0; 16] && option(ndp::SOURCE_ADDRESS)?.is_none() => (source_mac, true),
        _ => return None,
    };
    (!address.is_multicast() && !address.is_unspecified()).then_some(Claim {
        address: address.into(),
        mac,
        is_probe,
    })
}

/// Returns the Ethernet address in the first option with this type and length, if there is one; `None` if an
/// option is invalid.
fn option_mac(mut options: &[u8], wanted: [u8; 2]) -> Option<Option<[u8; 6]>> {
    while !options.is_empty() {
        let [kind, units] = *options.first_chunk()?;
        let option = options.get(..usize::from(units) * 8).filter(|_| units != 0)?;
        if [kind, units] == wanted {
            return option.last_chunk().map(|mac| Some(*mac));
        }
        options = options.get(option.len()..)?;
    }
    Some(None)
}

#[cfg(test)]
mod tests;
