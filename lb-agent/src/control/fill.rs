//! How full the maps are, and how balanced the rings.

use std::collections::BTreeMap;

use lb_common::map_table::name;
use lb_common::maps::capacity;
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_plan::contents::{Contents, Slots};
use lb_plan::plan::{NodeState, RingState, ServiceState, Share};

use crate::state::{MapFill, Rings};

/// Returns how full the maps are that the plan writes. `ring_slots` is the capacity of `lb_rings`.
pub(super) fn map_fill(contents: &Contents, ring_slots: usize) -> Vec<MapFill> {
    let v4 = contents.vips.keys().filter(|key| key.address.is_ipv4()).count();
    let arp = contents.announcers.keys().filter(|address| address.is_ipv4()).count();
    [
        (name::VIPS4, v4, capacity::VIPS),
        (name::VIPS6, contents.vips.len() - v4, capacity::VIPS),
        (name::VIP_STATS, contents.vips.len(), capacity::VIP_STATS),
        (name::RINGS, contents.rings.values().map(|slots| slots.len()).sum(), ring_slots),
        (name::NODES, contents.nodes.len(), capacity::NODES),
        (name::NODE_ADDRESSES, contents.node_addresses.len(), capacity::NODE_ADDRESSES),
        (name::NODE_MACS, contents.node_macs.len(), capacity::NODE_ADDRESSES),
        (name::ARP, arp, capacity::ANNOUNCERS),
        (name::NDP, contents.announcers.len() - arp, capacity::ANNOUNCERS),
        (name::LINKS, contents.links.len(), capacity::LINKS),
        (name::SOURCES, contents.sources.values().map(|set| set.len()).sum(), capacity::SOURCES),
    ]
    .map(|(map, entries, capacity)| MapFill { map, entries, capacity })
    .into()
}

/// The balance of each ring, by its first slot, with the slots that it was computed from.
#[derive(Debug, Default)]
pub(super) struct RingBalance(BTreeMap<u32, (Slots, f64)>);

impl RingBalance {
    /// Computes the balance of the rings that have changed.
    pub(super) fn update(
        &mut self,
        rings: &BTreeMap<u32, Slots>,
        services: &[ServiceState],
        nodes: &[NodeState],
    ) -> Rings {
        let before = std::mem::take(&mut self.0);
        let is_known =
            |first: &u32, slots: &Slots| before.get(first).is_some_and(|(known, _)| known.is_same(slots));
        let mut states: BTreeMap<u32, &RingState> = BTreeMap::new();
        if rings.iter().any(|(first, slots)| !is_known(first, slots)) {
            let vips = services.iter().flat_map(|service| &service.vips);
            states = vips.filter_map(|vip| vip.ring.as_ref()).map(|ring| (ring.first, ring)).collect();
        }
        for (first, slots) in rings {
            let balance = match before.get(first) {
                Some((known, balance)) if known.is_same(slots) => *balance,
                _ => states.get(first).map_or(1.0, |ring| imbalance(slots, &ring.members, nodes)),
            };
            self.0.insert(*first, (slots.clone(), balance));
        }
        let imbalance = self.0.values().map(|(_, balance)| *balance).fold(1.0, f64::max);
        Rings { count: rings.len(), imbalance }
    }
}

/// Returns the slots that the fullest node leads, relative to its fair share; at least 1. A fair share is
/// rounded up: a node of little weight leads one slot, or none.
fn imbalance(slots: &Slots, members: &[Share], nodes: &[NodeState]) -> f64 {
    let mut led: BTreeMap<NodeIndex, u64> = BTreeMap::new();
    for slot in slots.iter().filter(|slot| slot.leader != NO_NODE) {
        *led.entry(slot.leader).or_default() += 1;
    }
    let total: u64 = members.iter().map(|share| u64::from(share.weight)).sum();
    let ratio = |share: &Share| {
        let node = nodes.iter().find(|node| node.name == share.node)?;
        let fair = (slots.len() as u64 * u64::from(share.weight)).div_ceil(total.max(1));
        Some(led.get(&node.index).copied().unwrap_or_default() as f64 / fair.max(1) as f64)
    };
    members.iter().filter_map(ratio).fold(1.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_common::ring::Slot;
    use lb_plan::plan::NodePath;

    use super::*;

    fn node(index: NodeIndex) -> NodeState {
        NodeState {
            name: format!("n{index}").as_str().into(),
            index,
            id: 0,
            address: Ipv4Addr::LOCALHOST.into(),
            way: NodePath::Own,
            is_self: false,
            draining: false,
            drain: None,
            excluded: None,
        }
    }

    fn share(index: NodeIndex, weight: u32) -> Share {
        Share { node: format!("n{index}").as_str().into(), weight, terminating: false }
    }

    fn led(leaders: &[NodeIndex]) -> Slots {
        leaders.iter().map(|leader| Slot { leader: *leader, ..Slot::EMPTY }).collect()
    }

    #[test]
    fn the_imbalance_is_that_of_the_fullest_node_by_its_weight() {
        let nodes = [node(0), node(1)];
        let even = [share(0, 1), share(1, 1)];
        assert_eq!(imbalance(&led(&[0, 1, 0, 1]), &even, &nodes), 1.0);
        assert_eq!(imbalance(&led(&[0, 0, 0, 1]), &even, &nodes), 1.5);
        assert_eq!(imbalance(&led(&[0, 0, 0, 1]), &[share(0, 3), share(1, 1)], &nodes), 1.0);
        assert_eq!(imbalance(&led(&[0, 0, 0, 1]), &[share(0, 99), share(1, 1)], &nodes), 1.0, "rounded up");
        assert_eq!(imbalance(&led(&[NO_NODE; 4]), &even, &nodes), 1.0, "no leaders");
    }
}
