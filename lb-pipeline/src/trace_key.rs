//! The flow of a packet as it arrives, for the filter of a trace and its record. The slow path knows more,
//! but only afterwards.

use lb_common::trace::{TraceKey, TraceTunnel};
use lb_common::wire::ip::{self, protocol};
use lb_common::wire::word::{get4, get8};
use lb_common::wire::{arp, ethernet, gue, ndp};

use crate::frame::Frame;
use crate::link_layer::network_header;

/// Headers of IP that are read: an outer and an inner one.
const IP_HEADERS: u8 = 2;

/// Reads addresses, protocol and ports of a packet; those that it lacks stay zero.
#[inline(always)]
pub fn read_trace_key<F: Frame>(frame: &F, key: &mut TraceKey) {
    *key = TraceKey::EMPTY;
    let Some((ether_type, mut at)) = network_header(frame) else { return };
    let mut is_v4 = match ether_type {
        ethernet::IPV4 => true,
        ethernet::IPV6 => false,
        ethernet::ARP => return read_arp(frame, at, key),
        ethernet::ASKED_ONE | ethernet::ASKED_MORE => {
            key.tunnel = TraceTunnel::Asked as u8;
            let Some([first]) = frame.view::<1>(at) else { return };
            first >> 4 == 4
        }
        _ => return,
    };
    for header in 1..=IP_HEADERS {
        let l4 = if is_v4 { read_v4(frame, at, key) } else { read_v6(frame, at, key) };
        let Some(l4) = l4 else { return };
        if header == IP_HEADERS {
            return;
        }
        let Some((inner, is_inner_v4, tunnel)) = tunnel(frame, l4, key) else { return };
        (at, is_v4) = (inner, is_inner_v4);
        key.tunnel = tunnel as u8;
    }
}

#[inline(always)]
fn read_arp<F: Frame>(frame: &F, at: usize, key: &mut TraceKey) {
    let Some(packet) = frame.view::<{ arp::LENGTH }>(at) else { return };
    (key.source, key.destination) = (mapped(get4(packet, 14)), mapped(get4(packet, 24)));
}

/// Returns the offset of the transport header; `None` if it is in another fragment.
#[inline(always)]
fn read_v4<F: Frame>(frame: &F, at: usize, key: &mut TraceKey) -> Option<usize> {
    let header = frame.view::<{ ip::V4_HEADER }>(at)?;
    key.source = mapped(get4(header, ip::v4::SOURCE));
    key.destination = mapped(get4(header, ip::v4::DESTINATION));
    key.protocol = header[9];
    key.ports = [0; 4];
    if u16::from_be_bytes([header[6], header[7]]) & ip::v4::FRAGMENT_OFFSET != 0 {
        return None;
    }
    let l4 = at + usize::from(header[0] & 0xf) * 4;
    read_ports(frame, l4, key);
    Some(l4)
}

#[inline(always)]
fn read_v6<F: Frame>(frame: &F, at: usize, key: &mut TraceKey) -> Option<usize> {
    let header = frame.view::<{ ip::V6_HEADER }>(at)?;
    key.source = [get8(header, ip::v6::SOURCE).to_le(), get8(header, ip::v6::SOURCE + 8).to_le()];
    key.destination =
        [get8(header, ip::v6::DESTINATION).to_le(), get8(header, ip::v6::DESTINATION + 8).to_le()];
    key.protocol = header[6];
    key.ports = [0; 4];
    let l4 = at + ip::V6_HEADER;
    read_ports(frame, l4, key);
    if key.protocol == protocol::ICMPV6
        && let Some(message) = frame.view::<{ ndp::MESSAGE }>(l4)
        && [message[0], message[1]] == ndp::SOLICITATION
    {
        key.destination = [get8(message, 8).to_le(), get8(message, 16).to_le()];
    }
    Some(l4)
}

#[inline(always)]
fn read_ports<F: Frame>(frame: &F, l4: usize, key: &mut TraceKey) {
    if ip::has_ports(key.protocol)
        && let Some(ports) = frame.view::<4>(l4)
    {
        key.ports = *ports;
    }
}

/// Returns where the inner packet begins, whether it is IPv4, and the tunnel.
#[inline(always)]
fn tunnel<F: Frame>(frame: &F, l4: usize, key: &TraceKey) -> Option<(usize, bool, TraceTunnel)> {
    let [.., high, low] = key.ports;
    match key.protocol {
        protocol::IPV4 => Some((l4, true, TraceTunnel::Ipip)),
        protocol::IPV6 => Some((l4, false, TraceTunnel::Ipip)),
        protocol::UDP if [high, low] == gue::PORT => {
            let header = frame.view::<{ gue::HEADER }>(l4 + ip::UDP_HEADER)?;
            let inner = l4 + ip::UDP_HEADER + gue::HEADER + usize::from(header[0] & gue::OPTIONAL_WORDS) * 4;
            Some((inner, header[1] == protocol::IPV4, TraceTunnel::Gue))
        }
        _ => None,
    }
}

/// Returns the words of an IPv4 address, read as a little-endian number, as `::ffff:a.b.c.d`.
#[inline(always)]
fn mapped(address: u32) -> [u64; 2] {
    let [a, b, c, d] = address.to_le_bytes();
    [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])]
}
