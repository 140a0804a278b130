//! The nodes of a slot by wire ID.

use lb_common::ring::{NO_NODE, NodeIndex, nodes_of};

use crate::tables::Tables;

/// Finds the node of a slot with this wire ID; [`NO_NODE`] if there is none.
#[inline(always)]
pub fn find_node<T: Tables>(tables: &T, slot: u32, id: u32) -> NodeIndex {
    let Some(slot) = tables.slot(slot) else { return NO_NODE };
    // An unused entry has ID 0, which is no wire ID.
    let is_it =
        |node: NodeIndex| node != NO_NODE && id != 0 && tables.node(node).is_some_and(|node| node.id == id);
    for node in nodes_of(slot.order_word()) {
        if is_it(node) {
            return node;
        }
    }
    for node in slot.former {
        if is_it(node) {
            return node;
        }
    }
    NO_NODE
}
