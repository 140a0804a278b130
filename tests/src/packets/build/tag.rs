//! The authentication tag of nodes in GUE. A parser independent of the program's derives the flow from the
//! packet's bytes.

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};
use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::tag::{GueWords, TagKey, gue_tag};

use crate::packets::fixture::FLOW_KEYS;
use crate::packets::oracle::{Part, upper_layer};

/// The fields that a node sends in GUE beside the list of asked nodes.
#[derive(Clone, Copy, Debug)]
pub struct GueFields {
    /// The key of the tag.
    pub key: TagKey,
    /// Bits for the next node.
    pub marks: u8,
    /// Position of the flow's home in the list.
    pub home: u8,
}

/// Returns the two words of a packet to the node with this wire ID.
pub(super) fn words(fields: GueFields, receiver: u32, asked: &[u32], inner: &[u8]) -> [u8; 8] {
    let head = [fields.key.id, fields.marks, fields.home, 0];
    let mut ids = [0; 5];
    let count = asked.len().min(ids.len());
    ids[..count].copy_from_slice(&asked[..count]);
    let name = name(inner).unwrap_or_default();
    let tag = gue_tag(&fields.key.key, &GueWords { head, receiver, name, asked: &ids, count });
    let [a, b, c, d] = head;
    let [e, f, g, h] = tag.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Returns the flow hash of a packet: by its addresses and ports, by those of the packet that an ICMP error
/// quotes, or by the addresses of a later fragment.
fn name(packet: &[u8]) -> Option<u64> {
    match packet.first()? >> 4 {
        4 => name4(packet),
        _ => name6(packet),
    }
}

fn name4(packet: &[u8]) -> Option<u64> {
    let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let upper = packet.get(header.slice().len()..)?;
    let of = |ports| {
        let flow = FlowPorts { ports, protocol: header.protocol().0 };
        flow_hash_v4(&FLOW_KEYS, header.source(), header.destination(), flow)
    };
    if header.fragments_offset().value() != 0 {
        return Some(of([0; 4]));
    }
    if header.protocol() != IpNumber::ICMP {
        return Some(of(*upper.first_chunk()?));
    }
    let quote = upper.get(8..)?;
    let header = Ipv4HeaderSlice::from_slice(quote).ok()?;
    let ports = swapped(*quote.get(header.slice().len()..)?.first_chunk()?);
    let flow = FlowPorts { ports, protocol: header.protocol().0 };
    Some(flow_hash_v4(&FLOW_KEYS, header.destination(), header.source(), flow))
}

fn name6(packet: &[u8]) -> Option<u64> {
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    let (protocol, part, upper) = upper_layer(header.next_header(), packet.get(header.slice().len()..)?)?;
    let of = |ports| {
        let flow = FlowPorts { ports, protocol: protocol.0 };
        flow_hash_v6(&FLOW_KEYS, &header.source(), &header.destination(), flow)
    };
    if part == Part::Later {
        return Some(of([0; 4]));
    }
    if protocol != IpNumber::IPV6_ICMP {
        return Some(of(*upper.first_chunk()?));
    }
    let quote = upper.get(8..)?;
    let header = Ipv6HeaderSlice::from_slice(quote).ok()?;
    let ports = swapped(*quote.get(header.slice().len()..)?.first_chunk()?);
    let flow = FlowPorts { ports, protocol: header.next_header().0 };
    Some(flow_hash_v6(&FLOW_KEYS, &header.destination(), &header.source(), flow))
}

const fn swapped([a, b, c, d]: [u8; 4]) -> [u8; 4] {
    [c, d, a, b]
}
