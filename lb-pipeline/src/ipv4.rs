//! IPv4: the class of a packet.

use lb_common::hash::{FlowPorts, flow_hash_v4};
use lb_common::maps::Vip4Key;
use lb_common::verdict::Refusal;
use lb_common::wire::ip::{self, protocol};

use crate::class::PacketClass;
use crate::frame::Frame;
use crate::owner::PacketKind;
use crate::packet::PacketInfo;
use crate::tables::Tables;

/// Reads header and ports, and looks up the VIP.
#[inline(always)]
pub(crate) fn read<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Result<PacketClass, Refusal> {
    let l3 = packet.l3;
    let header = frame.view::<{ ip::V4_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let header_len = ((header[0] & 0x0f) as usize) * 4;
    if header[0] >> 4 != 4 || header_len < ip::V4_HEADER {
        return Err(Refusal::BadIpHeader);
    }
    let destination = [header[16], header[17], header[18], header[19]];
    let fragment = u16::from_be_bytes([header[6], header[7]]) & ip::v4::FRAGMENT;
    let l4 = l3 + header_len;
    packet.l4 = l4;
    packet.length = u32::from(u16::from_be_bytes([header[2], header[3]]));
    packet.protocol = u32::from(header[9]);
    packet.fragment_id = u32::from(u16::from_be_bytes([header[4], header[5]]));
    packet.is_first_fragment = fragment != 0;
    if fragment & ip::v4::FRAGMENT_OFFSET != 0 && ip::has_ports(header[9]) {
        return Ok(PacketClass::Fragment);
    }
    match header[9] {
        protocol if ip::has_ports(protocol) => {}
        protocol::IPV4 | protocol::IPV6 if fragment == 0 => return Ok(PacketClass::Ipip),
        protocol::ICMP if fragment == 0 && header_len == ip::V4_HEADER => return Ok(PacketClass::Icmp),
        _ => return Ok(PacketClass::Nothing),
    }
    let ports = *frame.view::<4>(l4).ok_or(Refusal::Truncated)?;
    let key = Vip4Key::port(destination, [ports[2], ports[3]], header[9]);
    let Some(vip) = tables.vip4(&key) else {
        packet.may_be_closed = tables.config().is_some_and(|config| config.vips.may_hold4(destination));
        let udp = fragment == 0 && header[9] == protocol::UDP;
        return Ok(if udp { PacketClass::udp(ports) } else { PacketClass::Nothing });
    };
    let shortest = header_len as u32 + ip::transport_header(header[9]);
    if packet.length < shortest || !frame.holds(l3, packet.length) {
        return Err(Refusal::BadLength);
    }
    let source = [header[12], header[13], header[14], header[15]];
    packet.kind = kind(frame, header[9], l4)?;
    let secret = &tables.config().ok_or(Refusal::NotConfigured)?.flow_keys;
    let ports = FlowPorts { ports, protocol: header[9] };
    packet.set_flow(vip, ports, |ports| flow_hash_v4(secret, source, destination, ports));
    Ok(PacketClass::Vip)
}

/// Returns the kind of the packet.
#[inline(always)]
pub(crate) fn kind<F: Frame>(frame: &F, protocol: u8, l4: usize) -> Result<PacketKind, Refusal> {
    if protocol == protocol::UDP {
        return Ok(PacketKind::Udp);
    }
    // One view for both: the TCP flags directly follow the offset of the SCTP chunk type.
    let [chunk, flags] = frame.view::<2>(l4 + ip::SCTP_CHUNK_TYPE).ok_or(Refusal::BadLength)?;
    Ok(if protocol == protocol::SCTP {
        PacketKind::of_sctp_chunk(*chunk)
    } else {
        PacketKind::of_tcp_flags(*flags)
    })
}
