//! IPv4: from its header to what it is for us.

use super::{Arrival, Family, Found, Target, decapsulate, deliver, echo};
use crate::frame::Frame;
use crate::hash::{FlowPorts, flow_hash_v4};
use crate::maps::{VIP_AFFINITY, Vip4Key};
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::wire::gue;
use crate::wire::ip::{self, protocol};

/// More-fragments bit and fragment offset.
const FRAGMENT: u16 = 0x3fff;
/// Fragment offset alone.
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[inline(always)]
pub(super) fn judge<F: Frame, T: Tables>(frame: &mut F, tables: &T, l3: usize) -> Result<Forward, Refusal> {
    match find(frame, tables, l3)? {
        Found::Target(target) => deliver::judge(frame, tables, &target, Arrival::Wire),
        Found::Tunnel(udp) => decapsulate::judge_v4(frame, tables, l3, udp),
        Found::Icmp(at) => echo::judge_v4(frame, tables, l3, at),
        Found::Nothing => Ok(Forward::Pass(Outcome::NotOurs)),
    }
}

/// Reads header and ports and asks whether they are a VIP's.
#[inline(always)]
pub(super) fn find<F: Frame, T: Tables>(frame: &F, tables: &T, l3: usize) -> Result<Found, Refusal> {
    let header = frame.view::<{ ip::V4_HEADER }>(l3).ok_or(Refusal::Truncated)?;
    let header_len = ((header[0] & 0x0f) as usize) * 4;
    if header[0] >> 4 != 4 || header_len < ip::V4_HEADER {
        return Err(Refusal::BadIpHeader);
    }
    let destination = [header[16], header[17], header[18], header[19]];
    let fragment = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT;
    let l4 = l3 + header_len;
    if fragment & FRAGMENT_OFFSET != 0 {
        let ours = tables.vip4(&Vip4Key::address(destination)).is_some();
        return if ours { Err(Refusal::Fragment) } else { Ok(Found::Nothing) };
    }
    match header[9] {
        protocol::TCP | protocol::UDP => {}
        protocol::ICMP if fragment == 0 && header_len == ip::V4_HEADER => return Ok(Found::Icmp(l4)),
        _ => return Ok(Found::Nothing),
    }
    let ports = *frame.view::<4>(l4).ok_or(Refusal::Truncated)?;
    let key = Vip4Key::port(destination, [ports[2], ports[3]], header[9]);
    let Some(vip) = tables.vip4(&key) else {
        let tunnel = fragment == 0 && header[9] == protocol::UDP && key.port == gue::PORT;
        return Ok(if tunnel { Found::Tunnel(l4) } else { Found::Nothing });
    };
    if fragment != 0 {
        return Err(Refusal::Fragment);
    }
    let length = u32::from(u16::from_be_bytes([header[2], header[3]]));
    let shortest = header_len as u32 + ip::transport_header(header[9]);
    if length < shortest || !holds(frame, l3, length) {
        return Err(Refusal::BadLength);
    }
    let source = [header[12], header[13], header[14], header[15]];
    let flow = if vip.flags & VIP_AFFINITY != 0 {
        FlowPorts::AFFINITY
    } else {
        FlowPorts { ports, protocol: header[9] }
    };
    let config = tables.config().ok_or(Refusal::NotConfigured)?;
    let hash = flow_hash_v4(&config.hash_key, source, destination, flow);
    Ok(Found::Target(Target { vip: *vip, hash, family: Family::V4, l3, length }))
}

/// Whether the frame holds an IP packet of this length at `l3`.
#[inline(always)]
pub(super) fn holds<F: Frame>(frame: &F, l3: usize, length: u32) -> bool {
    let end = l3 + length as usize;
    end <= frame.linear_len() || end <= frame.total_len()
}
