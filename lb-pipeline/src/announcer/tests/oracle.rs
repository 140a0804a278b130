//! The choice against the same rule in other words.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use lb_common::maps::{LIVENESS_ADMIN_DOWN, LIVENESS_HELD, LIVENESS_HOLDS_THIS};

use super::super::*;

/// This node; the others have the numbers up to [`RANKS`].
const OWN: NodeIndex = 0;

/// A node as another one sees it; `None`: dead.
type Seen = Option<(bool, Standing, bool, bool)>;

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(Standing::ALL.to_vec())
}

fn cell((is_draining, standing, is_held, holds): (bool, Standing, bool, bool)) -> Liveness {
    let bit = |is_set, bit| if is_set { bit } else { 0 };
    let state = Liveness::standing_bits(standing)
        | bit(is_draining, LIVENESS_ADMIN_DOWN)
        | bit(is_held, LIVENESS_HELD)
        | bit(holds, LIVENESS_HOLDS_THIS);
    Liveness { last_seen: 0, state }
}

/// The same decision, as the documentation of [`Standing`] words it.
fn expected(ranks: &[NodeIndex], own: OwnStanding, seen: &[Seen]) -> NodeIndex {
    let others = || ranks.iter().filter(|node| **node != OWN).filter_map(|node| seen[usize::from(*node)]);
    let is_held = others().any(|(_, standing, _, holds)| holds && standing == Standing::Stable);
    let live = |node: &NodeIndex| match *node {
        OWN => Some((own.is_draining, own.standing, is_held)),
        node => seen[usize::from(node)].map(|(is_draining, standing, is_held, _)| {
            // None that calls itself returned or absent is held.
            (is_draining, standing, is_held)
        }),
    };
    let live = |node: &NodeIndex| match live(node)? {
        (_, Standing::Absent, _) => None,
        (is_draining, _, true) => Some((is_draining, Standing::Returned)),
        (is_draining, standing, false) => Some((is_draining, standing)),
    };
    let has_returned = ranks.iter().any(|node| live(node) == Some((false, Standing::Returned)));
    let class = |node: &NodeIndex| match live(node)? {
        (false, Standing::Ready) if has_returned => Some((false, Standing::Returned)),
        (false, Standing::Ready) => Some((false, Standing::Stable)),
        class => Some(class),
    };
    let announcers = ranks.iter().filter_map(|node| Some((class(node)?, *node)));
    announcers.min_by_key(|(class, _)| *class).map_or(NO_NODE, |(_, node)| node)
}

proptest! {
    #[test]
    fn the_first_live_rank_announces(
        order in Just((0..=RANKS as NodeIndex).collect::<Vec<_>>()).prop_shuffle(),
        count in 0..=RANKS,
        is_draining: bool,
        own in standing(),
        seen in prop::collection::vec(prop::option::of((any::<bool>(), standing(), any::<bool>(), any::<bool>())), RANKS + 1),
    ) {
        // A node that calls itself returned or absent is not held.
        let seen: Vec<Seen> = seen.into_iter().map(|seen| seen.map(|(drains, standing, is_held, holds)| {
            let can_be_held = matches!(standing, Standing::Stable | Standing::Ready);
            (drains, standing, is_held && can_be_held, holds)
        })).collect();
        let ranks = &order[..count];
        let own = OwnStanding { node: OWN, is_draining, standing: own };
        let state = |node: NodeIndex| match seen[usize::from(node)] {
            Some(seen) => AnnouncerState::of_live(cell(seen)),
            None => AnnouncerState::DEAD,
        };
        let announcer = Announcer::new(ranks, 0, 0);
        prop_assert_eq!(first_live(announcer.ranks, own, state), expected(ranks, own, &seen));
    }
}

#[test]
fn a_rank_without_a_node_is_dead() {
    let live = |_| AnnouncerState::of_live(Liveness { last_seen: 0, state: 0 });
    let own = OwnStanding { node: OWN, is_draining: true, standing: Standing::Returned };
    assert_eq!(first_live(Announcer::new(&[OWN], 0, 0).ranks, own, live), OWN);
    assert_eq!(first_live([NO_NODE; RANKS], own, live), NO_NODE);
}
