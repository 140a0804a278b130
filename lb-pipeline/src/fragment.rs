//! Fragments of packets for a VIP. Only the first has ports, so its destination is recorded, and the others
//! follow it.
//!
//! A fragment that arrives before the first, or at another node, is forwarded by addresses and protocol
//! alone: all such fragments of a pair of hosts reach the same node.

use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::maps::{FragmentFlow, FragmentKey, Vip4Key, Vip6Key};
use lb_common::wire::ip::{self, Family, protocol};

use crate::frame::Frame;
use crate::owner::PacketKind;
use crate::packet::PacketInfo;
use crate::tables::Tables;

/// Records the destination of a first fragment.
#[inline(always)]
pub fn note_fragment<F: Frame, T: Tables>(frame: &F, tables: &T, packet: &PacketInfo) {
    if let Some(key) = key(frame, packet) {
        let PacketInfo { slot, vip, flags, hash, flow, .. } = *packet;
        tables.note_fragment(&key, &FragmentFlow { slot, vip, flags, pad: 0, hash, flow });
    }
}

/// Looks up the destination of a later fragment. Returns false if it is for no VIP.
#[inline(always)]
pub fn follow_fragment<F: Frame, T: Tables>(frame: &F, tables: &T, packet: &mut PacketInfo) -> bool {
    packet.kind = if packet.protocol == u32::from(protocol::UDP) { PacketKind::Udp } else { PacketKind::Tcp };
    let Some(key) = key(frame, packet) else { return false };
    let Some(hash) = hash_of_addresses(frame, tables, packet) else { return false };
    // Not every node that it reaches has seen the first.
    packet.name = hash;
    if let Some(first) = tables.fragment(&key) {
        packet.slot = first.slot;
        packet.vip = first.vip;
        packet.flags = first.flags;
        packet.hash = first.hash;
        packet.flow = first.flow;
        return true;
    }
    by_addresses(frame, tables, packet, hash)
}

#[inline(always)]
fn key<F: Frame>(frame: &F, packet: &PacketInfo) -> Option<FragmentKey> {
    let word = |at: usize| frame.view::<8>(at).map(|bytes| u64::from_ne_bytes(*bytes));
    let addresses = match packet.family {
        Family::V4 => [word(packet.l3 + ip::v4::SOURCE)?, 0, 0, 0],
        Family::V6 => {
            let at = packet.l3 + ip::v6::SOURCE;
            [word(at)?, word(at + 8)?, word(at + 16)?, word(at + 24)?]
        }
    };
    Some(FragmentKey { addresses, id: packet.fragment_id, protocol: packet.protocol })
}

/// Returns the hash of addresses and protocol.
#[inline(always)]
fn hash_of_addresses<F: Frame, T: Tables>(frame: &F, tables: &T, packet: &PacketInfo) -> Option<u64> {
    let secret = &tables.config()?.flow_keys;
    let flow = FlowPorts { ports: [0; 4], protocol: packet.protocol as u8 };
    Some(match packet.family {
        Family::V4 => {
            let [s0, s1, s2, s3, d0, d1, d2, d3] = *frame.view::<8>(packet.l3 + ip::v4::SOURCE)?;
            flow_hash_v4(secret, [s0, s1, s2, s3], [d0, d1, d2, d3], flow)
        }
        Family::V6 => {
            let source = frame.view::<16>(packet.l3 + ip::v6::SOURCE)?;
            let destination = frame.view::<16>(packet.l3 + ip::v6::SOURCE + 16)?;
            flow_hash_v6(secret, source, destination, flow)
        }
    })
}

#[inline(always)]
fn by_addresses<F: Frame, T: Tables>(frame: &F, tables: &T, packet: &mut PacketInfo, hash: u64) -> bool {
    let found = match packet.family {
        Family::V4 => {
            let Some(destination) = frame.view::<4>(packet.l3 + ip::v4::SOURCE + 4) else { return false };
            tables.vip4(&Vip4Key::address(*destination))
        }
        Family::V6 => {
            let Some(destination) = frame.view::<16>(packet.l3 + ip::v6::SOURCE + 16) else { return false };
            tables.vip6(&Vip6Key::address(*destination))
        }
    };
    match found {
        Some(vip) => {
            packet.set_vip(vip, hash, hash);
            true
        }
        None => false,
    }
}
