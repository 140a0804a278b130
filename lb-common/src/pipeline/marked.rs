//! Second chances under the experimental EtherTypes: what they were is put back before anything else looks.

use super::{Found, Packet};
use crate::frame::Frame;
use crate::owner::MAX_ASKED;
use crate::tables::Tables;
use crate::verdict::Refusal;
use crate::wire::ethernet;

/// Puts the EtherType back, notes who has been asked, and reads the packet. What is from no peer is none of
/// ours: these EtherTypes are free for everybody's experiments.
#[inline(always)]
pub(super) fn read<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
    mark: [u8; 2],
) -> Result<Found, Refusal> {
    match restore(frame, tables, packet, mark) {
        Some(ether_type) => super::read(frame, tables, packet, ether_type),
        None => Ok(Found::Nothing),
    }
}

#[inline(always)]
fn restore<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
    mark: [u8; 2],
) -> Option<[u8; 2]> {
    let macs = frame.view::<{ ethernet::MACS }>(0)?;
    let sender = tables.peer_mac(&[macs[6], macs[7], macs[8], macs[9], macs[10], macs[11], 0, 0])?;
    let [version] = frame.view::<1>(packet.l3)?;
    let ether_type = match version >> 4 {
        4 => ethernet::IPV4,
        6 => ethernet::IPV6,
        _ => return None,
    };
    packet.asked.by_peer = true;
    packet.asked.ids[0] = tables.node(sender)?.id;
    // Of several only the last is known by its MAC, so nobody else can be asked any more.
    packet.asked.count = if mark == ethernet::ASKED_ONE { 1 } else { MAX_ASKED - 1 };
    *frame.view_mut::<2>(packet.l3 - 2)? = ether_type;
    Some(ether_type)
}
