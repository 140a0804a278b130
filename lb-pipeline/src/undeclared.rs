//! Ports of a VIP that are none of its Services': refused here, or the packet would go back to the router that sends all
//! of the VIP's packets to its nodes, and to and fro until its TTL ends.
//!
//! A VIP that is an address of a node, too, is not closed: its other ports are the node's own.

use lb_common::maps::{CONFIG_UNREACHABLE, VIP_CLOSED, Vip4Key, Vip6Key};
use lb_common::verdict::Refusal;
use lb_common::wire::ip::{self, Family};

use crate::packet::PacketInfo;
use crate::sources;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::verdict::Verdict;

/// Whether TCP or UDP to no port of a VIP that the program knows is to be refused: its destination is a VIP, which is
/// noted then.
#[inline(always)]
pub fn is_undeclared<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
) -> bool {
    let vip = match packet.family {
        Family::V4 => frame
            .view::<4>(packet.l3 + ip::v4::DESTINATION)
            .and_then(|address| tables.vip4(&Vip4Key::address(*address))),
        Family::V6 => frame
            .view::<16>(packet.l3 + ip::v6::DESTINATION)
            .and_then(|address| tables.vip6(&Vip6Key::address(*address))),
    };
    match vip {
        Some(vip) if vip.flags & VIP_CLOSED != 0 => {
            packet.note_vip(vip);
            true
        }
        _ => false,
    }
}

/// Refuses such a packet. A client that no Service on the address admits gets no answer.
#[inline(always)]
pub(crate) fn refuse<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &PacketInfo,
) -> Verdict {
    sources::check(frame, tables, packet)?;
    let answers = tables.config().is_some_and(|config| config.flags & CONFIG_UNREACHABLE != 0);
    if !answers || !frame.holds(packet.l3, packet.length) {
        return Err(Refusal::UndeclaredPort);
    }
    frame.send_icmp_error(tables, packet, Refusal::UndeclaredPort)
}
