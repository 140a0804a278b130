//! Indices of nodes. They are local to the machine and only need to stay stable.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::maps::capacity;
use lb_common::ring::{NO_NODE, NodeIndex, Slot};

use crate::contents::{Contents, Slots, address_key};
use lb_model::{Node, NodeName};

/// Assigns an index to each node while there are any: the installed one, or else the lowest that nothing
/// installed refers to. This machine's own node comes first, because no plan works without it.
pub(super) fn number<'a>(
    nodes: &'a BTreeMap<NodeName, Node>,
    own: &NodeName,
    installed: &Contents,
) -> BTreeMap<&'a NodeName, NodeIndex> {
    let mut indices = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (name, node) in nodes {
        if let Some(index) = installed_index(node, installed).filter(|index| taken.insert(*index)) {
            indices.insert(name, index);
        }
    }
    if indices.len() == nodes.len() {
        return indices;
    }
    taken.extend(referred_to(installed));
    let mut free = all().filter(|index| !taken.contains(index));
    let own = nodes.get_key_value(own).map(|(name, _)| name);
    for name in own.into_iter().chain(nodes.keys()) {
        if indices.contains_key(name) {
            continue;
        }
        let Some(index) = free.next() else { break };
        indices.insert(name, index);
    }
    indices
}

fn all() -> impl Iterator<Item = NodeIndex> {
    (0..NO_NODE).take(capacity::NODES)
}

/// Returns the index of any of the node's addresses, the primary one first.
fn installed_index(node: &Node, installed: &Contents) -> Option<NodeIndex> {
    let of_address =
        |address: &std::net::IpAddr| installed.node_addresses.get(&address_key(*address)).copied();
    node.addresses().iter().find_map(of_address).filter(|index| usize::from(*index) < capacity::NODES)
}

/// Returns every index that an installed entry refers to. The slots count too: an entry that is
/// [`lb_common::maps::Node::NONE`] cannot be distinguished from an unused one when it is read back.
fn referred_to(installed: &Contents) -> BTreeSet<NodeIndex> {
    let named = named_in_all(installed.rings.values());
    let in_slots = (0..NO_NODE).zip(named).filter_map(|(index, is_named)| is_named.then_some(index));
    in_slots
        .chain(installed.nodes.keys().copied())
        .chain(installed.node_addresses.values().copied())
        .collect()
}

/// For every index, whether a slot refers to it.
pub(super) fn named_in_all<'a>(rings: impl Iterator<Item = &'a Slots>) -> Vec<bool> {
    // A million slots refer to a thousand nodes, so they are deduplicated before they are sorted.
    let mut named = vec![false; usize::from(NO_NODE)];
    for index in rings.flat_map(|ring| ring.iter()).flat_map(named_in) {
        named[usize::from(index)] = true;
    }
    named
}

/// Returns the nodes that a slot refers to.
pub(super) fn named_in(slot: &Slot) -> impl Iterator<Item = NodeIndex> + use<> {
    let order = std::iter::once(slot.leader).chain(slot.successors);
    let former = slot.former.into_iter().take_while(|index| *index != NO_NODE);
    order.filter(|index| *index != NO_NODE).chain(former)
}
