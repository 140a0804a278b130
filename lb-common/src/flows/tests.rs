extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use FlowState::{Closed, HalfOpen, Moved, Open, Udp, Unconfirmed};

const REST: usize = WAYS - UNPROVEN_WAYS;

fn entry(state: FlowState, age: u16) -> FlowEntry {
    FlowEntry { node: 7, state, age }
}

fn held(set: &FlowSet, wanted: &[FlowState]) -> usize {
    let entries = set.ways.iter().filter_map(|way| unpack(way.load(Ordering::Relaxed)));
    entries.filter(|entry| wanted.contains(&entry.state)).count()
}

/// A set with as many flows of each state, tags from 0 on, ages rising with them.
fn set_of(counts: &[(FlowState, usize)]) -> FlowSet {
    let set = FlowSet::<AtomicU64>::default();
    let standings = counts.iter().flat_map(|(state, count)| std::iter::repeat_n(*state, *count));
    for (tag, state) in standings.enumerate() {
        set.put(tag as u32, entry(state, tag as u16));
    }
    set
}

#[test]
fn what_is_put_is_got() {
    let set = FlowSet::<AtomicU64>::default();
    assert_eq!(set.get(9), None);
    set.put(9, entry(Open, 3));
    assert_eq!(set.get(9), Some(entry(Open, 3)));
    set.put(9, FlowEntry { node: 8, state: Closed, age: 4 });
    assert_eq!(set.get(9), Some(FlowEntry { node: 8, state: Closed, age: 4 }));
    assert_eq!(held(&set, &[Open]), 0);
    let bits = set.get_bits(9);
    assert_eq!((holder(bits), state(bits), age(bits)), (8, Closed as u32, 4));
    assert!(
        is_closed(bits) && is_confirmed(bits) && !is_closed(0) && !is_confirmed(0) && holder(0) == NO_NODE
    );
}

#[test]
fn the_state_of_an_evicted_entry_is_returned() {
    let set = FlowSet::<AtomicU64>::default();
    // Whatever the age: an empty way is none of another flow.
    for age in [0, 7, STALE + 1] {
        assert_eq!(set.put(1, entry(HalfOpen, age)), 0);
    }
    assert_eq!(set.put(2, entry(HalfOpen, STALE + 1)), 0);
    assert_eq!(set.put(3, entry(Unconfirmed, STALE + 1)), HalfOpen as u64);
    assert_eq!(set.put(3, entry(Open, STALE + 1)), 0, "its own way");
    let full = set_of(&[(Open, REST)]);
    assert_eq!(full.put(100, entry(Moved, 20)), Open as u64);
    for tag in [101, 102] {
        assert_eq!(full.put(tag, entry(HalfOpen, 20 + STALE)), 0, "there is room");
    }
    assert_eq!(full.put(103, entry(Open, 20 + STALE)), Closed as u64, "it was stale");
    assert_eq!(set_of(&[(HalfOpen, UNPROVEN_WAYS)]).put(100, entry(Udp, 3)), 0);
}

#[test]
fn what_strangers_can_make_takes_its_two_ways_and_no_more() {
    for confirmed in [[(Open, REST)], [(Moved, REST)]] {
        let set = set_of(&confirmed);
        for tag in 100..100_000 {
            let state = if tag % 3 == 0 { HalfOpen } else { Unconfirmed };
            set.put(tag, entry(state, 6 + (tag % 5) as u16));
        }
        assert!((0..REST as u32).all(|tag| set.get(tag) == Some(entry(confirmed[0].0, tag as u16))));
        assert_eq!(held(&set, &[HalfOpen, Unconfirmed]), UNPROVEN_WAYS);
    }
}

#[test]
fn udp_takes_what_tcp_leaves_and_two_ways_at_most() {
    let set = set_of(&[(Open, 5)]);
    for tag in 100..1_000 {
        set.put(tag, entry(Udp, 6));
    }
    assert_eq!((held(&set, &[Open]), held(&set, &[Udp])), (5, 1));
    set.put(1_001, entry(Open, 6));
    assert_eq!((held(&set, &[Open]), held(&set, &[Udp])), (6, 0));
    set.put(1_002, entry(Udp, 6));
    assert_eq!((held(&set, &[Open]), set.get(1_002)), (6, None), "it evicts no entry");
    let set = set_of(&[(Udp, 5)]);
    assert_eq!(held(&set, &[Udp]), UDP_WAYS);
}

#[test]
fn who_goes_first_is_closed_then_udp_then_open_then_moved_the_longest_silent_of_each() {
    let set = set_of(&[(Udp, 1), (Open, 2), (Moved, 3)]);
    let gone = |newcomer: u32, state: FlowState| {
        let before: Vec<u32> = (0..20).filter(|tag| set.get(*tag).is_some()).collect();
        set.put(newcomer, entry(state, 10));
        before.into_iter().find(|tag| set.get(*tag).is_none())
    };
    assert_eq!(gone(10, Open), Some(0), "UDP");
    assert_eq!(gone(11, Moved), Some(1), "the open flow that has been silent longest");
    set.put(4, entry(Closed, 10));
    assert_eq!(gone(12, Open), None, "a closed flow counts for nothing, and an empty way is taken first");
    assert_eq!(gone(13, Moved), Some(2));
    assert_eq!(gone(14, Moved), Some(10));
    assert_eq!(gone(15, Moved), Some(12));
    assert_eq!(gone(16, Open), None, "moved flows cannot be found again by a detour alone");
    assert_eq!(set.get(16), None);
    assert_eq!(gone(17, Moved), Some(3));
}

#[test]
fn a_flow_stays_where_it_is_when_there_is_no_better_place() {
    let set = set_of(&[(Moved, REST)]);
    set.put(50, entry(Unconfirmed, 8));
    set.put(50, entry(Open, 9));
    assert_eq!(set.get(50), Some(entry(Unconfirmed, 8)));
    let set = set_of(&[(Open, REST)]);
    set.put(50, entry(HalfOpen, 8));
    set.put(50, entry(Open, 9));
    assert_eq!((set.get(50), set.get(0)), (Some(entry(Open, 9)), None));
    assert_eq!(held(&set, &[HalfOpen]), 0, "a flow has one way");
}

#[test]
fn what_has_been_silent_for_longer_than_tcp_is_makes_room() {
    let set = set_of(&[(Moved, REST)]);
    set.put(50, entry(Udp, STALE));
    assert_eq!(set.get(50), None);
    set.put(50, entry(Udp, STALE + 1));
    assert_eq!(set.get(50), Some(entry(Udp, STALE + 1)));
    // Without an empty way, a stale flow is evicted, also by an unconfirmed one.
    for tag in 51..54 {
        set.put(tag, entry(HalfOpen, STALE + 2));
    }
    assert_eq!((held(&set, &[Moved]), held(&set, &[HalfOpen])), (REST - 1, UNPROVEN_WAYS));
}

#[test]
fn silence_is_counted_across_the_wrap_of_the_clock() {
    let set = FlowSet::<AtomicU64>::default();
    let ages = [0x1ffe, 0x1fff, 0, 1, 2, 3];
    for (tag, age) in ages.into_iter().enumerate() {
        set.put(tag as u32, entry(Open, age));
    }
    set.put(99, entry(Open, 5));
    assert_eq!(set.get(0), None, "the oldest is the one from before the wrap");
    assert_eq!(held(&set, &[Open]), 6);
}

fn any_standing() -> impl Strategy<Value = FlowState> {
    prop_oneof![Just(HalfOpen), Just(Unconfirmed), Just(Udp), Just(Open), Just(Moved), Just(Closed)]
}

/// Tags of a set's confirmed flows.
fn confirmed(set: &FlowSet) -> Vec<u32> {
    let words = set.ways.iter().map(|way| way.load(Ordering::Relaxed));
    let confirmed = words.filter(|word| unpack(*word).is_some_and(|e| matches!(e.state, Open | Moved)));
    confirmed.map(|word| (word >> 32) as u32).collect()
}

proptest! {
    #[test]
    fn a_set_keeps_its_shares_and_what_is_confirmed(
        puts in proptest::collection::vec((0u32..24, any_standing(), any::<u16>()), 1..200),
    ) {
        let set = FlowSet::<AtomicU64>::default();
        for (age, (tag, state, node)) in (0u16..).zip(puts) {
            let before = confirmed(&set);
            set.put(tag, FlowEntry { node, state, age });
            let after = confirmed(&set);
            if !matches!(state, Open | Moved) {
                let mut others = before.iter().filter(|other| **other != tag);
                prop_assert!(others.all(|other| after.contains(other)), "{state:?} pushed out what is confirmed");
            }
            prop_assert!(held(&set, &[HalfOpen, Unconfirmed]) <= UNPROVEN_WAYS);
            prop_assert!(held(&set, &[Udp]) <= UDP_WAYS);
            prop_assert!(held(&set, &[Udp, Open, Moved]) <= REST);
            let words = set.ways.iter().map(|way| way.load(Ordering::Relaxed)).filter(|word| *word != 0);
            let mut once: Vec<u32> = words.map(|word| (word >> 32) as u32).collect();
            let all = once.len();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), all, "a flow has one way");
        }
    }
}
