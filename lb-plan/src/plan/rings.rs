//! The rings that are wanted, built.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::ring::{NO_NODE, NodeIndex, Slot};

use super::nodes::Roster;
use super::settings::Settings;
use super::state::Share;
use crate::ring::{self, Member};

/// Which of the wanted rings: its place in the catalogue.
pub(super) type RingId = usize;

/// A wanted ring.
pub(super) struct Ring {
    /// Number of slots.
    pub(super) size: usize,
    /// The slots; `None` if there are more than the array could ever hold, which are not worth building.
    pub(super) slots: Option<Vec<Slot>>,
}

/// Positions of leader and successors in the list of members, for each slot.
type Ranks = Arc<[[u16; 4]]>;

/// The rings of the last plan, by members and number of slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    built: BTreeMap<(Vec<Share>, usize), Ranks>,
}

impl Memo {
    /// Builds each list of members into a ring. What was not asked for is forgotten.
    pub(super) fn build(
        &mut self,
        wanted: &[Vec<Share>],
        roster: &Roster<'_>,
        settings: &Settings,
    ) -> Vec<Ring> {
        let mut before = std::mem::take(&mut self.built);
        let capacity = usize::try_from(settings.ring_capacity).unwrap_or(usize::MAX);
        let mut catalogue = Vec::with_capacity(wanted.len());
        for members in wanted {
            let size = ring::slots_for(members.len(), settings.slots_per_node);
            let slots = (size <= capacity).then(|| {
                let key = (members.clone(), size);
                let ranks = before.remove(&key).unwrap_or_else(|| build(members, size));
                let slots = translate(&ranks, members, roster);
                self.built.insert(key, ranks);
                slots
            });
            catalogue.push(Ring { size, slots });
        }
        catalogue
    }
}

fn build(members: &[Share], size: usize) -> Ranks {
    let members: Vec<Member<'_>> =
        members.iter().map(|share| Member { name: share.node.as_str(), weight: share.weight }).collect();
    ring::build(&members, size).into()
}

/// Positions in the list of members become indices of nodes. Nobody is noted as a former leader.
fn translate(ranks: &[[u16; 4]], members: &[Share], roster: &Roster<'_>) -> Vec<Slot> {
    let indices: Vec<NodeIndex> =
        members.iter().map(|share| roster.index(&share.node).unwrap_or(NO_NODE)).collect();
    let index = |position: u16| indices.get(usize::from(position)).copied().unwrap_or(NO_NODE);
    let slot = |ranks: &[u16; 4]| {
        let [leader, a, b, c] = ranks.map(index);
        Slot { leader, successors: [a, b, c], former: [NO_NODE; 4] }
    };
    ranks.iter().map(slot).collect()
}
