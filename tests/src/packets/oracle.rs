//! An oracle for packets that must pass, with a parser of its own.
//!
//! It errs on one side: a packet that it calls foreign must pass unmodified; the others may, too.

mod ndp;

use etherparse::{
    ArpOperation, ArpPacketSlice, EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice,
    Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice, ether_type,
};
use lb_common::maps::{
    BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdSession, CONFIG_IPIP, VIP_CLOSED,
    Vip4Key, Vip6Key,
};

use crate::kernel::INGRESS;
use crate::model::{HostTables, Packet};

/// Returns whether the packet is for another MAC, or is none of these: a packet to a served or refused port
/// of a VIP; a fragment, an ARP request, a Neighbor Solicitation or an echo request for a VIP; an ICMP error
/// to a VIP about its own packet; GUE or S-BFD from another node to this one; BFD that the agent would
/// refuse.
pub fn is_foreign(tables: &HostTables, packet: &Packet) -> bool {
    let readable = packet.bytes.get(..packet.linear).unwrap_or_default();
    !concerns_us(tables, readable).unwrap_or(false)
}

/// Returns whether the program acts on it; `None` if a header that decides is missing or invalid.
fn concerns_us(tables: &HostTables, frame: &[u8]) -> Option<bool> {
    let header = Ethernet2HeaderSlice::from_slice(frame).ok()?;
    let mut kind = header.ether_type();
    let mut rest = frame.get(header.slice().len()..)?;
    for _ in 0..2 {
        if kind != ether_type::VLAN_TAGGED_FRAME && kind != ether_type::PROVIDER_BRIDGING {
            break;
        }
        let tag = SingleVlanHeaderSlice::from_slice(rest).ok()?;
        kind = tag.ether_type();
        rest = rest.get(tag.slice().len()..)?;
    }
    if kind == ether_type::ARP {
        return arp(tables, rest);
    }
    if kind == ether_type::IPV6 && ndp::is_for_vip(tables, header.destination(), rest) == Some(true) {
        return Some(true);
    }
    if tables.links.get(&INGRESS).is_some_and(|link| link.mac != header.destination()) {
        return Some(false);
    }
    match kind {
        ether_type::IPV4 => ipv4(tables, rest, Arrival::Plain),
        ether_type::IPV6 => ipv6(tables, rest, Arrival::Plain),
        EtherType(0x88b5 | 0x88b6) => {
            Some(is_node_mac(tables, header.source()) && second_chance(tables, rest)?)
        }
        _ => Some(false),
    }
}

fn is_node_mac(tables: &HostTables, mac: [u8; 6]) -> bool {
    let [a, b, c, d, e, f] = mac;
    tables.node_macs.contains_key(&[a, b, c, d, e, f, 0, 0])
}

/// Returns whether a packet under a relay EtherType is for a VIP's port; otherwise it is foreign.
fn second_chance(tables: &HostTables, bytes: &[u8]) -> Option<bool> {
    match bytes.first()? >> 4 {
        4 => ipv4(tables, bytes, Arrival::Inside),
        6 => ipv6(tables, bytes, Arrival::Inside),
        _ => Some(false),
    }
}

/// Returns whether this node accepts IP in IP.
const fn takes_ipip(tables: &HostTables) -> bool {
    tables.config.flags & CONFIG_IPIP != 0
}

/// Returns whether the inner packet of IP in IP is for a VIP's port.
fn carried(tables: &HostTables, protocol: IpNumber, inner: &[u8]) -> Option<bool> {
    if protocol == IpNumber::IPV4 {
        ipv4(tables, inner, Arrival::Inside)
    } else {
        ipv6(tables, inner, Arrival::Inside)
    }
}

/// How an IP packet arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// Under its own EtherType.
    Plain,
    /// Under a relay EtherType or in another IP packet: for a VIP's port, or foreign.
    Inside,
}

/// Returns whether UDP with these ports belongs to a BFD session, or is an echo of a router with a session.
fn is_bfd(tables: &HostTables, source: [u8; 16], destination: [u8; 16], ttl: u8, ports: &[u8; 4]) -> bool {
    let of = |port: u16| {
        let is_of = |session: &&BfdSession| session.remote == source && session.local == destination;
        tables.bfd.values().filter(is_of).any(|s| s.port == port.to_be_bytes() && ttl >= s.minimum_ttl)
    };
    let is_router = |address| tables.bfd.values().any(|session| session.remote == address);
    let flags = |address| tables.bfd_addresses.get(&address).map_or(0, |entry| entry.flags);
    let least = |address| tables.bfd_addresses.get(&address).map_or(0, |entry| entry.minimum_ttl);
    let refused = |listens: u8, peer: u8, minimum_ttl| {
        flags(destination) & listens != 0 && (flags(source) & peer == 0 || ttl < minimum_ttl)
    };
    match u16::from_be_bytes([ports[2], ports[3]]) {
        3784 => of(3784) || refused(BFD_LISTENS, BFD_PEER, 255),
        4784 => of(4784) || refused(BFD_LISTENS_MULTIHOP, BFD_PEER_MULTIHOP, least(source)),
        3785 => ttl == 255 && (is_router(destination) || is_router(source)),
        _ => false,
    }
}

/// Returns whether UDP to this node with these ports is for the program: GUE or S-BFD from another node.
fn is_node_udp(tables: &HostTables, source: [u8; 16], ports: &[u8; 4]) -> bool {
    const SBFD: [u8; 2] = 7784u16.to_be_bytes();
    let [from, to] = [[ports[0], ports[1]], [ports[2], ports[3]]];
    let tunnel = to == 6080u16.to_be_bytes();
    (tunnel || from == SBFD || to == SBFD) && tables.node_addresses.contains_key(&source)
}

fn arp(tables: &HostTables, bytes: &[u8]) -> Option<bool> {
    let packet = ArpPacketSlice::from_slice(bytes).ok()?.to_packet().try_eth_ipv4().ok()?;
    let announced = packet.sender_ipv4 == packet.target_ipv4;
    let request = packet.operation == ArpOperation::REQUEST && !announced;
    Some(request && tables.arp.contains_key(&packet.target_ipv4))
}

fn ipv4(tables: &HostTables, bytes: &[u8], arrival: Arrival) -> Option<bool> {
    if is_later_fragment(tables, bytes)? {
        return Some(true);
    }
    let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
    let upper = bytes.get(header.slice().len()..)?;
    let to = header.destination();
    if header.fragments_offset().value() != 0 {
        return Some(false);
    }
    let whole = !header.is_fragmenting_payload();
    Some(match header.protocol() {
        protocol @ (IpNumber::TCP | IpNumber::UDP | IpNumber::SCTP) => {
            let ports = upper.first_chunk()?;
            let is_vip = tables.vips4.contains_key(&Vip4Key::port(to, [ports[2], ports[3]], protocol.0));
            let to_us = to == tables.config.address4 && to != [0; 4] && protocol == IpNumber::UDP;
            let source = header.source_addr().to_ipv6_mapped().octets();
            let target = header.destination_addr().to_ipv6_mapped().octets();
            let bfd = || protocol == IpNumber::UDP && is_bfd(tables, source, target, header.ttl(), ports);
            let own = || to_us && is_node_udp(tables, source, ports) || bfd();
            let address = tables.vips4.get(&Vip4Key::address(to));
            let closed = address.is_some_and(|vip| vip.flags & VIP_CLOSED != 0);
            is_vip || arrival == Arrival::Plain && (closed || whole && own())
        }
        IpNumber::IPV4 | IpNumber::IPV6 if whole && arrival == Arrival::Plain => {
            let source = header.source_addr().to_ipv6_mapped().octets();
            let to_us = takes_ipip(tables)
                && to == tables.config.address4
                && tables.node_addresses.contains_key(&source);
            to_us && carried(tables, header.protocol(), upper)?
        }
        IpNumber::ICMP if whole && header.options().is_empty() => {
            let is_vip = tables.vips4.contains_key(&Vip4Key::address(to));
            let echo = arrival == Arrival::Plain && upper.starts_with(&[8, 0]) && is_vip;
            echo || matches!(upper.first()?, 3 | 4 | 11 | 12) && quotes_vip4(tables, to, upper.get(8..)?)?
        }
        _ => false,
    })
}

/// Returns whether it is a later fragment for a VIP. Its options may be truncated: nothing behind them is
/// read.
fn is_later_fragment(tables: &HostTables, bytes: &[u8]) -> Option<bool> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    let address = [header[16], header[17], header[18], header[19]];
    let has_ports = matches!(header[9], 6 | 17 | 132);
    Some(has_ports && offset != 0 && tables.vips4.contains_key(&Vip4Key::address(address)))
}

/// Returns whether a Service can have ports of this protocol.
const fn has_ports(protocol: IpNumber) -> bool {
    matches!(protocol, IpNumber::TCP | IpNumber::UDP | IpNumber::SCTP)
}

/// Returns whether the packet that an ICMP error quotes came from the error's destination, and from a VIP's
/// port.
fn quotes_vip4(tables: &HostTables, to: [u8; 4], quote: &[u8]) -> Option<bool> {
    let header = Ipv4HeaderSlice::from_slice(quote).ok()?;
    let ports: &[u8; 4] = quote.get(header.slice().len()..)?.first_chunk()?;
    let key = Vip4Key::port(header.source(), [ports[0], ports[1]], header.protocol().0);
    let is_whole = header.fragments_offset().value() == 0;
    Some(has_ports(header.protocol()) && is_whole && header.source() == to && tables.vips4.contains_key(&key))
}

/// The same for ICMPv6.
fn quotes_vip6(tables: &HostTables, to: [u8; 16], quote: &[u8]) -> Option<bool> {
    let header = Ipv6HeaderSlice::from_slice(quote).ok()?;
    let ports: &[u8; 4] = quote.get(header.slice().len()..)?.first_chunk()?;
    let key = Vip6Key::port(header.source(), [ports[0], ports[1]], header.next_header().0);
    Some(has_ports(header.next_header()) && header.source() == to && tables.vips6.contains_key(&key))
}

fn ipv6(tables: &HostTables, bytes: &[u8], arrival: Arrival) -> Option<bool> {
    let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
    let behind = bytes.get(header.slice().len()..)?;
    let to = header.destination();
    let (protocol, part, upper) = upper_layer(header.next_header(), behind)?;
    if part == Part::Later {
        return Some(has_ports(protocol) && tables.vips6.contains_key(&Vip6Key::address(to)));
    }
    Some(match protocol {
        IpNumber::TCP | IpNumber::UDP | IpNumber::SCTP => {
            let ports = upper.first_chunk()?;
            let is_vip = tables.vips6.contains_key(&Vip6Key::port(to, [ports[2], ports[3]], protocol.0));
            let to_us = to == tables.config.address6 && to != [0; 16] && protocol == IpNumber::UDP;
            let from = header.source();
            let bfd = || protocol == IpNumber::UDP && is_bfd(tables, from, to, header.hop_limit(), ports);
            let own = || to_us && is_node_udp(tables, from, ports) || bfd();
            let address = tables.vips6.get(&Vip6Key::address(to));
            let closed = address.is_some_and(|vip| vip.flags & VIP_CLOSED != 0);
            is_vip || arrival == Arrival::Plain && (closed || part == Part::Whole && own())
        }
        IpNumber::IPV4 | IpNumber::IPV6 if part == Part::Whole && arrival == Arrival::Plain => {
            let is_node = tables.node_addresses.contains_key(&header.source());
            let to_us = takes_ipip(tables) && to == tables.config.address6 && is_node;
            to_us && carried(tables, protocol, upper)?
        }
        IpNumber::IPV6_ICMP if upper.len() == behind.len() => {
            let is_vip = tables.vips6.contains_key(&Vip6Key::address(to));
            let echo = arrival == Arrival::Plain && upper.starts_with(&[128, 0]) && is_vip;
            echo || matches!(upper.first()?, 1..=127) && quotes_vip6(tables, to, upper.get(8..)?)?
        }
        _ => false,
    })
}

/// The part of a packet in a fragment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// Its first fragment.
    First,
    /// Another fragment.
    Later,
}

/// Returns protocol, part and bytes behind the extension headers, up to the header of a later fragment;
/// `None` for a packet that has not reached its final destination.
pub(super) fn upper_layer(first: IpNumber, behind: &[u8]) -> Option<(IpNumber, Part, &[u8])> {
    let (mut next, mut part, mut rest) = (first, Part::Whole, behind);
    loop {
        match next {
            IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::IPV6_ROUTE_HEADER => {
                let header = Ipv6RawExtHeaderSlice::from_slice(rest).ok()?;
                let segments_left = *header.slice().get(3)?;
                if next == IpNumber::IPV6_ROUTE_HEADER && segments_left != 0 {
                    return None;
                }
                (next, rest) = (header.next_header(), rest.get(header.slice().len()..)?);
            }
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest).ok()?;
                if header.fragment_offset().value() != 0 {
                    return Some((header.next_header(), Part::Later, rest));
                }
                part = if header.is_fragmenting_payload() { Part::First } else { Part::Whole };
                (next, rest) = (header.next_header(), rest.get(header.slice().len()..)?);
            }
            _ => return Some((next, part, rest)),
        }
    }
}
