use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn members(weights: &BTreeMap<String, u32>) -> Vec<Member<'_>> {
    weights.iter().map(|(name, weight)| Member { name, weight: *weight }).collect()
}

fn names<'a>(members: &[Member<'a>], ranks: [u16; 4]) -> [Option<&'a str>; 4] {
    ranks.map(|position| members.get(usize::from(position)).map(|member| member.name))
}

/// A ring by names, which does not depend on positions.
fn named_ring<'a>(members: &[Member<'a>], slots: usize) -> Vec<[Option<&'a str>; 4]> {
    build(members, slots).into_iter().map(|ranks| names(members, ranks)).collect()
}

fn some_weights(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<String, u32>> {
    proptest::collection::btree_map("[a-e]{1,3}", 0u32..10, count)
}

proptest! {
    #[test]
    fn the_order_of_members_does_not_matter(weights in some_weights(0..8), turn in 0usize..8) {
        let in_order = members(&weights);
        let mut turned = in_order.clone();
        turned.reverse();
        let by = turn.min(turned.len());
        turned.rotate_left(by);
        prop_assert_eq!(named_ring(&in_order, 64), named_ring(&turned, 64));
    }

    #[test]
    fn taking_a_member_away_closes_the_ranks_and_no_more(weights in some_weights(1..8), which: prop::sample::Index) {
        let before = members(&weights);
        let gone = before[which.index(before.len())].name;
        let after: Vec<_> = before.iter().copied().filter(|member| member.name != gone).collect();
        for (old, new) in named_ring(&before, 256).into_iter().zip(named_ring(&after, 256)) {
            let old: Vec<_> = old.into_iter().filter(|name| *name != Some(gone)).collect();
            // Where it stood, everybody behind it moves up, and one more comes in at the end.
            prop_assert_eq!(&new[..old.len()], &old[..]);
        }
    }

    #[test]
    fn ranks_name_each_member_once_and_only_those_with_weight(weights in some_weights(0..8)) {
        let all = members(&weights);
        let able = all.iter().filter(|member| member.weight > 0).count();
        for ranks in build(&all, 64) {
            let named: Vec<_> = ranks.iter().filter(|position| **position != NO_NODE).collect();
            prop_assert_eq!(named.len(), able.min(4));
            prop_assert!(ranks[named.len()..].iter().all(|position| *position == NO_NODE));
            for (i, position) in named.iter().enumerate() {
                prop_assert!(all[usize::from(**position)].weight > 0);
                prop_assert!(!named[..i].contains(position));
            }
        }
    }

    #[test]
    fn equal_factors_of_all_weights_do_not_matter(weights in some_weights(0..8), factor in 1u32..1000) {
        let scaled = weights.iter().map(|(name, weight)| (name.clone(), weight * factor)).collect();
        prop_assert_eq!(build(&members(&weights), 64), build(&members(&scaled), 64));
    }

    #[test]
    fn a_longer_ring_begins_with_the_shorter(weights in some_weights(0..8)) {
        let all = members(&weights);
        prop_assert_eq!(&build(&all, 128)[..64], &build(&all, 64)[..]);
    }

    #[test]
    fn slots_are_a_power_of_two_that_is_enough(nodes in 0usize..2_000, per_node in 0u32..5_000) {
        let slots = slots_for(nodes, per_node);
        let wanted = nodes * per_node as usize;
        prop_assert!(slots.is_power_of_two() && slots >= wanted && slots >= 256);
        prop_assert!(slots == 256 || slots / 2 < wanted);
    }
}

#[test]
fn slots_for_too_much_are_refusable_and_not_a_panic() {
    assert!(slots_for(usize::MAX, u32::MAX) > 1 << 31);
}

/// Every rank's share of the slots, against weights: chi-square with a bound far behind its mean.
fn chi_square(weights: &[u32], slots: usize) -> f64 {
    let names: Vec<String> = (0..weights.len()).map(|i| format!("node-{i}")).collect();
    let members: Vec<_> =
        names.iter().zip(weights).map(|(name, weight)| Member { name, weight: *weight }).collect();
    let mut led = vec![0u32; weights.len()];
    for ranks in build(&members, slots) {
        led[usize::from(ranks[0])] += 1;
    }
    let total: u32 = weights.iter().sum();
    let expected = |weight: u32| slots as f64 * f64::from(weight) / f64::from(total);
    led.iter()
        .zip(weights)
        .map(|(led, weight)| (f64::from(*led) - expected(*weight)).powi(2) / expected(*weight))
        .sum()
}

#[test]
fn shares_are_in_proportion_to_weights() {
    // Mean n - 1, standard deviation sqrt(2 (n - 1)); the ring is fixed, so this does not fail by chance.
    assert!(chi_square(&[1; 10], 1 << 14) < 9.0 + 4.0 * 18f64.sqrt());
    assert!(chi_square(&[1; 100], 1 << 15) < 99.0 + 4.0 * 198f64.sqrt());
    assert!(chi_square(&[1, 2, 3, 4, 50], 1 << 14) < 4.0 + 4.0 * 8f64.sqrt());
    assert!(chi_square(&[1, 1_000], 1 << 16) < 1.0 + 4.0 * 2f64.sqrt());
}

/// Other nodes of the same cluster may run another version: a change of the algorithm must be noticed.
#[test]
fn the_ring_is_what_it_always_was() {
    let weights = [("node-a", 1), ("node-b", 1), ("node-c", 2), ("node-d", 3), ("node-e", 0), ("node-f", 1)];
    let all = weights.map(|(name, weight)| Member { name, weight });
    // Computed by a second implementation, with logarithms in floating point.
    assert_eq!(build(&all, 4), [[3, 2, 5, 1], [3, 0, 2, 1], [3, 2, 5, 0], [3, 5, 2, 0]]);
    let digest =
        build(&all, 4096).iter().flatten().fold(0, |digest, position| mix(digest ^ u64::from(*position)));
    assert_eq!(digest, 0x804d_8c64_4164_ea44);
}

#[test]
fn a_tie_goes_to_the_first_name() {
    let of = |name| Member { name, weight: 1 };
    let by_name: Vec<_> =
        contenders(&[of("b"), of("c"), of("a")]).iter().map(|contender| contender.position).collect();
    assert_eq!(by_name, [2, 0, 1]);
    let equal = [5, 3, 4].map(|position| Contender { position, seed: 1, weight: 1 });
    assert_eq!(rank(&equal, 7), [5, 3, 4, NO_NODE]);
}
