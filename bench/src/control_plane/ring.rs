//! One ring: the time to build it, and its balance.

use lb_plan::ring::{Preferences, RingMember, slots_for};
use serde::{Deserialize, Serialize};

use crate::surroundings::timed;

/// Slots for each node, as many as agents have by default.
const SLOTS_PER_NODE: u32 = 256;

/// Time and balance of a ring.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct RingCost {
    /// Seconds to build it.
    pub(super) build: f64,
    /// Seconds to build it from the ring with one node less.
    pub(super) join: f64,
    /// Slots of the fullest node, relative to the mean.
    pub(super) fullest: f64,
    /// The part of the slots that move between two nodes that both stay when a node joins.
    pub(super) needless: f64,
}

/// Measures the ring of so many nodes.
pub(super) fn measure(nodes: u32) -> RingCost {
    let names: Vec<String> = (0..=nodes).map(|number| format!("node-{number:05}")).collect();
    let members: Vec<RingMember<'_>> = names.iter().map(|name| RingMember { name, weight: 1 }).collect();
    let (before, slots) = (&members[..nodes as usize], slots_for(nodes as usize, SLOTS_PER_NODE));
    let ((preferences, leaders), build) = timed(|| {
        let preferences = Preferences::new(before, slots);
        let leaders = preferences.leaders(|_| true);
        (preferences, leaders)
    });
    let (after, join) = timed(|| preferences.adapted(&members).leaders(|_| true));
    let newcomer = nodes as u16;
    let needless = leaders.iter().zip(&after).filter(|(was, is)| was != is && **is != newcomer).count();
    let mut led = vec![0_u32; nodes as usize];
    leaders.iter().for_each(|leader| led[usize::from(*leader)] += 1);
    let most = led.into_iter().max().unwrap_or_default();
    RingCost {
        build,
        join,
        fullest: f64::from(most) * f64::from(nodes) / slots as f64,
        needless: needless as f64 / slots as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_balanced_and_few_slots_move() {
        let cost = measure(10);
        assert!(cost.fullest >= 1.0 && cost.fullest <= 1.02 + 1e-9, "{cost:?}");
        assert!(cost.needless < 0.03, "{cost:?}");
    }
}
