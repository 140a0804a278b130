//! The engine that ranks nodes for each slot of a ring: weighted rendezvous hashing.
//!
//! Each member scores each slot by a hash of its name and the slot's number. The best leads, the next three
//! succeed it. A score knows nothing of the other members, so taking one away moves only the slots that it
//! led, and every machine that has the same members comes to the same ring, whatever it had before. Only
//! integers are used, so it is the same on every architecture too.

mod logarithm;
mod score;

pub use score::{mix, seed};

use lb_common::ring::NO_NODE;
use score::Score;

/// A member of a ring. Names are distinct within a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name, which its scores come from.
    pub name: &'a str,
    /// Its share of the slots, in proportion to the others'; with zero it is in none.
    pub weight: u32,
}

/// Fewest slots of a ring: with fewer, shares of a small cluster are far from the weights.
const LEAST_SLOTS: usize = 256;

/// Number of slots of a ring: the power of two that gives each node at least `per_node`.
pub fn slots_for(nodes: usize, per_node: u32) -> usize {
    let per_node = usize::try_from(per_node).unwrap_or(usize::MAX);
    let wanted = nodes.saturating_mul(per_node).max(LEAST_SLOTS);
    // More than the address space holds is refused for lack of room, whatever the number.
    wanted.checked_next_power_of_two().unwrap_or(usize::MAX / 2 + 1)
}

/// For each of `slots` slots the positions in `members` of its leader and three successors, filled up with
/// [`NO_NODE`]. The order of `members` does not matter, and members behind the first 65,535 are not ranked.
pub fn build(members: &[Member<'_>], slots: usize) -> Vec<[u16; 4]> {
    let contenders = contenders(members);
    (0..).take(slots).map(|slot| rank(&contenders, score::slot_key(slot))).collect()
}

struct Contender {
    position: u16,
    seed: u64,
    weight: u32,
}

/// Those that can lead, in order of their names: a later one must be better to get ahead, so a tie goes to the
/// first name.
fn contenders(members: &[Member<'_>]) -> Vec<Contender> {
    let mut contenders: Vec<Contender> = (0..NO_NODE)
        .zip(members)
        .filter(|(_, member)| member.weight > 0)
        .map(|(position, member)| Contender {
            position,
            seed: seed(member.name.as_bytes()),
            weight: member.weight,
        })
        .collect();
    contenders.sort_unstable_by_key(|contender| members[usize::from(contender.position)].name);
    contenders
}

/// The four best contenders for a slot, by insertion: nearly all of them fail at the first comparison.
fn rank(contenders: &[Contender], slot_key: u64) -> [u16; 4] {
    let mut ranks = [NO_NODE; 4];
    let mut scores = [Score::LEAST; 4];
    for contender in contenders {
        let score = Score::new(contender.weight, contender.seed, slot_key);
        if !score.beats(scores[3]) {
            continue;
        }
        (ranks[3], scores[3]) = (contender.position, score);
        for at in (0..3).rev() {
            if !score.beats(scores[at]) {
                break;
            }
            ranks.swap(at, at + 1);
            scores.swap(at, at + 1);
        }
    }
    ranks
}

#[cfg(test)]
mod tests;
