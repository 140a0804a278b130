//! Two chances, as in GLB: a primary that forwards packets of unknown connections to a secondary.

use std::sync::Arc;

use lb_common::ring::{NO_NODE, NodeIndex};
use lb_pipeline::owner::PacketKind;

use super::holders::Holders;
use super::memo::Memo;
use super::{Arrival, Scheme, SimulatedPacket, accepting, entry};
use crate::simulation::Tick;
use crate::simulation::scheme::fairlead::preferences;
use crate::simulation::trace::Member;
use crate::simulation::world::View;

/// Rows of the table.
const ROWS: usize = 65_536;

/// Primary and secondary.
type Row = [NodeIndex; 2];
/// The members, and whether each takes new flows.
type FlowState = Vec<(NodeIndex, u32, bool)>;

/// Each row has the two best nodes by rendezvous hashing. A primary that drains or is dead swaps places with
/// its secondary, so a flow survives one change of its row; after two its node is in neither place. The
/// director puts both into the packet, so the primary needs no table.
#[derive(Default)]
pub struct Glb {
    memo: Memo<FlowState, [Row]>,
    tables: Vec<Arc<[Row]>>,
    holders: Holders,
}

fn rows(state: &FlowState) -> Vec<Row> {
    let members: Vec<_> = state.iter().map(|(node, weight, _)| (*node, *weight)).collect();
    let row = |[first, second, ..]: [u16; 4]| {
        let member = |number: u16| state.get(usize::from(number)).copied();
        match (member(first), member(second)) {
            (Some((first, _, false)), Some((second, _, true))) => [second, first],
            (first, second) => [first, second].map(|member| member.map_or(NO_NODE, |(node, ..)| node)),
        }
    };
    preferences(&members, ROWS).order(|_| true).into_iter().map(row).collect()
}

fn state(view: &View) -> FlowState {
    let accepting = accepting(view);
    let member = |(node, member): (&NodeIndex, &Member)| {
        (*node, member.weight, accepting.iter().any(|(other, _)| other == node))
    };
    view.members.iter().map(member).collect()
}

impl Scheme for Glb {
    fn name(&self) -> &'static str {
        "two chances (GLB)"
    }

    fn start(&mut self, node: NodeIndex) {
        *entry(&mut self.tables, node) = Arc::default();
        self.holders.forget(node);
    }

    fn update_view(&mut self, node: NodeIndex, view: &View, _now: Tick) {
        let table = self.memo.of(state(view), |state| rows(state).into());
        *entry(&mut self.tables, node) = table;
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        let table = self.tables.get(usize::from(packet.director));
        let row = table.and_then(|rows| rows.get(packet.hash as usize & (ROWS - 1)));
        let Some([primary, secondary]) = row.copied().filter(|_| packet.reaches(packet.director)) else {
            return Arrival::Lost;
        };
        if !packet.reaches(primary) {
            return Arrival::Lost;
        }
        if packet.kind == PacketKind::Opening {
            self.holders.put(packet.flow, primary);
        }
        let is_last = secondary == NO_NODE;
        let is_known = self.holders.get(packet.flow) == primary;
        packet.served_by(if is_known || is_last { primary } else { secondary })
    }
}
