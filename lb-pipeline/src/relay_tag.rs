//! Second chances with an experimental EtherType: the original one is restored once the packet is known to be
//! for a VIP.

use lb_common::verdict::Refusal;
use lb_common::wire::ethernet;
use lb_common::wire::gue::MAX_ASKED;

use crate::class::PacketClass;
use crate::owner::{MARK_LAST, MARK_LED};
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};

/// Records the node asked, and reads the packet. Packets that are not from a node pass: these EtherTypes are
/// free for any experiment.
#[inline(always)]
pub(crate) fn read<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
    mark: [u8; 2],
) -> Result<PacketClass, Refusal> {
    let Some(ether_type) = recognise(frame, tables, packet, mark) else { return Ok(PacketClass::Nothing) };
    let found = frame.read(tables, packet, ether_type)?;
    Ok(if matches!(found, PacketClass::Vip | PacketClass::Fragment | PacketClass::Icmp) {
        found
    } else {
        PacketClass::Nothing
    })
}

/// Restores the EtherType, once the packet is known to be for a VIP.
#[inline(always)]
pub(crate) fn restore<F: Subprograms>(frame: &mut F, packet: &PacketInfo) -> Result<(), Refusal> {
    *frame.view_mut::<2>(packet.type_at).ok_or(Refusal::Truncated)? = packet.family.ether_type();
    Ok(())
}

/// Returns the original EtherType of a packet from a node with such a mark.
#[inline(always)]
fn recognise<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
    mark: [u8; 2],
) -> Option<[u8; 2]> {
    let macs = frame.view::<{ ethernet::MACS }>(0)?;
    let sender = tables.node_by_mac(&[macs[6], macs[7], macs[8], macs[9], macs[10], macs[11], 0, 0])?;
    let [version] = frame.view::<1>(packet.l3)?;
    packet.asked.by_node = true;
    packet.asked.ids[0] = tables.node(sender)?.id;
    // Of several nodes, only the last is known, by its MAC, so no other can be asked. A single one is home.
    let is_alone = mark == ethernet::ASKED_ONE;
    packet.asked.count = if is_alone { 1 } else { MAX_ASKED - 1 };
    packet.asked.trail.marks = if is_alone { MARK_LED } else { MARK_LED | MARK_LAST };
    match version >> 4 {
        4 => Some(ethernet::IPV4),
        6 => Some(ethernet::IPV6),
        _ => None,
    }
}
