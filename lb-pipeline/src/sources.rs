//! Source ranges of Services: packets of clients outside them are dropped.
//!
//! A VIP without [`VIP_SOURCES`] costs no lookup. The client is the source of a packet; for an ICMP error it
//! is the destination of the quote, because routers may have any address. The address of a VIP has the ranges
//! of all its Services together, and the flag only if all of them have ranges: this applies to echo requests,
//! undeclared ports, and fragments that arrive before the first one.

use lb_common::maps::{Source, VIP_SOURCES, v4_mapped};
use lb_common::verdict::Refusal;
use lb_common::wire::icmp;
use lb_common::wire::ip::{self, Family};

use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};

/// Refuses a packet whose recorded VIP does not admit its client.
///
/// # Errors
/// [`Refusal::SourceRefused`].
#[inline(always)]
pub(crate) fn check<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &PacketInfo,
) -> Result<(), Refusal> {
    if packet.flags & VIP_SOURCES != 0 && frame.is_source_refused(tables, packet) {
        return Err(Refusal::SourceRefused);
    }
    Ok(())
}

/// Returns whether the packet's VIP, which has source ranges, does not admit its client, and counts the
/// packet if so.
#[inline(always)]
pub fn is_source_refused<F: Subprograms, T: TableSubprograms>(
    frame: &F,
    tables: &T,
    packet: &PacketInfo,
) -> bool {
    if let Some(address) = client(frame, packet)
        && tables.admits(&Source { vip: packet.vip, address })
    {
        return false;
    }
    tables.count_source_refused(packet.vip);
    true
}

/// Returns the address of the packet's client.
#[inline(always)]
fn client<F: Subprograms>(frame: &F, packet: &PacketInfo) -> Option<[u8; 16]> {
    match packet.family {
        Family::V4 => {
            let at = if packet.is_error {
                quote(packet) + ip::v4::DESTINATION
            } else {
                packet.l3 + ip::v4::SOURCE
            };
            frame.view::<4>(at).map(|address| v4_mapped(*address))
        }
        Family::V6 => {
            let at = if packet.is_error {
                quote(packet) + ip::v6::DESTINATION
            } else {
                packet.l3 + ip::v6::SOURCE
            };
            frame.view::<16>(at).copied()
        }
    }
}

/// Returns the offset of the quote of an ICMP error.
#[inline(always)]
const fn quote(packet: &PacketInfo) -> usize {
    packet.l4 + icmp::HEADER
}
