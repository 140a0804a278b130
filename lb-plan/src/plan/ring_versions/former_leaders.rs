//! The former leaders that a ring takes over from the one that its VIPs had before, so that they are asked
//! for the flows that they may still own.

use std::collections::BTreeMap;

use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot};

use crate::contents::Slots;

/// The rule by which a ring takes over former leaders.
pub(super) struct CarryOver<'a> {
    /// For every index, whether it denotes a node that exists, or one that may return. Other nodes are left
    /// out.
    pub(super) known: &'a [bool],
    /// This machine's index.
    pub(super) own: NodeIndex,
    /// Whether former leaders are kept, besides those that have just become former leaders.
    pub(super) keeps_former: bool,
}

/// A ring with the former leaders that it took over.
pub(super) struct CarriedOver {
    pub(super) slots: Slots,
    /// Whether a leader has just become a former leader.
    pub(super) has_new_former: bool,
    /// Whether this machine leads a slot that another node led.
    pub(super) came_to_lead: bool,
}

/// Rings that stay unchanged when they take over from themselves, as nearly all do in nearly every plan: this
/// is computed once.
#[derive(Clone, Debug, Default)]
pub(super) struct CarryOverCache {
    own: NodeIndex,
    known: Vec<bool>,
    /// By the address in memory of a region's slots, which are held here.
    rings: BTreeMap<usize, FixedPoint>,
    /// Those of the previous plan, while a plan is made.
    before: BTreeMap<usize, FixedPoint>,
}

/// Slots that stay unchanged when `ring` takes over from them.
#[derive(Clone, Debug)]
struct FixedPoint {
    ring: Slots,
    slots: Slots,
    keeps_former: bool,
}

impl CarryOverCache {
    /// Ends a plan: forgets what it has not asked for.
    pub(super) fn end(&mut self) {
        self.before.clear();
    }

    /// Begins a plan.
    pub(super) fn begin(&mut self, own: NodeIndex, known: &[bool]) {
        self.before = std::mem::take(&mut self.rings);
        if self.own != own || self.known != known {
            self.before.clear();
            self.own = own;
            self.known = known.to_vec();
        }
    }

    /// As [`CarryOver::apply`].
    pub(super) fn apply(&mut self, carry_over: &CarryOver<'_>, ring: &Slots, before: &Slots) -> CarriedOver {
        let place = before.as_ptr().addr();
        let keeps_former = carry_over.keeps_former;
        let holds = |fixed: &FixedPoint| {
            fixed.slots.is_same(before) && fixed.ring.is_same(ring) && fixed.keeps_former == keeps_former
        };
        let carried = match self.before.get(&place).filter(|fixed| holds(fixed)) {
            Some(fixed) => {
                CarriedOver { slots: fixed.slots.clone(), has_new_former: false, came_to_lead: false }
            }
            None => carry_over.apply(ring, before),
        };
        if carried.has_new_former || carried.came_to_lead || carried.slots != *before {
            return carried;
        }
        let slots = before.clone();
        self.rings.insert(place, FixedPoint { ring: ring.clone(), slots: slots.clone(), keeps_former });
        CarriedOver { slots, ..carried }
    }
}

impl CarryOver<'_> {
    /// Returns `ring` with the former leaders of `before`, which may have another size.
    pub(super) fn apply(&self, ring: &Slots, before: &Slots) -> CarriedOver {
        if before == ring {
            return CarriedOver { slots: ring.clone(), has_new_former: false, came_to_lead: false };
        }
        let mut result = CarriedOver { slots: ring.clone(), has_new_former: false, came_to_lead: false };
        let carried = |(number, slot): (usize, &Slot)| {
            let predecessors = predecessors(before, number, ring.len());
            result.came_to_lead |= slot.leader == self.own
                && predecessors.clone().any(|predecessor| predecessor.leader != self.own);
            let (former, has_new_former) = self.former(slot, predecessors);
            result.has_new_former |= has_new_former;
            Slot { former, ..*slot }
        };
        let slots: Slots = ring.iter().enumerate().map(carried).collect();
        CarriedOver { slots, ..result }
    }

    /// Returns the former leaders of a slot, newest first, and whether one of them is new.
    fn former<'a>(
        &self,
        slot: &Slot,
        predecessors: impl Iterator<Item = &'a Slot> + Clone,
    ) -> ([NodeIndex; FORMER], bool) {
        let mut former = Former { leader: slot.leader, nodes: [NO_NODE; FORMER] };
        for predecessor in predecessors.clone().filter(|predecessor| self.is_known(predecessor.leader)) {
            former.push(predecessor.leader);
        }
        // Ahead of all older ones: so a draining node, which is asked for as long as it drains, is not
        // displaced.
        slot.former.into_iter().filter(|node| *node != NO_NODE).for_each(|node| former.push(node));
        let was_former =
            |node: &NodeIndex| predecessors.clone().any(|predecessor| predecessor.former.contains(node));
        let led = |node: &NodeIndex| predecessors.clone().any(|predecessor| predecessor.leader == *node);
        let is_news = |node: &NodeIndex| *node != NO_NODE && (led(node) || !was_former(node));
        let has_new_former = former.nodes.iter().any(is_news);
        if self.keeps_former {
            let nodes = predecessors.flat_map(|predecessor| predecessor.former);
            nodes.filter(|node| self.is_known(*node)).for_each(|node| former.push(node));
        }
        (former.nodes, has_new_former)
    }

    fn is_known(&self, node: NodeIndex) -> bool {
        self.known.get(usize::from(node)).is_some_and(|known| *known)
    }
}

/// Returns the slots of the old ring whose flows map to slot `number` of the new one: a flow's slot is the
/// lowest bits of its hash, and the larger ring uses more of them.
fn predecessors(before: &[Slot], number: usize, slots: usize) -> impl Iterator<Item = &Slot> + Clone {
    before.iter().skip(number & before.len().saturating_sub(1)).step_by(slots.max(1))
}

/// A list of former leaders under construction.
struct Former {
    leader: NodeIndex,
    nodes: [NodeIndex; FORMER],
}

impl Former {
    /// Appends a node, unless it is listed, leads, or there is no room.
    fn push(&mut self, node: NodeIndex) {
        if node == self.leader || self.nodes.contains(&node) {
            return;
        }
        if let Some(free) = self.nodes.iter_mut().find(|place| **place == NO_NODE) {
            *free = node;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(leader: NodeIndex, former: &[NodeIndex]) -> Slot {
        let mut slot = Slot { leader, ..Slot::EMPTY };
        slot.former[..former.len()].copy_from_slice(former);
        slot
    }

    /// Nodes 0 to 9 exist; this machine is 0.
    fn apply(ring: &[Slot], before: &[Slot], keeps_former: bool) -> CarriedOver {
        CarryOver { known: &[true; 10], own: 0, keeps_former }.apply(&ring.into(), &before.into())
    }

    /// Returns the former leaders of each slot, without unused places.
    fn former(ring: &[Slot], before: &[Slot]) -> Vec<Vec<NodeIndex>> {
        let named = |slot: &Slot| slot.former.into_iter().take_while(|node| *node != NO_NODE).collect();
        apply(ring, before, true).slots.iter().map(named).collect()
    }

    const NO: NodeIndex = NO_NODE;

    #[test]
    fn the_last_leader_comes_first_and_the_leader_is_not_a_former_one() {
        assert_eq!(former(&[slot(1, &[])], &[slot(2, &[1, 3])]), [[2, 3]]);
        assert_eq!(former(&[slot(1, &[])], &[slot(2, &[3, 4, 5, 6])]), [[2, 3, 4, 5, 6]]);
        assert_eq!(former(&[slot(2, &[])], &[slot(2, &[3])]), [[3]]);
        // 12 does not exist any more.
        assert_eq!(former(&[slot(1, &[])], &[slot(12, &[3, NO, 11])]), [[3]]);
    }

    #[test]
    fn only_a_new_former_leader_is_reported() {
        assert!(!apply(&[slot(2, &[])], &[slot(2, &[3])], true).has_new_former);
        assert!(!apply(&[slot(2, &[])], &[slot(12, &[3])], true).has_new_former);
        let news = apply(&[slot(1, &[])], &[slot(2, &[3])], false);
        assert!(news.has_new_former && news.slots[0].former[..2] == [2, NO]);
    }

    #[test]
    fn a_draining_node_stays_a_former_leader() {
        assert_eq!(former(&[slot(1, &[9])], &[slot(2, &[3, 4, 5])]), [[2, 9, 3, 4, 5]]);
        assert_eq!(former(&[slot(1, &[9])], &[slot(9, &[])]), [[9]]);
        // It keeps the place.
        assert_eq!(former(&[slot(1, &[9])], &[slot(1, &[2, 3, 4, 9])]), [[9, 2, 3, 4]]);
    }

    #[test]
    fn rings_of_other_sizes_are_of_the_same_flows() {
        let (small, great) = ([slot(1, &[]), slot(2, &[3])], [1, 2, 4, 2].map(|leader| slot(leader, &[])));
        assert_eq!(former(&great, &small), [vec![], vec![3], vec![1], vec![3]]);
        let smaller = [slot(1, &[]), slot(2, &[])];
        assert_eq!(former(&smaller, &great), [vec![4], vec![]]);
        let great = [slot(1, &[5]), slot(2, &[]), slot(4, &[6]), slot(2, &[])];
        assert_eq!(former(&smaller, &great), [vec![4, 5, 6], vec![]]);
    }

    #[test]
    fn this_machine_comes_to_lead_what_another_led() {
        let came = |leader, before| apply(&[slot(leader, &[])], &[slot(before, &[])], true).came_to_lead;
        assert!(came(0, 1) && came(0, NO) && !came(0, 0) && !came(1, 0) && !came(1, 2));
    }
}
