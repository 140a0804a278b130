//! The laws of the operations, over random histories of a cluster.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use lb_common::maps::Vip;
use lb_common::ring::{NO_NODE, Slot};
use proptest::prelude::*;

use super::scenario::Web;
use super::*;
use crate::contents::{Contents, Op, Slots};

/// The invariants that the program relies on at every moment.
fn assert_whole(contents: &Contents) {
    for (key, vip) in &contents.vips {
        let ring = contents.rings.get(&vip.ring).unwrap_or_else(|| panic!("{key:?} refers to nothing"));
        assert_eq!(ring.len(), vip.mask as usize + 1, "{key:?}");
        let named = ring.iter().flat_map(|slot| {
            assert!(!slot.former.contains(&slot.leader), "{key:?} has a leader that is its own former one");
            let led: Vec<_> = slot.former.into_iter().take_while(|node| *node != NO_NODE).collect();
            assert_eq!(
                led.iter().collect::<BTreeSet<_>>().len(),
                led.len(),
                "{key:?} remembers a leader twice"
            );
            assert!(slot.former[led.len()..].iter().all(|node| *node == NO_NODE), "{key:?} has a gap");
            [slot.leader].into_iter().chain(slot.successors).chain(slot.former)
        });
        for index in named.filter(|index| *index != NO_NODE).collect::<BTreeSet<_>>() {
            assert!(contents.nodes.contains_key(&index), "{key:?} names node {index}, which is not there");
        }
        assert_ne!(ring[0].leader, NO_NODE);
    }
    let mut end = 0;
    for (first, ring) in &contents.rings {
        assert!(*first >= end, "rings overlap");
        end = first + ring.len() as u32;
    }
    let numbers: BTreeSet<_> = contents.vips.values().map(|vip| vip.number).collect();
    assert_eq!(numbers.len(), contents.vips.len(), "two VIPs count as one");
    for (address, announcer) in &contents.announcers {
        assert!(contents.vips.contains_key(&VipKey::of_address(*address)), "{address} is no VIP");
        let ranks: Vec<_> = announcer.ranks.iter().take_while(|node| **node != NO_NODE).collect();
        assert!(!ranks.is_empty() && ranks.iter().all(|node| contents.nodes.contains_key(node)), "{address}");
        assert_eq!(ranks.iter().collect::<BTreeSet<_>>().len(), ranks.len(), "{address} ranks a node twice");
    }
}

/// A VIP that stays sees each slot as installed or as desired, and never another VIP's.
fn assert_own(now: &Contents, installed: &Contents, desired: &Contents) {
    let ring = |contents: &'_ Contents, key| Some(contents.rings[&contents.vips.get(key)?.ring].clone());
    for key in now.vips.keys().filter(|key| desired.vips.contains_key(key)) {
        let (now, before, after) = (ring(now, key).unwrap(), ring(installed, key), ring(desired, key));
        let [before, after] = [before, after].map(|ring| ring.filter(|ring| ring.len() == now.len()));
        let is_of =
            |ring: &Option<Slots>, i: usize, slot: Slot| ring.as_ref().is_some_and(|ring| ring[i] == slot);
        let own = |(i, slot)| is_of(&before, i, slot) || is_of(&after, i, slot);
        assert!(now.iter().copied().enumerate().all(own), "{key:?} sees another VIP's ring");
    }
}

/// Every write changes something: unchanged slots and entries are not written.
fn assert_needed(before: &Contents, op: &Op) {
    let mut after = before.clone();
    after.apply(op);
    assert!(after != *before || matches!(op, Op::ClearVipStats(_)), "{op:?} changes nothing");
    if let Op::WriteSlots { first, slots } = op
        && let Some((start, ring)) = before.rings.range(..=first).next_back()
        && let Some(old) = ring.get((first - start) as usize..(first - start) as usize + slots.len())
    {
        assert!(old.iter().zip(slots).all(|(old, new)| old != new), "a slot is written that stays");
    }
}

fn some_service() -> impl Strategy<Value = Web> {
    let endpoints = proptest::collection::btree_map(1u8..5, 1u8..3, 0..3);
    // Few addresses, ports and endpoints, so that Services conflict and share rings.
    let address = (1u8..4, any::<bool>()).prop_map(|(last, is_v6)| {
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into());
        Some(if is_v6 { v6.into() } else { IpAddr::from([192, 0, 2, last]) })
    });
    let ports = proptest::sample::subsequence(vec![80, 81, 82], 1..=2);
    let terminating = proptest::collection::btree_set(1u8..5, 0..2);
    let some = proptest::sample::subsequence(sources::RANGES.to_vec(), 0..4);
    let sources = prop_oneof![1 => Just(Vec::new()), 3 => some];
    (address, ports, any::<bool>(), any::<bool>(), endpoints, terminating, sources).prop_map(
        |(address, ports, local, affinity, endpoints, terminating, sources)| Web {
            address,
            ports,
            local,
            affinity,
            endpoints,
            terminating,
            udp: affinity,
            labels: "",
            sources,
        },
    )
}

fn some_scenario() -> impl Strategy<Value = Scenario> {
    let nodes = proptest::sample::subsequence(vec![2, 3, 4, 5, 6], 0..=5);
    let services = proptest::collection::btree_map(1u8..7, some_service(), 2..7);
    let unresolved = proptest::option::of(1u8..7);
    // Rings have 256 slots, or 512 from five nodes with 64 each; three regions are sometimes not enough.
    let slots_per_node = prop_oneof![3 => Just(32), 1 => Just(64)];
    let draining = proptest::sample::subsequence(vec![1, 2, 3, 4], 0..=2);
    let excluded = proptest::sample::subsequence(vec![1, 2, 3, 4], 0..=2);
    let apart = (draining, excluded);
    (nodes, services, unresolved, 3u32..12, slots_per_node, apart).prop_map(scenario_of)
}

type Choices = (Vec<u8>, BTreeMap<u8, Web>, Option<u8>, u32, u32, (Vec<u8>, Vec<u8>));

fn scenario_of((nodes, services, unresolved, places, slots_per_node, apart): Choices) -> Scenario {
    let (draining, excluded) = apart;
    let mut scenario = Scenario { services, advertisements: vec![""], ..Scenario::of(1) };
    scenario.draining.extend(draining);
    nodes.into_iter().for_each(|node| scenario.add(node));
    for node in excluded {
        if let Some(labels) = scenario.nodes.get_mut(&node) {
            *labels = targets::EXCLUDED;
        }
    }
    scenario.settings.ring_capacity = places * 256;
    scenario.settings.slots_per_node = slots_per_node;
    if let Some(node) = unresolved {
        scenario.facts.next_hops.remove(&scenario::address(node).into());
    }
    scenario
}

/// The leader and successors of each slot of each VIP, by name.
fn orders(plan: &Plan) -> BTreeMap<VipKey, Vec<[Option<&NodeName>; 4]>> {
    let names: BTreeMap<u16, &NodeName> = plan.nodes.iter().map(|node| (node.index, &node.name)).collect();
    let order = |slot: &Slot| {
        let [a, b, c] = slot.successors;
        [slot.leader, a, b, c].map(|index| names.get(&index).copied())
    };
    let vip =
        |(key, vip): (&VipKey, &Vip)| (*key, plan.contents.rings[&vip.ring].iter().map(order).collect());
    plan.contents.vips.iter().map(vip).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_prefix_of_the_operations_leaves_a_hole(
        history in proptest::collection::vec((some_scenario(), prop_oneof![Just(0), 1u64..150]), 1..6),
        settle in 0u64..60,
    ) {
        let mut planner = Planner::new();
        let mut installed = Contents::default();
        let mut now = 0;
        for (mut scenario, passed) in history {
            now += passed;
            scenario.settings.weight_settle = Duration::from_secs(settle);
            let plan = scenario.plan_by(&mut planner, &installed, now);
            prop_assert!(plan.wake.is_none_or(|wake| wake > Duration::from_secs(now)));
            let mut contents = installed.clone();
            for op in diff(&installed, &plan.contents) {
                assert_needed(&contents, &op);
                contents.apply(&op);
                assert_whole(&contents);
                assert_own(&contents, &installed, &plan.contents);
                sources::assert_admitted(&contents, &installed, &plan.contents);
            }
            prop_assert_eq!(&contents, &plan.contents);
            prop_assert_eq!(diff(&contents, &plan.contents), []);
            installed = contents;
        }
    }

    /// Only points in time: with all of them equal, the whole history is in the installed contents.
    #[test]
    fn only_points_in_time_are_remembered(history in proptest::collection::vec(some_scenario(), 1..6)) {
        let mut planner = Planner::new();
        let mut installed = Contents::default();
        for scenario in history {
            let plan = scenario.plan_by(&mut planner, &installed, 7);
            prop_assert_eq!(&plan, &scenario.plan_by(&mut Planner::new(), &installed, 7));
            installed = plan.contents;
        }
    }

    /// Leaders and successors, by name: independent of history and of the node that plans.
    #[test]
    fn a_ring_depends_on_nothing_but_its_inputs(
        history in proptest::collection::vec((some_scenario(), 0u64..150), 1..4),
    ) {
        let mut planner = Planner::new();
        let mut installed = Contents::default();
        let mut now = 0;
        for (mut scenario, passed) in history {
            now += passed;
            scenario.settings.ring_capacity = 1 << 16;
            let plan = scenario.plan_by(&mut planner, &installed, now);
            for node in scenario.nodes.keys() {
                let there = scenario.seen_from(*node).plan_over(&Contents::default());
                prop_assert_eq!(orders(&plan), orders(&there));
            }
            installed = plan.contents;
        }
    }

    #[test]
    fn plans_converge(history in proptest::collection::vec(some_scenario(), 1..4)) {
        let mut installed = Contents::default();
        for scenario in &history {
            installed = scenario.plan_over(&installed).contents;
        }
        // The first plan after the last change may only free what the second needs.
        let last = &history[history.len() - 1];
        for _ in 0..8 {
            installed = last.plan_over(&installed).contents;
        }
        prop_assert_eq!(&last.plan_over(&installed).contents, &installed);
    }

    #[test]
    fn desired_vips_are_served_if_there_is_room(history in proptest::collection::vec(some_scenario(), 1..4)) {
        let mut installed = Contents::default();
        for mut scenario in history {
            scenario.add(1);
            scenario.settings.ring_capacity = 1 << 16;
            let plan = scenario.plan_over(&installed);
            for service in &plan.services {
                for vip in &service.vips {
                    let has_endpoints = vip.ring.is_some();
                    prop_assert_eq!(has_endpoints, vip.number.is_some());
                    let Some(ring) = &vip.ring else { continue };
                    let slots = &plan.contents.rings[&ring.first];
                    let leaders: BTreeSet<_> = slots.iter().map(|slot| slot.leader).collect();
                    let state = |share: &Share| plan.nodes.iter().find(|node| node.name == share.node).unwrap();
                    let members: Vec<_> = ring.members.iter().map(state).collect();
                    prop_assert_eq!(leaders, members.iter().map(|node| node.index).collect::<BTreeSet<_>>());
                    // Members are of one tier, and nodes that only keep flows are of a worse one.
                    prop_assert!(members.windows(2).all(|pair| pair[0].draining == pair[1].draining));
                }
            }
            prop_assert!(plan.problems.iter().all(|problem| problem.label() != "no_ring_space"));
            installed = plan.contents;
        }
    }
}
