//! From members to slots: the planner's order, and who took new flows before.

use std::sync::Arc;

use lb_common::owner::Vitality;
use lb_common::ring::{NO_NODE, NodeIndex, Slot};
use lb_plan::ring::{self, Member, Preferences};

use crate::simulation::scheme::memo::Memo;
use crate::simulation::world::{Members, Peer};

/// Slots for each node, at least.
const SLOTS_PER_NODE: u32 = 256;

/// What a ring remembers of who took new flows before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing.
    Nothing,
    /// Who led a slot by the last ring.
    Leaders,
    /// And who took its flows while the leader was dead: it may never have led by any ring.
    Acting,
    /// And a node that begins is told by another one.
    Shared,
}

/// The preferences of some nodes with weights. Their numbers are places in `nodes`, which is in order.
pub(in crate::simulation::scheme) fn preferences(nodes: &[(NodeIndex, u32)], slots: usize) -> Preferences {
    // Members are numbered in the order of their names, which is that of the indices if all are as long.
    let names: Vec<String> = nodes.iter().map(|(node, _)| format!("node-{node:05}")).collect();
    let members: Vec<Member<'_>> =
        names.iter().zip(nodes).map(|(name, (_, weight))| Member { name, weight: *weight }).collect();
    Preferences::new(&members, slots)
}

/// Who a slot's flows go to; the same on all nodes that know the same members.
#[derive(Clone, Copy)]
pub(super) struct Order {
    leader: NodeIndex,
    successors: [NodeIndex; 3],
    /// Who would lead if nobody drained.
    best: NodeIndex,
}

/// The orders of all members that there have been.
#[derive(Default)]
pub(super) struct Orders {
    memo: Memo<Members, [Order]>,
}

impl Orders {
    /// The order of each slot.
    pub(super) fn of(&mut self, members: &Members) -> Arc<[Order]> {
        self.memo.of(members.clone(), |members| orders(members).into())
    }
}

fn orders(members: &Members) -> Vec<Order> {
    let nodes: Vec<_> = members.iter().map(|(node, member)| (*node, member.weight)).collect();
    let draining: Vec<bool> = members.values().map(|member| member.draining).collect();
    let preferences = preferences(&nodes, ring::slots_for(nodes.len(), SLOTS_PER_NODE));
    let node = |number: u16| nodes.get(usize::from(number)).map_or(NO_NODE, |(node, _)| *node);
    let accepts = |number: u16| draining.get(usize::from(number)) == Some(&false);
    let order = |(order, best): ([u16; 4], u16)| {
        let [leader, a, b, c] = order.map(node);
        Order { leader, successors: [a, b, c], best: node(best) }
    };
    preferences.order(accepts).into_iter().zip(preferences.leaders(|_| true)).map(order).collect()
}

/// A ring as one node has it.
#[derive(Clone, Default)]
pub(super) struct Ring {
    members: Members,
    slots: Vec<Slot>,
}

impl Ring {
    /// The members that it was made from.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// The slot of a flow.
    pub(super) fn slot(&self, hash: u64) -> Slot {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(hash as usize & mask).copied().unwrap_or(Slot::EMPTY)
    }

    /// Takes a new order. Who led before is a former leader as long as it is a member.
    pub(super) fn follow(&mut self, orders: &[Order], members: &Members, memory: Memory) {
        let slot = |(at, order): (usize, &Order)| {
            let mut former = Former { nodes: [NO_NODE; 4], count: 0, leader: order.leader, members };
            if memory != Memory::Nothing {
                former.add(order.best);
                self.inherit(at, orders.len(), &mut former);
            }
            Slot { leader: order.leader, successors: order.successors, former: former.nodes }
        };
        self.slots = orders.iter().enumerate().map(slot).collect();
        self.members = members.clone();
    }

    /// Adds those who led the flows of slot `at` of a ring of `size` slots. Where that ring is larger than this
    /// one, it is one slot here; where it is smaller, the flows come from several.
    fn inherit(&self, at: usize, size: usize, former: &mut Former<'_>) {
        let here = self.slots.len();
        let sources = || (at & here.wrapping_sub(1)..here).step_by(size).map(|at| &self.slots[at]);
        for slot in sources() {
            former.add(slot.leader);
        }
        for slot in sources() {
            slot.former.iter().for_each(|node| former.add(*node));
        }
    }

    /// Notes who takes new flows in the slots whose leader does not. A ring that moves on, or grows, may name
    /// it nowhere else.
    pub(super) fn note_acting(&mut self, peers: &[Peer]) {
        let accepts = |node: NodeIndex| {
            peers.get(usize::from(node)).is_some_and(|peer| peer.vitality == Vitality::Accepting)
        };
        for slot in self.slots.iter_mut().filter(|slot| !accepts(slot.leader)) {
            let acting = slot.successors.into_iter().find(|node| accepts(*node));
            if let Some(acting) = acting.filter(|node| !slot.former.contains(node)) {
                let [a, b, c, _] = slot.former;
                slot.former = [acting, a, b, c];
            }
        }
    }
}

/// Former leaders of one slot, newest first, while they are collected.
struct Former<'a> {
    nodes: [NodeIndex; 4],
    count: usize,
    leader: NodeIndex,
    members: &'a Members,
}

impl Former<'_> {
    fn add(&mut self, node: NodeIndex) {
        let serves = self.members.get(&node).is_some_and(|member| member.weight > 0);
        let room = self.count < self.nodes.len() && !self.nodes.contains(&node);
        if serves && room && node != self.leader {
            self.nodes[self.count] = node;
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::world::Member;

    fn members(nodes: std::ops::Range<NodeIndex>) -> Members {
        nodes.map(|node| (node, Member { weight: 4, draining: false })).collect()
    }

    fn follow(ring: &mut Ring, members: &Members) {
        ring.follow(&Orders::default().of(members), members, Memory::Leaders);
    }

    #[test]
    fn who_led_is_former_while_it_is_a_member_also_when_the_ring_grows_and_shrinks() {
        let mut ring = Ring::default();
        follow(&mut ring, &members(0..16));
        let before = ring.clone();
        for count in [17, 16, 15] {
            follow(&mut ring, &members(0..count));
            for hash in 0..8192 {
                let (led, slot) = (before.slot(hash).leader, ring.slot(hash));
                let known = slot.leader == led || slot.former.contains(&led);
                assert!(known || led >= count, "{count} nodes, flow {hash}: {led} led, now {slot:?}");
            }
        }
    }

    #[test]
    fn a_node_that_drains_keeps_its_place_without_a_past() {
        let mut ring = Ring::default();
        let mut members = members(0..8);
        follow(&mut ring, &members);
        let before = ring.clone();
        members.entry(3).and_modify(|member| member.draining = true);
        let mut ring = Ring::default();
        follow(&mut ring, &members);
        let of_three = (0..2048).filter(|hash| before.slot(*hash).leader == 3);
        assert!(of_three.clone().count() > 200);
        assert!(of_three.clone().all(|hash| ring.slot(hash).former[0] == 3 && ring.slot(hash).leader != 3));
    }

    #[test]
    fn who_acts_for_a_dead_leader_is_noted() {
        let mut ring = Ring::default();
        follow(&mut ring, &members(0..8));
        let mut peers = vec![Peer { vitality: Vitality::Accepting, dead_since: None }; 8];
        peers[3] = Peer { vitality: Vitality::Dead, dead_since: Some(1) };
        ring.note_acting(&peers);
        for slot in &ring.slots {
            let acting = if slot.leader == 3 { slot.successors[0] } else { NO_NODE };
            assert_eq!(slot.former[0], acting);
        }
    }
}
