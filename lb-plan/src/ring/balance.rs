//! The leader of each slot, with bounded load: no member leads much more than its share.
//!
//! Slots propose to the members in the order of their preference; a member with more proposals than its
//! capacity keeps those with its best draws, and each of the others goes on to its next choice (deferred
//! acceptance; Gale and Shapley 1962). The outcome does not depend on the order of proposals.

use std::cmp::Ordering;

use lb_common::ring::NO_NODE;

use super::preference::{PreferenceReader, Preferences};

/// Slots that a member may lead, as a percentage of its share.
const CAPACITY_PERCENT: u128 = 102;

/// A slot, as a member sees it.
#[derive(Clone, Copy)]
struct Proposal {
    slot: u32,
    /// How often it has been rejected.
    rejections: u16,
    /// The member's draw for it.
    draw: u64,
}

impl Proposal {
    const fn first(slot: u32) -> Self {
        Self { slot, rejections: 0, draw: 0 }
    }

    /// Orders the best first. A member has one weight, so its draws are in the order of its scores.
    fn better_first(&self, other: &Self) -> Ordering {
        other.draw.cmp(&self.draw).then(self.slot.cmp(&other.slot))
    }
}

impl Preferences {
    /// Returns the leader of each slot among the members that `takes_part` selects; [`NO_NODE`] if it selects
    /// none. No member leads more than 1.02 times its share of the slots, or its share rounded up.
    pub fn leaders(&self, takes_part: impl Fn(u16) -> bool) -> Vec<u16> {
        let capacities = self.capacities(&takes_part);
        let mut round =
            Round { preferences: self, reader: self.reader(), held: vec![Vec::new(); capacities.len()] };
        let mut open: Vec<Proposal> = (0..).take(self.slots()).map(Proposal::first).collect();
        while !open.is_empty() {
            open.drain(..).for_each(|proposal| round.propose(proposal, &takes_part));
            for (held, capacity) in round.held.iter_mut().zip(&capacities) {
                if held.len() > *capacity {
                    held.select_nth_unstable_by(*capacity, Proposal::better_first);
                    open.extend(held.drain(*capacity..));
                }
            }
        }
        round.leaders()
    }

    /// Returns the leader and three successors of each slot, padded with [`NO_NODE`]: the leader as
    /// [`Self::leaders`] chooses it among those that `leads` selects, then the others as the slot prefers
    /// them, those that do not lead last. If `leads` selects none, all lead.
    pub fn order(&self, leads: impl Fn(u16) -> bool) -> Vec<[u16; 4]> {
        let none_lead = !(0..).take(self.members()).any(&leads);
        let leads = |number| none_lead || leads(number);
        let mut reader = self.reader();
        let order = |(slot, leader)| {
            let mut order = [leader, NO_NODE, NO_NODE, NO_NODE];
            let mut places = order.iter_mut().skip(1);
            for wanted in [true, false] {
                let mut choices = (0..).map_while(|nth| reader.choice(slot, nth));
                let mut next = || choices.find(|number| *number != leader && leads(*number) == wanted);
                // The member first: an unused place is left for the others.
                while places.len() > 0
                    && let Some(number) = next()
                    && let Some(place) = places.next()
                {
                    *place = number;
                }
            }
            order
        };
        self.leaders(leads).into_iter().enumerate().map(order).collect()
    }

    /// Returns how many slots each member may lead. The sum is at least the number of slots, so every slot
    /// finds a member.
    fn capacities(&self, takes_part: impl Fn(u16) -> bool) -> Vec<usize> {
        let weights: Vec<u128> = (0..)
            .zip(&self.contenders)
            .map(|(number, contender)| if takes_part(number) { u128::from(contender.weight) } else { 0 })
            .collect();
        let total = weights.iter().sum::<u128>().max(1);
        let slots = self.slots() as u128;
        let capacity = |weight: &u128| {
            let share = slots * weight;
            // At least the share, or there would be fewer places than slots.
            (CAPACITY_PERCENT * share / (100 * total)).max(share.div_ceil(total)) as usize
        };
        weights.iter().map(capacity).collect()
    }
}

/// A round of proposals.
struct Round<'a> {
    preferences: &'a Preferences,
    reader: PreferenceReader<'a>,
    /// The proposals that each member holds.
    held: Vec<Vec<Proposal>>,
}

impl Round<'_> {
    /// Takes a proposal to its next choice that takes part, if there is one.
    fn propose(&mut self, mut proposal: Proposal, takes_part: impl Fn(u16) -> bool) {
        let slot = proposal.slot as usize;
        while let Some(number) = self.reader.choice(slot, usize::from(proposal.rejections)) {
            proposal.rejections += 1;
            if takes_part(number) {
                proposal.draw = self.preferences.draw(number, slot);
                if let Some(held) = self.held.get_mut(usize::from(number)) {
                    held.push(proposal);
                }
                return;
            }
        }
    }

    fn leaders(&self) -> Vec<u16> {
        let mut leaders = vec![NO_NODE; self.preferences.slots()];
        for (number, held) in (0..).zip(&self.held) {
            for proposal in held {
                if let Some(leader) = leaders.get_mut(proposal.slot as usize) {
                    *leader = number;
                }
            }
        }
        leaders
    }
}
