//! What this node last knew of the others, and what follows from it.

use lb_common::maps::{Liveness, RANKS, Standing};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_pipeline::announcer::{AnnouncerState, OwnStanding, first_live};

use crate::standing::{Hypothesis, LiveNode};
use crate::table::L2Table;

/// The states of all nodes that have a rank or are probed.
#[derive(Clone, Debug)]
pub(super) struct NodeStates {
    own: NodeIndex,
    /// In ascending order.
    nodes: Vec<NodeIndex>,
    /// [`Liveness::state`] of each; `None`: dead.
    states: Vec<Option<u32>>,
}

impl Default for NodeStates {
    fn default() -> Self {
        Self { own: NO_NODE, nodes: Vec::new(), states: Vec::new() }
    }
}

impl NodeStates {
    /// Looks at the nodes of a table from now on.
    pub(super) fn set_table(&mut self, table: &L2Table) {
        let ranked = table.addresses.values().flat_map(|entry| entry.ranks);
        let mut nodes: Vec<NodeIndex> = ranked.chain(table.probed.iter().copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|node| *node != table.own && *node != NO_NODE);
        let states = nodes.iter().map(|node| self.state(*node)).collect();
        (self.own, self.nodes, self.states) = (table.own, nodes, states);
    }

    fn state(&self, node: NodeIndex) -> Option<u32> {
        let place = self.nodes.binary_search(&node).ok()?;
        self.states.get(place).copied().flatten()
    }

    /// Takes the states of all nodes. Returns whether one has changed.
    pub(super) fn set(&mut self, states: impl Fn(NodeIndex) -> Option<Liveness>) -> bool {
        let mut has_changed = false;
        for (node, state) in self.nodes.iter().zip(&mut self.states) {
            let new = states(*node).map(|cell| cell.state);
            has_changed |= *state != new;
            *state = new;
        }
        has_changed
    }

    /// Returns the other nodes; `None`: dead. One whose next hop is not resolved is not probed, and dead.
    pub(super) fn others(&self) -> Vec<Option<LiveNode>> {
        self.states.iter().map(|state| state.map(live_node)).collect()
    }

    /// Returns this node as an announcer.
    pub(super) const fn own(&self, is_draining: bool, standing: Standing) -> OwnStanding {
        OwnStanding { node: self.own, is_draining, standing }
    }

    /// Returns the node that announces an address.
    pub(super) fn first_live(&self, ranks: [NodeIndex; RANKS], own: OwnStanding) -> Option<NodeIndex> {
        let state = |node| self.state(node).map_or(AnnouncerState::DEAD, announcer_state);
        Some(first_live(ranks, own, state)).filter(|node| *node != NO_NODE)
    }

    /// Returns whether no address moves by a hypothetical change.
    pub(super) fn is_harmless(
        &self,
        table: &L2Table,
        is_draining: bool,
        standing: Standing,
        hypothesis: Hypothesis,
    ) -> bool {
        let own = self.own(is_draining, standing);
        let (then, is_all) = match hypothesis {
            Hypothesis::Own(standing) => (standing, false),
            Hypothesis::AllStable => (Standing::Stable, true),
        };
        let own_then = OwnStanding { standing: then, ..own };
        let state_then = |node| match self.state(node) {
            Some(state) if is_all => announcer_state(stable(state)),
            Some(state) => announcer_state(state),
            None => AnnouncerState::DEAD,
        };
        let is_same = |ranks| {
            let now = self.first_live(ranks, own);
            now == Some(first_live(ranks, own_then, state_then)).filter(|node| *node != NO_NODE)
        };
        table.addresses.values().all(|entry| is_same(entry.ranks))
    }
}

const fn cell(state: u32) -> Liveness {
    Liveness { last_seen: 0, state }
}

const fn announcer_state(state: u32) -> AnnouncerState {
    AnnouncerState::of_live(cell(state))
}

/// Returns the state with a standing that is stable instead of returned or ready.
const fn stable(state: u32) -> u32 {
    match cell(state).standing() {
        Standing::Absent => state,
        _ => state & !Liveness::standing_bits(Standing::Absent) | Liveness::standing_bits(Standing::Stable),
    }
}

const fn live_node(state: u32) -> LiveNode {
    let cell = cell(state);
    LiveNode { standing: cell.standing(), is_draining: cell.is_draining(), holds_this: cell.holds_this() }
}
