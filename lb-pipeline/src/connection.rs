//! The TCP connection of a packet, as a key of the kernel's tables.

use lb_common::kernel::TcpConnection;
use lb_common::wire::ip::{self, Family, protocol};

use crate::frame::Frame;
use crate::owner::PacketKind;
use crate::packet::PacketInfo;

/// Offset of the ports of an IPv6 connection, in words.
const V6_PORTS: usize = 8;

/// Reads addresses and ports of a packet's connection. Returns the number of bytes in `connection`; zero for
/// other protocols than TCP, ICMP errors, later fragments, and IPv6 with extension headers.
#[inline(always)]
pub fn read_connection<F: Frame>(frame: &F, packet: &PacketInfo, connection: &mut TcpConnection) -> u32 {
    if packet.is_error || packet.kind == PacketKind::Udp {
        return 0;
    }
    match packet.family {
        Family::V4 => read_v4(frame, packet, connection),
        Family::V6 => read_v6(frame, packet, connection),
    }
}

#[inline(always)]
fn read_v4<F: Frame>(frame: &F, packet: &PacketInfo, connection: &mut TcpConnection) -> u32 {
    let Some(header) = frame.view::<{ ip::V4_HEADER }>(packet.l3) else { return 0 };
    let is_later_fragment = header[6] & 0x1f != 0 || header[7] != 0;
    if header[9] != protocol::TCP || is_later_fragment {
        return 0;
    }
    let [_, _, _, _, _, _, _, _, _, _, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let Some(ports) = frame.view::<4>(packet.l4) else { return 0 };
    *connection = TcpConnection::v4([s0, s1, s2, s3], [d0, d1, d2, d3], *ports);
    TcpConnection::V4_BYTES
}

#[inline(always)]
fn read_v6<F: Frame>(frame: &F, packet: &PacketInfo, connection: &mut TcpConnection) -> u32 {
    let Some(header) = frame.view::<{ ip::V6_HEADER }>(packet.l3) else { return 0 };
    if header[6] != protocol::TCP {
        return 0;
    }
    for (word, bytes) in connection.words.iter_mut().zip(header[ip::v6::SOURCE..].as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    let Some(ports) = frame.view::<4>(packet.l3 + ip::V6_HEADER) else { return 0 };
    connection.words[V6_PORTS] = u32::from_ne_bytes(*ports);
    TcpConnection::V6_BYTES
}
