//! ICMP errors about packets from a VIP, which go to the owner of the flow.
//!
//! A quote is the IP header of a packet from the VIP to the client, and at least eight bytes behind it: the
//! flow in the reverse direction. An error is addressed to the source of its quote; any other error passes.

use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::maps::{Vip4Key, Vip6Key};
use lb_common::verdict::Refusal;
use lb_common::wire::icmp;
use lb_common::wire::ip::{self, Family, protocol};

use crate::class::PacketClass;
use crate::frame::Frame;
use crate::owner::PacketKind;
use crate::packet::PacketInfo;
use crate::tables::Tables;

/// Reads an ICMP error whose ICMP header has been found. Returns whether it is about a packet from a VIP.
///
/// # Errors
/// [`Refusal::NotConfigured`], [`Refusal::ForeignIcmpError`].
#[inline(always)]
pub fn read_icmp_quote<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Result<bool, Refusal> {
    let found = match packet.family {
        Family::V4 => read_v4(frame, tables, packet)?,
        Family::V6 => read_v6(frame, tables, packet)?,
    };
    Ok(found == PacketClass::Vip && frame.holds(packet.l3, packet.length))
}

#[inline(always)]
fn read_v4<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Result<PacketClass, Refusal> {
    let at = packet.l4 + icmp::HEADER;
    let Some(quoted) = frame.view::<{ ip::V4_HEADER }>(at) else { return Ok(PacketClass::Nothing) };
    let header_len = ((quoted[0] & 0x0f) as usize) * 4;
    let protocol = quoted[9];
    let later_part = u16::from_be_bytes([quoted[6], quoted[7]]) & 0x1fff != 0;
    if quoted[0] >> 4 != 4 || header_len < ip::V4_HEADER || later_part || !ip::has_ports(protocol) {
        return Ok(PacketClass::Nothing);
    }
    let vip_address = [quoted[12], quoted[13], quoted[14], quoted[15]];
    let client = [quoted[16], quoted[17], quoted[18], quoted[19]];
    let Some(ports) = frame.view::<4>(at + header_len).copied() else { return Ok(PacketClass::Nothing) };
    let Some(vip) = tables.vip4(&Vip4Key::port(vip_address, [ports[0], ports[1]], protocol)) else {
        return Ok(PacketClass::Nothing);
    };
    if frame.view::<4>(packet.l3 + ip::v4::DESTINATION).is_none_or(|to| *to != vip_address) {
        return Err(Refusal::ForeignIcmpError);
    }
    let key = &tables.config().ok_or(Refusal::NotConfigured)?.flow_keys;
    let ports = FlowPorts { ports: turned(ports), protocol };
    packet.set_flow(vip, ports, |ports| flow_hash_v4(key, client, vip_address, ports));
    packet.kind = kind(protocol);
    Ok(PacketClass::Vip)
}

#[inline(always)]
fn read_v6<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Result<PacketClass, Refusal> {
    let at = packet.l4 + icmp::HEADER;
    let Some(&[first, _, _, _, _, _, protocol, _]) = frame.view::<8>(at) else {
        return Ok(PacketClass::Nothing);
    };
    // Quotes with extension headers are not supported: nodes do not send such packets.
    if first >> 4 != 6 || !ip::has_ports(protocol) {
        return Ok(PacketClass::Nothing);
    }
    let Some(vip_address) = frame.view::<16>(at + 8).copied() else { return Ok(PacketClass::Nothing) };
    let Some(client) = frame.view::<16>(at + 24).copied() else { return Ok(PacketClass::Nothing) };
    let Some(ports) = frame.view::<4>(at + ip::V6_HEADER).copied() else { return Ok(PacketClass::Nothing) };
    let Some(vip) = tables.vip6(&Vip6Key::port(vip_address, [ports[0], ports[1]], protocol)) else {
        return Ok(PacketClass::Nothing);
    };
    let to = frame.view::<16>(packet.l3 + ip::v6::DESTINATION).map(|to| u128::from_ne_bytes(*to));
    if to != Some(u128::from_ne_bytes(vip_address)) {
        return Err(Refusal::ForeignIcmpError);
    }
    let key = &tables.config().ok_or(Refusal::NotConfigured)?.flow_keys;
    let ports = FlowPorts { ports: turned(ports), protocol };
    packet.set_flow(vip, ports, |ports| flow_hash_v6(key, &client, &vip_address, ports));
    packet.kind = kind(protocol);
    Ok(PacketClass::Vip)
}

/// Returns the ports in the direction of the flow.
#[inline(always)]
const fn turned([v0, v1, c0, c1]: [u8; 4]) -> [u8; 4] {
    [c0, c1, v0, v1]
}

/// Returns the kind of an error, which neither opens a flow nor closes it.
#[inline(always)]
const fn kind(protocol: u8) -> PacketKind {
    if protocol == protocol::UDP { PacketKind::Udp } else { PacketKind::Tcp }
}
