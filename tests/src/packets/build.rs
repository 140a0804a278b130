//! A builder for frames: `Frame::v4(client, vip).tcp(4000, 80).ttl(9).tag(100)`.
//!
//! etherparse builds headers and checksums, so that the builder shares no bug with the code under test. What
//! etherparse refuses to build is built by hand, or by editing bytes.
#![allow(clippy::expect_used, reason = "a frame that cannot be built is a mistake in the table")]

use etherparse::{
    IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, TcpHeader, UdpHeader,
};

use super::fixture::{Mac, TAG_KEYS, node, wire_id};
use crate::model::Packet;
use lb_common::ring::NodeIndex;

mod arp;
mod ndp;
mod tag;
mod upper;
pub use arp::{Arp, BROADCAST};
pub use ndp::{solicited_node, source_mac};
pub use tag::GueFields;
pub use upper::{Upper, chunk, flags};

/// Source and destination of an IP packet.
#[derive(Clone, Copy, Debug)]
pub enum Addresses {
    /// IPv4.
    V4([u8; 4], [u8; 4]),
    /// IPv6.
    V6([u8; 16], [u8; 16]),
}

/// An Ethernet frame with an IP packet.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Destination and source.
    pub macs: [Mac; 2],
    /// VLAN tags, outermost first: type and control information.
    pub tags: Vec<(u16, u16)>,
    /// Source and destination.
    pub addresses: Addresses,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub class: u8,
    /// IPv4 options; a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv6 extension headers: number and bytes. The first byte of each is filled in.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// IPv4 fragment: offset in units of eight bytes, and the more-fragments bit.
    pub fragment: (u16, bool),
    /// IPv4 identification.
    pub id: u16,
    /// The don't-fragment bit of an IPv4 packet that is no fragment.
    pub dont_fragment: bool,
    /// The payload of the IP packet.
    pub upper: Upper,
    /// Flow label of an IPv6 packet.
    pub flow_label: u32,
}

impl Frame {
    fn new(addresses: Addresses) -> Self {
        Self {
            macs: [super::fixture::SELF_MAC, super::fixture::ROUTER_MAC],
            tags: Vec::new(),
            addresses,
            ttl: 64,
            class: 0,
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: (0, false),
            id: 0,
            dont_fragment: true,
            upper: Upper::Raw(IpNumber::IPV6_NO_NEXT_HEADER.0, Vec::new()),
            flow_label: 0,
        }
    }

    /// Builds an IPv4 packet from the router's MAC to this node's.
    pub fn v4(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self::new(Addresses::V4(source, destination))
    }

    /// Builds an IPv6 packet from the router's MAC to this node's.
    pub fn v6(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self::new(Addresses::V6(source, destination))
    }

    /// Carries a TCP segment in the middle of a connection, with a few bytes of payload.
    pub fn tcp(self, source: u16, destination: u16) -> Self {
        self.segment(source, destination, flags::ACK)
    }

    /// Carries a TCP segment that opens a connection, with a few bytes of payload.
    pub fn syn(self, source: u16, destination: u16) -> Self {
        self.segment(source, destination, flags::SYN)
    }

    /// Carries a TCP segment with these flags and a few bytes of payload.
    pub fn segment(self, source: u16, destination: u16, flags: u8) -> Self {
        self.upper(Upper::Tcp(source, destination, flags, b"hello".to_vec()))
    }

    /// Carries a UDP datagram with a few bytes of payload.
    pub fn udp(self, source: u16, destination: u16) -> Self {
        self.upper(Upper::Udp(source, destination, b"hello".to_vec()))
    }

    /// Carries an SCTP packet with one chunk of this type and a few bytes of data. Its checksum is arbitrary:
    /// no host on the path verifies it.
    pub fn sctp(self, source: u16, destination: u16, kind: u8) -> Self {
        let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        let tag_and_checksum = [0x5a, 1, 2, 3, 0xc3, 0x2c, 0, 1];
        self.raw(132, &[ports.as_slice(), &tag_and_checksum, &[kind, 0, 0, 8], b"data"].concat())
    }

    /// Carries an ICMP or ICMPv6 message of this type and code.
    pub fn icmp(self, kind: u8, code: u8) -> Self {
        let rest = [0x12, 0x34, 0, 1].into_iter().chain(*b"abcdefgh").collect();
        let upper = match self.addresses {
            Addresses::V4(..) => Upper::Icmp4(kind, code, rest),
            Addresses::V6(..) => Upper::Icmp6(kind, code, rest),
        };
        self.upper(upper)
    }

    /// Carries UDP with this payload.
    pub fn datagram(self, source: u16, destination: u16, payload: &[u8]) -> Self {
        self.upper(Upper::Udp(source, destination, payload.to_vec()))
    }

    /// Carries UDP with this payload, without a checksum.
    pub fn plain_datagram(self, source: u16, destination: u16, payload: &[u8]) -> Self {
        self.upper(Upper::PlainUdp(source, destination, payload.to_vec()))
    }

    /// Carries any protocol, with these bytes.
    pub fn raw(self, protocol: u8, bytes: &[u8]) -> Self {
        self.upper(Upper::Raw(protocol, bytes.to_vec()))
    }

    /// Carries GUE to this node, as another node of the cluster sends it. The header's length is that of the
    /// list of asked nodes with which `rest` begins.
    pub fn gue(self, source_port: u16, header: [u8; 4], rest: &[u8]) -> Self {
        self.gue_to(node::SELF, source_port, header, rest)
    }

    /// The same to another node.
    pub fn gue_to(self, to: NodeIndex, source_port: u16, header: [u8; 4], rest: &[u8]) -> Self {
        let fields = GueFields { key: TAG_KEYS[0], marks: 0, home: 0 };
        self.gue_with(fields, to, source_port, header, rest)
    }

    /// The same with these fields of the sender.
    pub fn gue_with(self, fields: GueFields, to: NodeIndex, port: u16, header: [u8; 4], rest: &[u8]) -> Self {
        let count = usize::from(header[0] & 0x1f);
        let (list, inner) = rest.split_at_checked(count * 4).unwrap_or((&[], rest));
        let asked: Vec<u32> =
            list.chunks_exact(4).map(|id| u32::from_be_bytes([id[0], id[1], id[2], id[3]])).collect();
        let words = tag::words(fields, wire_id(to), &asked, inner);
        // A full header has no room for the fields.
        let (more, words) = if count + 2 < 32 { (2, words.as_slice()) } else { (0, [].as_slice()) };
        let header = [header[0] + more, header[1], header[2], header[3]];
        self.untagged_gue(port, header, &[words, rest].concat())
    }

    /// Carries UDP to port 6080 with this GUE header in front of `rest`.
    pub fn untagged_gue(self, source_port: u16, header: [u8; 4], rest: &[u8]) -> Self {
        self.upper(Upper::PlainUdp(source_port, 6080, [header.as_slice(), rest].concat()))
    }

    fn upper(self, upper: Upper) -> Self {
        Self { upper, ..self }
    }

    /// Resizes the payload to give the IP packet this length.
    pub fn sized(mut self, total: usize) -> Self {
        let now = self.ip().len();
        let payload = self.upper.payload_mut();
        payload.resize(payload.len() + total - now, 0x5a);
        self
    }

    /// Sets the TTL or hop limit.
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// Sets DSCP and ECN.
    pub fn class(self, class: u8) -> Self {
        Self { class, ..self }
    }

    /// Sets the MAC addresses.
    pub fn macs(self, destination: Mac, source: Mac) -> Self {
        Self { macs: [destination, source], ..self }
    }

    /// Adds a customer tag inside the present ones.
    pub fn tag(self, id: u16) -> Self {
        self.tag_of(0x8100, id)
    }

    /// Adds a tag of this type inside the present ones.
    pub fn tag_of(mut self, kind: u16, id: u16) -> Self {
        self.tags.push((kind, id));
        self
    }

    /// Sets IPv4 options.
    pub fn options(self, options: &[u8]) -> Self {
        Self { options: options.to_vec(), ..self }
    }

    /// Adds an IPv6 extension header behind the present ones.
    pub fn extension(mut self, number: u8, bytes: &[u8]) -> Self {
        self.extensions.push((number, bytes.to_vec()));
        self
    }

    /// Makes it a fragment of an IPv4 packet.
    pub fn fragment(self, offset: u16, more: bool) -> Self {
        Self { fragment: (offset, more), ..self }
    }

    /// Sets the IPv4 identification.
    pub fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    /// Carries ICMP or ICMPv6 of this type and code, with everything behind the checksum.
    pub fn message(self, kind: u8, code: u8, rest: &[u8]) -> Self {
        let upper = match self.addresses {
            Addresses::V4(..) => Upper::Icmp4(kind, code, rest.to_vec()),
            Addresses::V6(..) => Upper::Icmp6(kind, code, rest.to_vec()),
        };
        self.upper(upper)
    }

    /// Returns the bytes of the IP packet.
    pub fn ip(&self) -> Vec<u8> {
        let mut payload = self.upper.bytes(self.addresses);
        match self.addresses {
            Addresses::V4(source, destination) => {
                let header = self.v4_header(source, destination, payload.len());
                [header.to_bytes().to_vec(), payload].concat()
            }
            Addresses::V6(source, destination) => {
                let mut next = self.upper.protocol();
                for (number, bytes) in self.extensions.iter().rev() {
                    let mut extension = bytes.clone();
                    extension[0] = next;
                    payload.splice(0..0, extension);
                    next = *number;
                }
                let header = self.v6_header(source, destination, next, payload.len());
                [header.to_bytes().to_vec(), payload].concat()
            }
        }
    }

    fn v4_header(&self, source: [u8; 4], destination: [u8; 4], payload: usize) -> Ipv4Header {
        let mut header = Ipv4Header {
            dscp: IpDscp::try_new(self.class >> 2).expect("six bits"),
            ecn: IpEcn::try_new(self.class & 3).expect("two bits"),
            identification: self.id,
            dont_fragment: self.dont_fragment && self.fragment == (0, false),
            more_fragments: self.fragment.1,
            fragment_offset: IpFragOffset::try_new(self.fragment.0).expect("13 bits"),
            time_to_live: self.ttl,
            protocol: IpNumber(self.upper.protocol()),
            options: Ipv4Options::try_from(self.options.as_slice()).expect("whole words of options"),
            source,
            destination,
            ..Ipv4Header::default()
        };
        header.set_payload_len(payload).expect("a length of 16 bits");
        header.header_checksum = header.calc_header_checksum();
        header
    }

    fn v6_header(&self, source: [u8; 16], destination: [u8; 16], next: u8, payload: usize) -> Ipv6Header {
        Ipv6Header {
            traffic_class: self.class,
            flow_label: self.flow_label.try_into().expect("20 bits"),
            payload_length: payload.try_into().expect("a length of 16 bits"),
            next_header: IpNumber(next),
            hop_limit: self.ttl,
            source,
            destination,
        }
    }

    /// Returns whether it is IPv4.
    pub const fn is_v4(&self) -> bool {
        matches!(self.addresses, Addresses::V4(..))
    }

    /// Returns the bytes of the frame.
    pub fn bytes(&self) -> Vec<u8> {
        let ether_type = match self.addresses {
            Addresses::V4(..) => 0x0800,
            Addresses::V6(..) => 0x86dd,
        };
        self.bytes_as(ether_type)
    }

    /// Returns the bytes of the frame with another EtherType.
    pub fn bytes_as(&self, ether_type: u16) -> Vec<u8> {
        ethernet(self.macs, &self.tags, ether_type, &self.ip())
    }

    /// Returns the frame as a packet in one buffer.
    pub fn packet(&self) -> Packet {
        Packet::new(self.bytes())
    }
}

/// Builds a frame of any EtherType.
pub fn ethernet(macs: [Mac; 2], tags: &[(u16, u16)], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = macs.concat();
    for (kind, control) in tags {
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&control.to_be_bytes());
    }
    bytes.extend_from_slice(&ether_type.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
