//! Indices of nodes. They never leave the machine, so they need only stay what they are.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::maps::capacity;
use lb_common::ring::{NO_NODE, NodeIndex, Slot};

use crate::contents::{Contents, Slots, peer_key};
use lb_model::{Node, NodeName};

/// An index for each node for which there is one: the installed one, or else the lowest that nothing
/// installed refers to. This machine's own node comes first, because without it nothing can be done.
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

/// The index of any of the node's addresses; the primary one is asked first.
fn installed_index(node: &Node, installed: &Contents) -> Option<NodeIndex> {
    let of_address = |address: &std::net::IpAddr| installed.peers.get(&peer_key(*address)).copied();
    node.addresses().iter().find_map(of_address).filter(|index| usize::from(*index) < capacity::NODES)
}

/// Every index that something installed still means a node by. The slots count too: an entry that is
/// [`lb_common::maps::Node::NONE`] cannot be told from an unused one when it is read back.
fn referred_to(installed: &Contents) -> BTreeSet<NodeIndex> {
    let named = named_in_all(installed.rings.values());
    let in_slots = (0..NO_NODE).zip(named).filter_map(|(index, is_named)| is_named.then_some(index));
    in_slots.chain(installed.nodes.keys().copied()).chain(installed.peers.values().copied()).collect()
}

/// Of every index, whether a slot names it.
pub(super) fn named_in_all<'a>(rings: impl Iterator<Item = &'a Slots>) -> Vec<bool> {
    // A million slots name a thousand nodes, so they are told apart before they are sorted.
    let mut named = vec![false; usize::from(NO_NODE)];
    for index in rings.flat_map(|ring| ring.iter()).flat_map(named_in) {
        named[usize::from(index)] = true;
    }
    named
}

/// The nodes that a slot names.
pub(super) fn named_in(slot: &Slot) -> impl Iterator<Item = NodeIndex> + use<> {
    let order = std::iter::once(slot.leader).chain(slot.successors);
    let former = slot.former.into_iter().take_while(|index| *index != NO_NODE);
    order.filter(|index| *index != NO_NODE).chain(former)
}
