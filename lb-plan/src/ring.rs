//! The engine that ranks nodes for each slot of a ring: weighted rendezvous hashing with bounded load.
//!
//! Each member scores each slot by a hash of its name and the slot's number, and a slot prefers the members
//! in the order of their scores ([`Preferences`]). By the scores alone the most loaded of a hundred members
//! would lead a tenth more than the mean; so a member may lead no more than [its
//! capacity](Preferences::leaders), and a slot whose best member is full goes to the next. Successors follow
//! in the plain order.
//!
//! A score does not depend on the other members, and which slots a full member keeps does not depend on the
//! order of requests. So every machine with the same members computes the same ring, whatever it had before,
//! and adding or removing a member moves its own slots and few others. Only integers are used, so the ring is
//! the same on every architecture too.

mod balance;
mod logarithm;
mod preference;
mod score;

pub use preference::Preferences;
pub use score::{mix, seed};

/// A member of a ring. Names are distinct within a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingMember<'a> {
    /// Its name, which its scores are computed from.
    pub name: &'a str,
    /// Its share of the slots, relative to the others'; zero excludes it.
    pub weight: u32,
}

/// Fewest slots of a ring: with fewer, the shares in a small cluster deviate far from the weights.
const LEAST_SLOTS: usize = 256;

/// Returns the number of slots of a ring: the power of two that gives each node at least `per_node`.
pub fn slots_for(nodes: usize, per_node: u32) -> usize {
    let per_node = usize::try_from(per_node).unwrap_or(usize::MAX);
    let wanted = nodes.saturating_mul(per_node).max(LEAST_SLOTS);
    // More slots than the address space holds never fit, whatever the number.
    wanted.checked_next_power_of_two().unwrap_or(usize::MAX / 2 + 1)
}

#[cfg(test)]
mod tests;
