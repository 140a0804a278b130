//! Second chances: a packet of a flow that this node does not own goes to the next node that may, with the
//! list of nodes asked.
//!
//! In GUE if that fits; else, to an on-link node, by a MAC rewrite with an EtherType that encodes how many
//! nodes have been asked: one or more.

use lb_common::forwarding::ForwardingMode;
use lb_common::ring::NodeIndex;
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ethernet;

use crate::encapsulate;
use crate::hop::{decrement_ttl, macs_to};
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};

/// Sends the packet to a node. `own_id` is this node, which the list of nodes asked does not contain yet.
#[inline(always)]
pub(crate) fn send<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    index: NodeIndex,
    packet: &mut PacketInfo,
    own_id: u32,
) -> Result<Outcome, Refusal> {
    let node = tables.node(index).ok_or(Refusal::NoNextHop)?;
    let mode = node.forwarding_mode().ok_or(Refusal::NoNextHop)?;
    let mark = if packet.asked.count == 0 { ethernet::ASKED_ONE } else { ethernet::ASKED_MORE };
    packet.asked.push(own_id);
    if node.outer_family != 0 && encapsulate::fits(node, packet) {
        frame.encapsulate(tables, index, packet)?;
        return Ok(Outcome::AskedGue);
    }
    if mode != ForwardingMode::L2 {
        return Err(encapsulate::too_big(node, packet));
    }
    decrement_ttl(frame, packet)?;
    *frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)? = macs_to(node);
    *frame.view_mut::<2>(packet.type_at).ok_or(Refusal::Truncated)? = mark;
    Ok(Outcome::AskedL2)
}
