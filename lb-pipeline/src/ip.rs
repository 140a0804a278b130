//! IP packets of either family.

use lb_common::verdict::Refusal;
use lb_common::wire::ip::Family;
use lb_common::wire::{ethernet, icmp};

use crate::class::PacketClass;
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::{ipv4, ipv6};

/// Reads the next IP packet.
///
/// # Errors
/// The packet is invalid, or its VIP refuses it.
#[inline(always)]
pub fn read<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
    ether_type: [u8; 2],
) -> Result<PacketClass, Refusal> {
    if ether_type == ethernet::IPV4 {
        packet.family = Family::V4;
        ipv4::read(frame, tables, packet)
    } else {
        packet.family = Family::V6;
        ipv6::read(frame, tables, packet)
    }
}

/// Returns whether an ICMP message is an error.
#[inline(always)]
pub(crate) fn is_icmp_error<F: Subprograms>(frame: &F, packet: &PacketInfo) -> bool {
    let Some([kind]) = frame.view::<1>(packet.l4) else { return false };
    match packet.family {
        Family::V4 => icmp::is_error(*kind),
        Family::V6 => icmp::is_error_v6(*kind),
    }
}
