extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn entry(standing: Standing, age: u16) -> Entry {
    Entry { node: 7, standing, age }
}

fn held(set: &FlowSet, standing: Standing) -> usize {
    set.ways
        .iter()
        .filter_map(|way| unpack(way.load(Ordering::Relaxed)))
        .filter(|e| e.standing == standing)
        .count()
}

#[test]
fn what_is_put_is_got() {
    let set = FlowSet::<AtomicU64>::default();
    assert_eq!(set.get(9), None);
    set.put(9, entry(Standing::Open, 3));
    assert_eq!(set.get(9), Some(entry(Standing::Open, 3)));
    set.put(9, Entry { node: 8, standing: Standing::Closed, age: 4 });
    assert_eq!(set.get(9), Some(Entry { node: 8, standing: Standing::Closed, age: 4 }));
    assert_eq!(held(&set, Standing::Open), 0);
}

#[test]
fn a_flood_of_half_open_flows_takes_its_two_ways_and_no_more() {
    let set = FlowSet::<AtomicU64>::default();
    for tag in 0..6 {
        set.put(tag, entry(Standing::Open, 0));
    }
    for tag in 100..100_000 {
        set.put(tag, entry(Standing::HalfOpen, tag as u16 & 0x3fff));
    }
    assert!((0..6).all(|tag| set.get(tag) == Some(entry(Standing::Open, 0))));
    assert_eq!(held(&set, Standing::HalfOpen), HALF_OPEN_WAYS);
}

#[test]
fn who_goes_first_is_closed_then_longest_silent() {
    let set = FlowSet::<AtomicU64>::default();
    for tag in 0..6 {
        set.put(tag, entry(Standing::Open, tag as u16));
    }
    // Two ways are kept for half-open flows, so the longest silent goes although ways are empty.
    set.put(6, entry(Standing::Open, 10));
    assert_eq!(set.get(0), None);
    set.put(3, entry(Standing::Closed, 10));
    set.put(8, entry(Standing::Open, 11));
    assert!(set.get(1).is_some(), "a closed flow counts for nothing in the share");
    set.put(9, entry(Standing::Open, 12));
    assert_eq!(set.get(1), None);
}

#[test]
fn silence_is_counted_across_the_wrap_of_the_clock() {
    let set = FlowSet::<AtomicU64>::default();
    let ages = [0x3ffe, 0x3fff, 0, 1, 2, 3];
    for (tag, age) in ages.into_iter().enumerate() {
        set.put(tag as u32, entry(Standing::Open, age));
    }
    set.put(99, entry(Standing::Open, 5));
    assert_eq!(set.get(0), None, "the oldest is the one from before the wrap");
    assert_eq!(held(&set, Standing::Open), 6);
}

fn any_standing() -> impl Strategy<Value = Standing> {
    prop_oneof![Just(Standing::HalfOpen), Just(Standing::Open), Just(Standing::Closed)]
}

proptest! {
    #[test]
    fn a_set_keeps_its_shares_and_its_last_entry(
        puts in proptest::collection::vec((0u32..24, any_standing(), any::<u16>(), any::<u16>()), 1..200),
    ) {
        let set = FlowSet::<AtomicU64>::default();
        for (tag, standing, node, age) in puts {
            let entry = Entry { node, standing, age: age & 0x3fff };
            set.put(tag, entry);
            // Nobody has to go for a flow that is over already, so such a one may find no place.
            prop_assert!(set.get(tag) == Some(entry) || (standing == Standing::Closed && set.get(tag).is_none()));
            prop_assert!(held(&set, Standing::HalfOpen) <= HALF_OPEN_WAYS);
            prop_assert!(held(&set, Standing::Open) <= WAYS - HALF_OPEN_WAYS);
            let tags: Vec<u32> = set.ways.iter().map(|w| w.load(Ordering::Relaxed)).filter(|w| *w != 0).map(|w| (w >> 32) as u32).collect();
            let mut once = tags.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), tags.len(), "a flow has one way");
        }
    }
}
