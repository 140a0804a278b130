//! The liveness states of nodes: their cells against the probe clock.

use lb_common::maps::Config;
use lb_common::ring::{NO_NODE, NodeIndex, Slot, nodes_of};

use crate::owner::LivenessState;
use crate::tables::Tables;

/// Returns the liveness state of a node.
#[inline(always)]
pub fn liveness_of<T: Tables>(tables: &T, node: NodeIndex) -> LivenessState {
    let Some(config) = tables.config() else { return LivenessState::Dead };
    if node == config.self_node || config.liveness_limit == 0 {
        return LivenessState::Accepting;
    }
    let Some(liveness) = tables.liveness(node) else { return LivenessState::Dead };
    LivenessState::of(liveness, tables.clock(), config.liveness_limit)
}

/// Returns whether a node of the slot died so recently that it may come back. One that was leaving does not.
#[inline(always)]
pub fn has_recent_death<T: Tables>(tables: &T, slot: Slot) -> bool {
    let Some(config) = tables.config() else { return false };
    let clock = tables.clock();
    for node in nodes_of(slot.order_word()) {
        if node != config.self_node && died_lately(tables, config, clock, node) {
            return true;
        }
    }
    for node in slot.former {
        if node == NO_NODE {
            return false;
        }
        if node != config.self_node && died_lately(tables, config, clock, node) {
            return true;
        }
    }
    false
}

#[inline(always)]
fn died_lately<T: Tables>(tables: &T, config: &Config, clock: u32, node: NodeIndex) -> bool {
    let Some(liveness) = tables.liveness(node) else { return false };
    // If the node is not dead, this wraps around and exceeds any hold time.
    let dead_for = liveness.silence(clock).wrapping_sub(config.liveness_limit);
    config.liveness_limit != 0 && dead_for < config.hold_ticks && !liveness.is_leaving()
}
