//! Packets of a flow, without payload.

use std::net::IpAddr;

use lb_common::wire::{checksum, ethernet};
use lb_model::Protocol;

use super::FlowQuestion;

/// Which packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// The one that opens it.
    First,
    /// One of an open flow.
    Later,
}

/// A MAC address that no node has: locally administered.
const SOURCE: [u8; 6] = [0x02, 0xff, 0xff, 0xff, 0xff, 0xff];
/// The hop limit of a packet that comes from far away.
const HOPS: u8 = 60;

/// Returns a packet of a flow, as it arrives on an uplink with this MAC address. The client's port is zero if
/// it is not given.
pub(super) fn packet(question: &FlowQuestion, segment: Segment, to: [u8; 6]) -> Vec<u8> {
    let transport = transport(question, segment);
    let mut bytes: Vec<u8> = to.into_iter().chain(SOURCE).collect();
    match (question.client, question.vip.ip()) {
        (IpAddr::V4(client), IpAddr::V4(vip)) => {
            bytes.extend(ethernet::IPV4);
            bytes.extend(header4(question.protocol, transport.len(), client.octets(), vip.octets()));
        }
        (client, vip) => {
            bytes.extend(ethernet::IPV6);
            let [high, low] = (transport.len() as u16).to_be_bytes();
            bytes.extend([0x60, 0, 0, 0, high, low, question.protocol.number(), HOPS]);
            bytes.extend([client, vip].into_iter().flat_map(octets6));
        }
    }
    bytes.extend(transport);
    bytes
}

fn octets6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn header4(protocol: Protocol, payload: usize, source: [u8; 4], destination: [u8; 4]) -> [u8; 20] {
    let [high, low] = (payload as u16 + 20).to_be_bytes();
    let mut header =
        [0x45, 0, high, low, 0, 1, 0x40, 0, HOPS, protocol.number(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&source);
    header[16..20].copy_from_slice(&destination);
    let check = checksum::finish(checksum::sum(&header));
    header[10..12].copy_from_slice(&check);
    header
}

fn transport(question: &FlowQuestion, segment: Segment) -> Vec<u8> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const INIT: u8 = 1;
    const SACK: u8 = 3;
    let is_first = segment == Segment::First;
    let client_port = question.client_port.unwrap_or(0).to_be_bytes();
    let mut bytes: Vec<u8> = client_port.into_iter().chain(question.vip.port().to_be_bytes()).collect();
    match question.protocol {
        Protocol::Tcp => {
            let flags = if is_first { SYN } else { ACK };
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
        Protocol::Udp => bytes.extend([0, 8, 0, 0]),
        Protocol::Sctp => {
            let chunk = if is_first { INIT } else { SACK };
            bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, chunk, 0, 0, 4]);
        }
    }
    bytes
}
