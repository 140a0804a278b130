//! Undeclared ports of a VIP. Their packets are refused here; the stack would return them to the router,
//! which routes the VIP to the nodes, and they would loop until their TTL expires.
//!
//! A VIP that is also an address of a node is not closed: its other ports are the node's.

use lb_common::maps::{CONFIG_UNREACHABLE, VIP_CLOSED, Vip4Key, Vip6Key};
use lb_common::verdict::Refusal;
use lb_common::wire::ip::{self, Family};

use crate::packet::PacketInfo;
use crate::sources;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::verdict::Verdict;

/// Returns whether a TCP or UDP packet to an unknown port is to be refused because its destination is a
/// closed VIP, and records that VIP.
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

/// Refuses such a packet. Clients that no Service of the address admits get no answer.
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
