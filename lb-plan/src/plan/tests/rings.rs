//! VIPs, their rings and their numbers.

use lb_common::maps::{VIP_AFFINITY, VIP_CLOSED, VIP_ECHO};
use lb_common::ring::NO_NODE;

use super::scenario::{Web, applied};
use super::*;
use crate::contents::Region;

fn key(service: u8, port: u16) -> VipKey {
    VipKey { address: [192, 0, 2, service].into(), port, protocol: 6 }
}

fn region(plan: &Plan, key: VipKey) -> Region {
    Region::of(&plan.contents.vips[&key]).unwrap()
}

/// Number of slots of a VIP that each node leads, by index.
fn led(plan: &Plan, key: VipKey) -> BTreeMap<u16, usize> {
    let mut led = BTreeMap::new();
    for slot in plan.contents.rings[&region(plan, key).first].iter() {
        *led.entry(slot.leader).or_default() += 1;
    }
    led
}

fn labels(plan: &Plan) -> Vec<&'static str> {
    plan.problems.iter().map(Problem::label).collect()
}

#[test]
fn a_cluster_service_is_shared_by_all_nodes() {
    let plan = Scenario::of(3).with(1, Web::cluster()).plan();
    let led = led(&plan, key(1, 80));
    assert_eq!(led.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(led.values().all(|slots| (50..120).contains(slots)), "{led:?}");
    let members = &plan.services[0].vips[0].ring.as_ref().unwrap().members;
    assert_eq!(
        members.iter().map(|share| (share.node.as_str(), share.weight)).collect::<Vec<_>>(),
        [("n1", 1), ("n2", 1), ("n3", 1)]
    );
}

#[test]
fn a_local_service_is_shared_by_its_endpoints() {
    let plan = Scenario::of(3).with(1, Web::local(&[(2, 1), (3, 3)])).plan();
    let led = led(&plan, key(1, 80));
    assert_eq!(led.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert!(led[&2] > 2 * led[&1], "{led:?}");
    let slot = plan.contents.rings[&0][0];
    assert_eq!((slot.successors[1], slot.former), (NO_NODE, [NO_NODE; lb_common::ring::FORMER]));
}

#[test]
fn a_vip_without_a_serving_node_is_not_installed() {
    let plan = Scenario::of(2).with(1, Web { endpoints: BTreeMap::new(), ..Web::cluster() }).plan();
    assert!(plan.contents.vips.is_empty() && plan.contents.rings.is_empty());
    assert_eq!((plan.services[0].vips[0].number, &plan.services[0].vips[0].ring), (None, &None));
}

#[test]
fn an_address_answers_pings_and_has_the_ring_of_its_first_port() {
    let mut scenario =
        Scenario::of(3).with(1, Web { ports: vec![90, 70], affinity: true, ..Web::local(&[(2, 1)]) });
    scenario
        .services
        .insert(2, Web { address: Some([192, 0, 2, 1].into()), ports: vec![60], ..Web::cluster() });
    let plan = scenario.plan();
    let vips = &plan.contents.vips;
    assert_eq!(vips.len(), 4);
    assert_eq!([60, 70, 90].map(|port| vips[&key(1, port)].flags), [0, VIP_AFFINITY, VIP_AFFINITY]);
    let address = vips[&VipKey::of_address([192, 0, 2, 1].into())];
    assert_eq!((address.flags, address.ring), (VIP_ECHO | VIP_CLOSED, vips[&key(1, 60)].ring));
    assert_ne!(address.ring, vips[&key(1, 70)].ring);
}

#[test]
fn services_with_proportional_members_share_a_ring() {
    let scenario = Scenario::of(3)
        .with(1, Web::local(&[(2, 1), (3, 2)]))
        .with(2, Web::local(&[(2, 2), (3, 4)]))
        .with(3, Web::local(&[(2, 2), (3, 1)]));
    let plan = scenario.plan();
    assert_eq!(region(&plan, key(1, 80)), region(&plan, key(2, 80)));
    assert_eq!(plan.contents.rings.len(), 2);
}

#[test]
fn a_ring_that_all_its_vips_leave_is_overwritten_in_place() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster()).with(2, Web::cluster());
    let before = scenario.plan();
    scenario.add(4);
    let after = scenario.plan_over(&before.contents);
    assert_eq!(region(&before, key(1, 80)), region(&after, key(1, 80)));
    let [before, after] = [&before, &after].map(|plan| &plan.contents.rings[&0]);
    let moved = before.iter().zip(after.iter()).filter(|(before, after)| before.leader != after.leader);
    // About a quarter moves to the new node, and hardly any to others.
    assert!((40..90).contains(&moved.clone().filter(|(_, after)| after.leader == 3).count()));
    assert!(moved.filter(|(_, after)| after.leader != 3).count() < 8);
}

#[test]
fn a_vip_that_leaves_a_shared_ring_gets_its_own_region() {
    let mut scenario =
        Scenario::of(3).with(1, Web::local(&[(1, 1), (2, 1)])).with(2, Web::local(&[(1, 1), (2, 1)]));
    let before = scenario.plan();
    scenario.services.insert(2, Web::local(&[(3, 1)]));
    let after = scenario.plan_over(&before.contents);
    assert_eq!(region(&after, key(1, 80)), region(&before, key(1, 80)));
    assert_eq!(after.contents.rings[&0], before.contents.rings[&0]);
    assert_eq!(region(&after, key(2, 80)), Region { first: 256, slots: 256 });
}

#[test]
fn a_larger_ring_moves_to_a_region_aligned_to_its_size() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let before = scenario.plan();
    (4..=5).for_each(|node| scenario.add(node));
    let after = scenario.plan_over(&before.contents);
    assert_eq!(region(&after, key(1, 80)), Region { first: 512, slots: 512 });
}

#[test]
fn without_room_a_vip_keeps_its_ring_and_others_proceed() {
    let mut scenario = Scenario::of(3).with(1, Web::local(&[(1, 1)])).with(2, Web::local(&[(1, 1)]));
    scenario.settings.ring_capacity = 256;
    let before = scenario.plan();
    // Both now want other rings, and there is only one region.
    scenario.services.insert(1, Web::local(&[(2, 1)]));
    scenario.services.insert(2, Web::local(&[(3, 1)]));
    scenario.services.insert(3, Web::local(&[(1, 1), (2, 1)]));
    let after = scenario.plan_over(&before.contents);
    assert_eq!(labels(&after), ["no_ring_space"; 3]);
    let names: Vec<_> =
        after.problems.iter().map(|problem| problem.object.as_ref().unwrap().name.as_str()).collect();
    assert_eq!(names, ["s1", "s2", "s3"]);
    assert_eq!(
        (&after.contents.vips, &after.contents.rings),
        (&before.contents.vips, &before.contents.rings)
    );
}

#[test]
fn a_removed_node_stays_while_a_kept_ring_refers_to_it() {
    let mut scenario = Scenario::of(3).with(1, Web::local(&[(3, 1)])).with(2, Web::local(&[(3, 1)]));
    scenario.settings.ring_capacity = 256;
    let before = scenario.plan();
    scenario.nodes.remove(&3);
    scenario.add(4);
    scenario.services.insert(1, Web::local(&[(2, 1)]));
    scenario.services.insert(2, Web::local(&[(4, 1)]));
    let after = scenario.plan_over(&before.contents);
    assert_eq!(after.contents.nodes[&2], before.contents.nodes[&2]);
    assert_eq!(after.nodes.iter().map(|node| node.index).collect::<Vec<_>>(), [0, 1, 3]);
    // As soon as there is room, it is a former leader, and expires with the grace period.
    scenario.settings.ring_capacity = 1024;
    let mut planner = Planner::new();
    let later = scenario.plan_by(&mut planner, &after.contents, 0);
    assert_eq!(labels(&later), [] as [&str; 0]);
    assert_eq!(later.contents.nodes[&2], before.contents.nodes[&2]);
    let over = scenario.plan_by(&mut planner, &later.contents, 101);
    assert!(!over.contents.nodes.contains_key(&2));
}

#[test]
fn a_ring_that_could_never_fit_is_not_built() {
    let mut scenario = Scenario::of(2).with(1, Web::cluster());
    scenario.settings.slots_per_node = u32::MAX;
    let plan = scenario.plan_over(&Default::default());
    assert_eq!(labels(&plan), ["no_ring_space"]);
    assert!(plan.contents.vips.is_empty());
}

#[test]
fn numbers_are_stable_and_new_vips_get_the_lowest_free_one() {
    let number = |plan: &Plan, service| plan.contents.vips[&key(service, 80)].number;
    let mut scenario = Scenario::of(1).with(2, Web::cluster()).with(3, Web::cluster());
    let first = scenario.plan();
    assert_eq!((number(&first, 2), number(&first, 3)), (0, 1));
    scenario.services.remove(&2);
    scenario.services.insert(1, Web::cluster());
    let second = scenario.plan_over(&first.contents);
    // 0 still belongs to the first VIP while the operations run; 2 and 3 are those of the two addresses.
    assert_eq!((number(&second, 3), number(&second, 1)), (1, 4));
    scenario.services.insert(4, Web::cluster());
    let third = scenario.plan_over(&applied(&first.contents, &second));
    assert_eq!(number(&third, 4), 0);
}

/// No agent writes such maps; but an agent that finds them must recover by itself.
#[test]
fn overlapping_rings_and_duplicate_numbers_are_repaired() {
    let scenario = Scenario::of(2).with(1, Web::local(&[(1, 1)])).with(2, Web::local(&[(2, 1)]));
    let mut installed = scenario.plan().contents;
    for vip in installed.vips.values_mut().filter(|vip| vip.ring == 256) {
        (vip.ring, vip.number) = (128, 0);
    }
    let moved = installed.rings.remove(&256).unwrap();
    installed.rings.insert(128, moved);
    let plan = scenario.plan_over(&installed);
    let mut regions: Vec<_> = plan.contents.vips.values().filter_map(Region::of).collect();
    regions.sort_unstable();
    regions.dedup();
    assert!(regions.len() == 2 && regions[0].end() <= regions[1].first, "{regions:?}");
    let mut numbers: Vec<_> = plan.contents.vips.values().map(|vip| vip.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), plan.contents.vips.len());
}

#[test]
fn a_ring_beyond_the_array_moves_inside() {
    let mut scenario = Scenario::of(2).with(1, Web::local(&[(1, 1)])).with(2, Web::local(&[(2, 1)]));
    let before = scenario.plan();
    assert_eq!(region(&before, key(2, 80)).first, 256);
    scenario.services.remove(&1);
    scenario.settings.ring_capacity = 256;
    let during = scenario.plan_over(&before.contents);
    assert_eq!(labels(&during), ["no_ring_space"]);
    // The VIP of the first region is gone, so there is room now.
    let after = scenario.plan_over(&applied(&before.contents, &during));
    assert_eq!((labels(&after).len(), region(&after, key(2, 80)).first), (0, 0));
}
