//! Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue-09).

use super::{checksum, ip};

/// UDP destination port, wire order.
pub const PORT: [u8; 2] = 6080u16.to_be_bytes();
/// Bytes of the header without optional fields.
pub const HEADER: usize = 4;
/// Words of the private data that come first: four bytes (key ID, marks, home, zero), and the tag. The wire
/// IDs of the nodes asked follow, a word each.
pub const TAG_WORDS: usize = 2;
/// Nodes that may be asked for a packet: the list names all but the last.
pub const MAX_ASKED: usize = 6;
/// Lowest source port: the 14 bits below carry the entropy of the flow (RFC 6335 dynamic range).
pub const SOURCE_PORT_BASE: u16 = 0xc000;
/// First byte: version and control bit must be zero.
pub const VERSION_AND_CONTROL: u8 = 0b1110_0000;
/// First byte: length of optional fields in 32-bit words.
pub const OPTIONAL_WORDS: u8 = 0b0001_1111;
/// Don't fragment, offset zero, of an outer IPv4 header: the receiver does not reassemble fragments.
pub const OUTER_V4_FRAGMENT: [u8; 2] = [0x40, 0x00];

/// Returns the one's complement sum of an outer IPv4 header without traffic class and length:
/// [`crate::maps::Node::outer_sum`].
pub const fn outer_v4_sum(source: [u8; 4], destination: [u8; 4]) -> u32 {
    let [f0, f1] = OUTER_V4_FRAGMENT;
    checksum::sum(&[0x45, 0, f0, f1, ip::DEFAULT_TTL, ip::protocol::UDP])
        + checksum::sum(&source)
        + checksum::sum(&destination)
}
