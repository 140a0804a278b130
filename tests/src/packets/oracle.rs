//! Which packets may be none of Fairlead's business, told by another parser than the program's own.
//!
//! It errs to one side: what it calls a stranger must pass untouched; of the rest it says nothing.

use etherparse::{
    ArpOperation, ArpPacketSlice, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice,
    Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice, ether_type,
};
use lb_common::maps::{Vip4Key, Vip6Key};

use crate::model::{HostTables, Packet};

/// Whether the packet is for no VIP port, no ARP or echo request for a VIP, and no GUE to this node.
/// Fragments are strangers: the program passes them, whatever they are for.
pub fn is_stranger(tables: &HostTables, packet: &Packet) -> bool {
    let readable = packet.bytes.get(..packet.linear).unwrap_or_default();
    !concerns_us(tables, readable).unwrap_or(false)
}

/// `None` where a header that would tell is missing or not valid.
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
    match kind {
        ether_type::ARP => arp(tables, rest),
        ether_type::IPV4 => ipv4(tables, rest),
        ether_type::IPV6 => ipv6(tables, rest),
        _ => Some(false),
    }
}

fn arp(tables: &HostTables, bytes: &[u8]) -> Option<bool> {
    let packet = ArpPacketSlice::from_slice(bytes).ok()?.to_packet().try_eth_ipv4().ok()?;
    let announced = packet.sender_ipv4 == packet.target_ipv4;
    let request = packet.operation == ArpOperation::REQUEST && !announced;
    Some(request && tables.arp.contains_key(&packet.target_ipv4))
}

fn ipv4(tables: &HostTables, bytes: &[u8]) -> Option<bool> {
    let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
    if header.is_fragmenting_payload() {
        return Some(false);
    }
    let upper = bytes.get(header.slice().len()..)?;
    let to = header.destination();
    Some(match header.protocol() {
        protocol @ (IpNumber::TCP | IpNumber::UDP) => {
            let port = [*upper.get(2)?, *upper.get(3)?];
            let tunnel = protocol == IpNumber::UDP && port == 6080u16.to_be_bytes();
            let to_us = to == tables.config.address4 && to != [0; 4];
            tables.vips4.contains_key(&Vip4Key::port(to, port, protocol.0)) || (tunnel && to_us)
        }
        IpNumber::ICMP => {
            let is_vip = tables.vips4.contains_key(&Vip4Key::address(to));
            upper.starts_with(&[8, 0]) && header.options().is_empty() && is_vip
        }
        _ => false,
    })
}

fn ipv6(tables: &HostTables, bytes: &[u8]) -> Option<bool> {
    let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
    let behind = bytes.get(header.slice().len()..)?;
    let (protocol, upper) = upper_layer(header.next_header(), behind)?;
    let to = header.destination();
    Some(match protocol {
        IpNumber::TCP | IpNumber::UDP => {
            let port = [*upper.get(2)?, *upper.get(3)?];
            let tunnel = protocol == IpNumber::UDP && port == 6080u16.to_be_bytes();
            let to_us = to == tables.config.address6 && to != [0; 16];
            tables.vips6.contains_key(&Vip6Key::port(to, port, protocol.0)) || (tunnel && to_us)
        }
        IpNumber::IPV6_ICMP => {
            let is_vip = tables.vips6.contains_key(&Vip6Key::address(to));
            upper.starts_with(&[128, 0]) && upper.len() == behind.len() && is_vip
        }
        _ => false,
    })
}

/// Number and bytes of what follows the extension headers; `None` for a part of a packet, and for one that
/// has not yet reached its last destination.
fn upper_layer(first: IpNumber, behind: &[u8]) -> Option<(IpNumber, &[u8])> {
    let (mut next, mut rest) = (first, behind);
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
                if header.is_fragmenting_payload() {
                    return None;
                }
                (next, rest) = (header.next_header(), rest.get(header.slice().len()..)?);
            }
            _ => return Some((next, rest)),
        }
    }
}
