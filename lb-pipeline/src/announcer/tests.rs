extern crate std;

mod oracle;

use std::collections::BTreeSet;
use std::vec::Vec;

use lb_common::maps::{LIVENESS_ADMIN_DOWN, LIVENESS_HELD, LIVENESS_HOLDS_THIS};
use proptest::prelude::*;

use super::*;

const SELF: NodeIndex = 10;
const A: NodeIndex = 11;
const B: NodeIndex = 12;

const fn cell(standing: Standing, bits: u32) -> AnnouncerState {
    AnnouncerState::of_live(Liveness { last_seen: 0, state: Liveness::standing_bits(standing) | bits })
}

const STABLE: AnnouncerState = cell(Standing::Stable, 0);
const RETURNED: AnnouncerState = cell(Standing::Returned, 0);
const READY: AnnouncerState = cell(Standing::Ready, 0);
const ABSENT: AnnouncerState = cell(Standing::Absent, 0);
const HELD: AnnouncerState = cell(Standing::Stable, LIVENESS_HELD);
const READY_HELD: AnnouncerState = cell(Standing::Ready, LIVENESS_HELD);
const HOLDER: AnnouncerState = cell(Standing::Stable, LIVENESS_HOLDS_THIS);
const DRAINING: AnnouncerState = cell(Standing::Stable, LIVENESS_ADMIN_DOWN);
const DRAINING_RETURNED: AnnouncerState = cell(Standing::Returned, LIVENESS_ADMIN_DOWN);
const DEAD: AnnouncerState = AnnouncerState::DEAD;

fn own(standing: Standing, is_draining: bool) -> OwnStanding {
    OwnStanding { node: SELF, is_draining, standing }
}

fn ranks(nodes: &[NodeIndex]) -> [NodeIndex; RANKS] {
    core::array::from_fn(|rank| nodes.get(rank).copied().unwrap_or(NO_NODE))
}

/// The announcer of an address, where A and B have these states and all others are dead.
fn announcer(order: &[NodeIndex], own: OwnStanding, a: AnnouncerState, b: AnnouncerState) -> NodeIndex {
    first_live(ranks(order), own, |node| match node {
        A => a,
        B => b,
        // The state of this node is not asked for, and that of no node is none.
        SELF => HOLDER,
        _ => DEAD,
    })
}

#[test]
fn the_best_live_rank_announces() {
    let stable = own(Standing::Stable, false);
    let returned = own(Standing::Returned, false);
    let ready = own(Standing::Ready, false);
    let absent = own(Standing::Absent, false);
    let drains = own(Standing::Stable, true);
    for (own, a, b, expected, what) in [
        (stable, STABLE, STABLE, A, "by rank"),
        (stable, DEAD, STABLE, SELF, "the first is dead"),
        (absent, DEAD, STABLE, B, "this node announces nothing"),
        (absent, ABSENT, DEAD, NO_NODE, "no node announces"),
        (stable, ABSENT, STABLE, SELF, "the first is absent"),
        (stable, RETURNED, STABLE, SELF, "the first has returned"),
        (returned, RETURNED, STABLE, B, "the last alone is stable"),
        (returned, RETURNED, RETURNED, A, "all have returned"),
        (returned, DEAD, STABLE, B, "this node has returned"),
        (returned, DEAD, DEAD, SELF, "returned, and alone"),
        (stable, HELD, STABLE, SELF, "the first is held"),
        (stable, HELD, DEAD, SELF, "the first is held by this node"),
        (returned, HELD, DEAD, A, "a held node counts as returned"),
        (stable, HOLDER, STABLE, A, "the first holds this node"),
        (stable, DEAD, HOLDER, B, "the last holds this node"),
        (
            stable,
            cell(Standing::Stable, LIVENESS_HOLDS_THIS | LIVENESS_HELD),
            DEAD,
            A,
            "both hold each other",
        ),
        (stable, DEAD, cell(Standing::Returned, LIVENESS_HOLDS_THIS), SELF, "a returned node holds none"),
        (stable, DEAD, cell(Standing::Absent, LIVENESS_HOLDS_THIS), SELF, "an absent node holds none"),
        (absent, DEAD, HOLDER, B, "a held absent node is absent"),
        (ready, DEAD, HOLDER, B, "a held ready node has returned"),
        (stable, DRAINING, STABLE, SELF, "the first drains"),
        (drains, DRAINING, STABLE, B, "two drain"),
        (drains, DRAINING, DEAD, A, "all drain"),
        (drains, DEAD, RETURNED, B, "a returned node is better than one that drains"),
        (drains, DRAINING_RETURNED, DEAD, SELF, "all drain, one has returned"),
        (ready, STABLE, DEAD, A, "ready, by rank"),
        (ready, DEAD, STABLE, SELF, "a ready node counts as stable"),
        (ready, RETURNED, STABLE, B, "a ready node waits for a returned one"),
        (returned, READY, STABLE, B, "also if that is this node"),
        (stable, READY, RETURNED, SELF, "another one waits"),
        (stable, READY, DEAD, A, "another one counts as stable"),
        (returned, READY, RETURNED, A, "none is stable"),
        (ready, DRAINING_RETURNED, STABLE, SELF, "a draining node is not waited for"),
        (ready, ABSENT, STABLE, SELF, "an absent node is not waited for"),
        (stable, READY_HELD, STABLE, SELF, "a ready node is held"),
    ] {
        assert_eq!(announcer(&[A, SELF, B], own, a, b), expected, "{what}");
    }
}

#[test]
fn a_node_without_a_rank_sees_the_same_announcer() {
    for (a, b, expected) in [
        (STABLE, STABLE, A),
        (RETURNED, STABLE, B),
        (HOLDER, STABLE, A),
        (DEAD, DRAINING, B),
        (DEAD, ABSENT, NO_NODE),
    ] {
        for standing in Standing::ALL {
            assert_eq!(announcer(&[A, B], own(standing, false), a, b), expected);
        }
    }
}

#[test]
fn an_address_without_ranks_has_no_announcer() {
    assert_eq!(announcer(&[], own(Standing::Stable, false), STABLE, STABLE), NO_NODE);
}

#[test]
fn a_held_node_is_released_when_it_says_that_it_has_returned() {
    let heard = |standing| Liveness { last_seen: 5, state: Liveness::standing_bits(standing) };
    let alive = Liveness::default();
    for holds_others in [false, true] {
        for standing in Standing::ALL {
            let is_away = matches!(standing, Standing::Returned | Standing::Absent);
            let holds = holds_others && !is_away;
            assert!(!alive.after(heard(standing), false, holds_others).is_held());
            let returned = alive.after(heard(standing), true, holds_others);
            assert_eq!(returned.is_held(), holds, "{holds_others:?} {standing:?}");
            assert_eq!(returned.standing(), standing);
            assert_eq!(returned.after(heard(standing), false, holds_others).is_held(), holds);
            assert!(!returned.after(heard(Standing::Returned), false, holds_others).is_held());
            assert!(!returned.after(heard(standing), false, false).is_held());
            let new = Liveness::of_new_node(5);
            assert!(!new.after(heard(standing), true, holds_others).is_held(), "it was not heard of before");
        }
    }
}

fn state() -> impl Strategy<Value = (u32, u32)> {
    (0u32..4, prop_oneof![Just(0), Just(LIVENESS_ADMIN_DOWN)])
}

proptest! {
    #[test]
    fn all_nodes_with_the_same_view_choose_the_same_node(
        states in proptest::collection::vec(proptest::option::weighted(0.8, state()), 12),
        order in Just((0u16..12).collect::<Vec<_>>()).prop_shuffle(),
        count in 0usize..=RANKS,
    ) {
        let ranks = ranks(&order[..count]);
        let of = |node: NodeIndex| match states.get(usize::from(node)).copied().flatten() {
            Some((standing, bits)) => cell(Standing::from_number(standing), bits),
            None => DEAD,
        };
        let live = (0u16..12).filter(|node| states[usize::from(*node)].is_some());
        let chosen = live.map(|node| {
            let (standing, bits) = states[usize::from(node)].unwrap();
            let standing = Standing::from_number(standing);
            first_live(ranks, OwnStanding { node, is_draining: bits != 0, standing }, of)
        });
        let chosen: BTreeSet<NodeIndex> = chosen.collect();
        prop_assert!(chosen.len() <= 1, "{chosen:?}");
        if let Some(node) = chosen.first().copied().filter(|node| *node != NO_NODE) {
            prop_assert!(ranks.contains(&node) && states[usize::from(node)].is_some_and(|(it, _)| it != 3));
        } else {
            let announces = |node: &NodeIndex| {
                states.get(usize::from(*node)).copied().flatten().is_some_and(|(it, _)| it != 3)
            };
            prop_assert!(chosen.is_empty() || !ranks.iter().any(announces));
        }
    }

    #[test]
    fn a_number_holds_a_state(standing in 0u32..4, bits in 0u32..8) {
        let state = cell(Standing::from_number(standing), bits);
        prop_assert_eq!(AnnouncerState::from_number(state.to_number()), state);
    }
}
