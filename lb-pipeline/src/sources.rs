//! Source ranges of Services: what comes from a client outside them is dropped, whatever it is.
//!
//! A VIP without [`VIP_SOURCES`] costs no look-up. Who the client is depends on the packet: its source; of an ICMP error
//! the destination of what it quotes, because routers on the way may have any address. An address of a VIP has the ranges
//! of all its Services together, and the flag only if each of them has ranges: for echo requests, ports that are none of
//! its Services', and fragments that come before their first.

use lb_common::maps::{Source, VIP_SOURCES, v4_mapped};
use lb_common::verdict::Refusal;
use lb_common::wire::icmp;
use lb_common::wire::ip::{self, Family};

use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};

/// Refuses a packet whose VIP has been noted and does not admit its client.
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

/// Whether the packet's VIP, which has source ranges, does not admit its client; counts it then.
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

/// The address of the packet's client.
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

/// Offset of the packet that an error quotes. A later fragment has no such header, and its offset is nowhere.
#[inline(always)]
const fn quote(packet: &PacketInfo) -> usize {
    packet.l4 + icmp::HEADER
}
