//! A flow recorded in the table of flows, and what is counted with it: only packets that change the table pay
//! for these counters.

use lb_common::flows::{self, FlowEntry, FlowKey, FlowState};
use lb_common::maps::flow_event;
use lb_common::ring::NO_NODE;

use crate::owner::PacketKind;
use crate::packet::PacketInfo;
use crate::tables::Tables;

/// Records the flow of a packet as that of the entry's node.
#[inline(always)]
pub fn note_flow<T: Tables>(tables: &T, packet: &PacketInfo, entry: FlowEntry) {
    let key = FlowKey::of(packet.flow);
    let Some(set) = tables.flow_set(key.set) else { return };
    let evicted = set.put(key.tag, entry);
    if evicted != 0 {
        tables.count_flow_event(evicted as u32);
    }
    let own = tables.config().map_or(NO_NODE, |config| config.self_node);
    let holder = flows::holder(packet.entry);
    if entry.node != own {
        if entry.node != holder {
            tables.count_flow_event(flow_event::DELEGATED);
        }
    } else if begins(packet, entry, holder == own) {
        tables.count_new_flow(packet.vip);
    }
}

/// Returns whether the packet begins a flow: a first SYN or INIT, or a datagram of a flow without an entry.
/// Later packets of a flow whose entry was evicted do not begin it again, except datagrams, which do not show
/// when a flow begins.
#[inline(always)]
fn begins(packet: &PacketInfo, entry: FlowEntry, was_own: bool) -> bool {
    match packet.kind {
        PacketKind::Opening => {
            let was_half_open = was_own && flows::state(packet.entry) == FlowState::HalfOpen as u32;
            entry.state as u32 == FlowState::HalfOpen as u32 && !was_half_open
        }
        PacketKind::Udp => packet.entry == 0,
        PacketKind::Tcp | PacketKind::Closing => false,
    }
}
