//! IPv6: the class of a packet.

use lb_common::hash::{FlowPorts, flow_hash_v6};
use lb_common::maps::Vip6Key;
use lb_common::verdict::Refusal;
use lb_common::wire::ip::{self, protocol};

use crate::class::PacketClass;
use crate::ipv4::kind;
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};

/// Maximum number of extension headers. RFC 8200 section 4.1 lists five kinds before the upper layer.
const MAX_EXTENSIONS: usize = 6;

/// Reads headers and ports, and looks up the VIP.
#[inline(always)]
pub(crate) fn read<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Result<PacketClass, Refusal> {
    match frame.walk_v6(packet)? {
        PacketClass::Vip => frame.find_v6(tables, packet),
        found => Ok(found),
    }
}

/// Reads the headers up to the first that is no extension. Returns [`PacketClass::Vip`] if that one has
/// ports.
///
/// # Errors
/// [`Refusal::Truncated`], [`Refusal::BadIpHeader`], [`Refusal::TooManyHeaders`].
#[inline(always)]
pub fn walk_v6<F: Subprograms>(frame: &F, packet: &mut PacketInfo) -> Result<PacketClass, Refusal> {
    let l3 = packet.l3;
    let header = frame.view::<{ ip::V6_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(Refusal::BadIpHeader);
    }
    packet.length = ip::V6_HEADER as u32 + u32::from(u16::from_be_bytes([header[4], header[5]]));
    let upper = match upper_layer(frame, packet, header[6])? {
        Chain::Upper(upper) => upper,
        Chain::Fragment => return Ok(PacketClass::Fragment),
        Chain::Other => return Ok(PacketClass::Nothing),
    };
    packet.l4 = upper.at;
    packet.upper = u32::from(upper.protocol);
    Ok(match upper.protocol {
        protocol if ip::has_ports(protocol) => PacketClass::Vip,
        protocol::IPV4 | protocol::IPV6 if !packet.is_first_fragment => {
            packet.protocol = u32::from(upper.protocol);
            PacketClass::Ipip
        }
        protocol::ICMPV6 if upper.at == l3 + ip::V6_HEADER => PacketClass::Icmp,
        _ => PacketClass::Nothing,
    })
}

/// Looks up the VIP of the ports behind the headers that [`walk_v6`] has read.
///
/// # Errors
/// [`Refusal::Truncated`], [`Refusal::BadLength`], [`Refusal::NotConfigured`].
#[inline(always)]
pub fn find_v6<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Result<PacketClass, Refusal> {
    let (l3, at, protocol) = (packet.l3, packet.l4, packet.upper as u8);
    let header = frame.view::<{ ip::V6_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let ports = *frame.view::<4>(at).ok_or(Refusal::Truncated)?;
    let key = Vip6Key::port(destination(header), [ports[2], ports[3]], protocol);
    let Some(vip) = tables.vip6(&key) else {
        packet.may_be_closed = tables.config().is_some_and(|config| config.vips.may_hold6(key.address));
        let udp = protocol == protocol::UDP && !packet.is_first_fragment;
        return Ok(if udp { PacketClass::udp(ports) } else { PacketClass::Nothing });
    };
    let shortest = (at - l3) as u32 + ip::transport_header(protocol);
    if packet.length < shortest || !frame.holds(l3, packet.length) {
        return Err(Refusal::BadLength);
    }
    packet.kind = kind(frame, protocol, at)?;
    let secret = &tables.config().ok_or(Refusal::NotConfigured)?.flow_keys;
    // Read again: the addresses would take up stack in the meantime.
    let header = frame.view::<{ ip::V6_HEADER }>(packet.l3).ok_or(Refusal::Truncated)?;
    let (from, to) = (source(header), destination(header));
    let ports = FlowPorts { ports, protocol };
    packet.set_flow(vip, ports, |ports| flow_hash_v6(secret, &from, &to, ports));
    Ok(PacketClass::Vip)
}

/// The first header that is no extension: number and offset.
struct Upper {
    protocol: u8,
    at: usize,
}

/// The end of a chain of extension headers.
enum Chain {
    Upper(Upper),
    /// A fragment, which may not contain the ports.
    Fragment,
    /// Anything that is never for a VIP.
    Other,
}

#[inline(always)]
fn upper_layer<F: Subprograms>(frame: &F, packet: &mut PacketInfo, first: u8) -> Result<Chain, Refusal> {
    let mut next = first;
    let mut at = packet.l3 + ip::V6_HEADER;
    packet.is_first_fragment = false;
    for _ in 0..=MAX_EXTENSIONS {
        let length = match next {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
                let header = frame.view::<4>(at).ok_or(Refusal::Truncated)?;
                // While segments are left, the destination is an intermediate one (RFC 8200 section 4.4).
                if next == protocol::ROUTING && header[3] != 0 {
                    return Ok(Chain::Other);
                }
                next = header[0];
                (header[1] as usize + 1) * 8
            }
            protocol::FRAGMENT => {
                let header = frame.view::<8>(at).ok_or(Refusal::Truncated)?;
                let part = u16::from_be_bytes([header[2], header[3]]);
                next = header[0];
                packet.protocol = u32::from(next);
                packet.fragment_id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                if part & 0xfff8 != 0 {
                    return Ok(if ip::has_ports(next) { Chain::Fragment } else { Chain::Other });
                }
                // Offset zero and no more fragments: an atomic fragment is a whole packet (RFC 6946).
                packet.is_first_fragment = part & 1 != 0;
                8
            }
            _ => return Ok(Chain::Upper(Upper { protocol: next, at })),
        };
        at += length;
    }
    Err(Refusal::TooManyHeaders)
}

/// Returns the source, copied as a number: the BPF compiler copies bytes one by one.
#[inline(always)]
fn source(header: &[u8; ip::V6_HEADER]) -> [u8; 16] {
    let [_, _, _, _, _, _, _, _, a @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *header;
    u128::from_ne_bytes(a).to_ne_bytes()
}

#[inline(always)]
fn destination(header: &[u8; ip::V6_HEADER]) -> [u8; 16] {
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, a @ ..] = *header;
    u128::from_ne_bytes(a).to_ne_bytes()
}
