//! Former leaders, drains and young VIPs, over time.

use lb_common::maps::VIP_NEW_LEADER;
use lb_common::ring::{FORMER, NO_NODE, Slot};

use super::scenario::{Web, applied};
use super::*;

fn key(service: u8) -> VipKey {
    VipKey { address: [192, 0, 2, service].into(), port: 80, protocol: 6 }
}

fn ring(plan: &Plan, service: u8) -> &[Slot] {
    plan.contents.ring_of(&plan.contents.vips[&key(service)]).unwrap()
}

fn has_former(plan: &Plan, service: u8) -> bool {
    ring(plan, service).iter().any(|slot| slot.former != [NO_NODE; FORMER])
}

fn seconds(wake: Option<Duration>) -> Option<u64> {
    wake.map(|wake| wake.as_secs())
}

/// An agent that has run since before the others joined; its plans are applied at once.
struct Agent {
    planner: Planner,
    installed: Contents,
}

impl Agent {
    /// An agent on a single node, which no node led before.
    fn alone(scenario: &Scenario) -> Self {
        let mut alone = scenario.clone();
        alone.nodes.retain(|node, _| *node == 1);
        alone.services = BTreeMap::from([(9, Web::local(&[(1, 1)]))]);
        Self { planner: Planner::new(), installed: alone.plan().contents }
    }

    fn reconcile(&mut self, scenario: &Scenario, second: u64) -> Plan {
        let plan = scenario.plan_by(&mut self.planner, &self.installed, second);
        assert_eq!(plan.problems, []);
        self.installed = applied(&self.installed, &plan);
        plan
    }
}

#[test]
fn former_leaders_are_kept_for_the_grace_period() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    let before = agent.reconcile(&scenario, 0);
    assert!(!has_former(&before, 1) && before.wake.is_none());
    scenario.add(4);
    let joined = agent.reconcile(&scenario, 10);
    for (old, new) in ring(&before, 1).iter().zip(ring(&joined, 1)) {
        let expected = if old.leader == new.leader { NO_NODE } else { old.leader };
        assert_eq!(new.former[..2], [expected, NO_NODE]);
    }
    assert_eq!(seconds(joined.wake), Some(110));
    assert_eq!(agent.reconcile(&scenario, 109).contents, joined.contents);
    let over = agent.reconcile(&scenario, 110);
    assert!(!has_former(&over, 1) && over.wake.is_none());
    assert_eq!(over.contents.rings.len(), 1);
}

#[test]
fn a_restart_restarts_the_grace_period() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    agent.reconcile(&scenario, 0);
    scenario.add(4);
    let joined = agent.reconcile(&scenario, 10);
    agent.planner = Planner::new();
    let restarted = agent.reconcile(&scenario, 60);
    assert_eq!((&restarted.contents, seconds(restarted.wake)), (&joined.contents, Some(160)));
    assert!(!has_former(&agent.reconcile(&scenario, 160), 1));
}

#[test]
fn vips_with_different_histories_share_a_version_again_after_expiry() {
    let on = |node| Web::local(&[(node, 1)]);
    let mut scenario = Scenario::of(4).with(1, on(1)).with(2, on(2)).with(3, on(3));
    let mut agent = Agent::alone(&scenario);
    assert_eq!(agent.reconcile(&scenario, 0).contents.rings.len(), 3);
    scenario.services.insert(1, on(3));
    scenario.services.insert(2, on(3));
    let moved = agent.reconcile(&scenario, 10);
    let former = [1, 2, 3].map(|service| ring(&moved, service)[0].former[0]);
    assert_eq!(former, [0, 1, NO_NODE]);
    assert_eq!(moved.contents.rings.len(), 3);
    // A new Service has no history, and takes an existing version.
    scenario.services.insert(4, on(3));
    assert!(!has_former(&agent.reconcile(&scenario, 20), 4));
    let over = agent.reconcile(&scenario, 110);
    assert_eq!(
        over.contents.vips.values().map(|vip| vip.ring).collect::<std::collections::BTreeSet<_>>().len(),
        1
    );
    assert_eq!(agent.installed.rings.len(), 1);
}

#[test]
fn only_slots_that_change_are_written() {
    let mut scenario = Scenario::of(4).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    let before = agent.reconcile(&scenario, 0);
    scenario.nodes.remove(&4);
    let installed = agent.installed.clone();
    let after = agent.reconcile(&scenario, 10);
    let mut written = 0;
    for op in diff(&installed, &after.contents) {
        if let crate::contents::Op::WriteSlots { slots, .. } = op {
            written += slots.len();
        }
    }
    let differ = ring(&before, 1).iter().zip(ring(&after, 1)).filter(|(old, new)| old != new).count();
    assert_eq!(written, differ);
}

#[test]
fn a_node_object_that_is_missing_for_a_moment_is_not_forgotten() {
    let mut scenario = Scenario::of(4).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    let before = agent.reconcile(&scenario, 0);
    let there = scenario.clone();
    scenario.nodes.remove(&4);
    for second in [10, 20] {
        let away = agent.reconcile(&scenario, second);
        for (old, new) in ring(&before, 1).iter().zip(ring(&away, 1)) {
            assert_eq!(new.former.contains(&3), old.leader == 3, "{new:?}");
        }
    }
    // A node that joins meanwhile does not get the index of another.
    scenario.add(5);
    let joined = agent.reconcile(&scenario, 30);
    assert!(joined.nodes.iter().all(|node| node.index != 3));
    let back = agent.reconcile(&there, 40);
    assert!(back.nodes.iter().any(|node| node.name == "n4".into() && node.index == 3));
    for (old, new) in ring(&before, 1).iter().zip(ring(&back, 1)) {
        assert_eq!(old.leader, new.leader);
    }
    // Once it has been away for the grace period, nothing of it is left.
    scenario.nodes.remove(&5);
    agent.reconcile(&scenario, 50);
    let forgotten = agent.reconcile(&scenario, 200);
    assert!(!has_former(&forgotten, 1));
    let forgotten = agent.reconcile(&scenario, 201);
    assert!(!forgotten.contents.nodes.contains_key(&3) && forgotten.contents.node_addresses.len() == 6);
}

#[test]
fn a_draining_node_leads_nothing_and_is_asked_for_its_flows() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    let before = agent.reconcile(&scenario, 0);
    scenario.draining.insert(2);
    agent.reconcile(&scenario, 10);
    // The grace period does not end drains.
    let later = agent.reconcile(&scenario, 500);
    // The same holds for an agent that was not there before.
    let fresh = Agent::alone(&scenario).reconcile(&scenario, 0);
    assert!(fresh.nodes[1].draining && !fresh.nodes[0].draining);
    for plan in [fresh, later, agent.reconcile(&scenario, 900)] {
        for (old, new) in ring(&before, 1).iter().zip(ring(&plan, 1)) {
            assert_ne!(new.leader, 1);
            assert_eq!(new.successors[1], 1);
            assert_eq!(old.leader == 1, new.former.contains(&1));
        }
    }
    scenario.draining.clear();
    let ended = agent.reconcile(&scenario, 1000);
    for (old, new) in ring(&before, 1).iter().zip(ring(&ended, 1)) {
        assert_eq!((old.leader, old.successors), (new.leader, new.successors));
    }
}

/// Eleven of twelve nodes drain: too many to compute for each of them which slots it would lead.
#[test]
fn a_slot_remembers_the_nodes_that_it_prefers_when_many_drain() {
    let mut scenario = Scenario::of(12).with(1, Web::cluster());
    let undrained = scenario.plan();
    scenario.draining.extend(1..12);
    let fresh = Agent::alone(&scenario).reconcile(&scenario, 0);
    let name = |plan: &Plan, index| plan.nodes.iter().find(|node| node.index == index).unwrap().name.clone();
    let stays =
        |name: &NodeName| scenario.draining.iter().all(|number| name.as_str() != format!("n{number}"));
    for (before, slot) in ring(&undrained, 1).iter().zip(ring(&fresh, 1)) {
        let (led, leads) = (name(&undrained, before.leader), name(&fresh, slot.leader));
        assert!(stays(&leads), "{leads}");
        let former: Vec<_> =
            slot.former.iter().filter(|index| **index != NO_NODE).map(|index| name(&fresh, *index)).collect();
        assert!(led == leads || former.contains(&led), "{led} led, and {former:?} are asked");
        assert!(former.iter().all(|name| !stays(name)), "{former:?}");
    }
}

#[test]
fn nodes_that_drain_together_are_all_asked_for_their_flows() {
    let mut scenario = Scenario::of(5).with(1, Web::cluster());
    let undrained = scenario.plan();
    let alone = |node| {
        let mut one = scenario.clone();
        one.draining.insert(node);
        one.plan()
    };
    let alone = [alone(2), alone(3)];
    scenario.draining.extend([2, 3]);
    // An agent that was not there before.
    let fresh = Agent::alone(&scenario).reconcile(&scenario, 0);
    let name = |plan: &Plan, index| plan.nodes.iter().find(|node| node.index == index).unwrap().name.clone();
    let mut both = 0;
    for (at, slot) in ring(&fresh, 1).iter().enumerate() {
        let led = [&undrained, &alone[0], &alone[1]].map(|plan| name(plan, ring(plan, 1)[at].leader));
        let former: Vec<_> =
            slot.former.iter().filter(|index| **index != NO_NODE).map(|index| name(&fresh, *index)).collect();
        for leader in led.iter().filter(|leader| matches!(leader.as_str(), "n2" | "n3")) {
            assert!(former.contains(leader), "slot {at}: {leader} led, now {former:?} are asked");
        }
        both += usize::from(former.len() > 1);
    }
    assert!(both > 10, "{both}");
}

#[test]
fn the_substitute_of_a_silent_leader_is_asked_afterwards() {
    let mut scenario = Scenario::of(4).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    let before = agent.reconcile(&scenario, 0);
    assert!(!has_former(&before, 1));
    let silent = |nodes: &[u8]| nodes.iter().map(|node| scenario::address(*node).into()).collect();
    scenario.facts.silent = silent(&[2]);
    let acting = agent.reconcile(&scenario, 10);
    for slot in ring(&acting, 1) {
        let expected = if slot.leader == 1 { slot.successors[0] } else { NO_NODE };
        assert_eq!(slot.former[..2], [expected, NO_NODE]);
    }
    // The next node takes over from silent ones too, and the first is not forgotten.
    scenario.facts.silent = silent(&[2, 3]);
    for slot in ring(&agent.reconcile(&scenario, 20), 1).iter().filter(|slot| slot.leader == 1) {
        let [first, second, _] = slot.successors;
        let expected = if first == 2 { [second, first] } else { [first, NO_NODE] };
        assert_eq!(slot.former[..2], expected);
    }
    scenario.facts.silent.clear();
    let back = agent.reconcile(&scenario, 30);
    assert!(
        has_former(&back, 1)
            && ring(&back, 1).iter().zip(ring(&before, 1)).all(|(a, b)| a.leader == b.leader)
    );
    assert!(has_former(&agent.reconcile(&scenario, 109), 1));
    assert!(!has_former(&agent.reconcile(&scenario, 130), 1));
}

#[test]
fn the_substitute_of_a_silent_leader_is_recorded_in_a_new_ring_too() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let mut agent = Agent::alone(&scenario);
    scenario.facts.silent.insert(scenario::address(2).into());
    let begun = agent.reconcile(&scenario, 0);
    assert!(ring(&begun, 1).iter().all(|slot| (slot.leader == 1) == (slot.former[0] == slot.successors[0])));
}

#[test]
fn an_operator_can_drain_this_machine_and_the_last_nodes_keep_leading() {
    let mut scenario = Scenario::of(2).with(1, Web::cluster());
    let before = scenario.plan();
    scenario.settings.draining = true;
    assert!(ring(&scenario.plan(), 1).iter().all(|slot| slot.leader == 1 && slot.successors[0] == 0));
    scenario.draining.insert(2);
    let all = scenario.plan();
    let order = |plan: &Plan| ring(plan, 1).iter().map(|slot| slot.order_word()).collect::<Vec<_>>();
    assert_eq!(order(&all), order(&before));
}

#[test]
fn a_newcomer_records_earlier_leaders() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    scenario.nodes.remove(&1);
    let before = scenario.seen_from(2).plan();
    scenario.add(1);
    let joined = scenario.plan();
    let name = |plan: &Plan, index| plan.nodes.iter().find(|node| node.index == index).unwrap().name.clone();
    for (old, new) in ring(&before, 1).iter().zip(ring(&joined, 1)).filter(|(_, new)| new.leader == 0) {
        assert_eq!(name(&joined, new.former[0]), name(&before, old.leader));
    }
    assert_eq!(seconds(joined.wake), Some(100));
}

#[test]
fn a_newcomer_asks_nodes_outside_the_slot() {
    let scenario = Scenario::of(8).with(1, Web::cluster());
    let joined = scenario.plan();
    for slot in ring(&joined, 1).iter().filter(|slot| slot.leader == 0) {
        let asked = slot.former.into_iter().chain(slot.successors).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(asked.into_iter().filter(|node| *node != NO_NODE).count(), 7, "{slot:?}");
    }
}

#[test]
fn a_udp_vip_is_young_when_this_machine_comes_to_lead() {
    let udp = |nodes: &[(u8, u8)]| Web { udp: true, ..Web::local(nodes) };
    let mut scenario = Scenario::of(3).with(1, udp(&[(2, 1), (3, 1)])).with(2, Web::local(&[(2, 1)]));
    let mut agent = Agent::alone(&scenario);
    let young = |plan: &Plan| {
        let young = plan.contents.vips.iter().filter(|(_, vip)| vip.flags & VIP_NEW_LEADER != 0);
        young.map(|(key, _)| (key.address, key.protocol)).collect::<Vec<_>>()
    };
    assert_eq!(young(&agent.reconcile(&scenario, 0)), []);
    // This machine comes to lead both, but for TCP every flow is asked for anyway.
    scenario.services.insert(1, udp(&[(1, 1), (2, 1)]));
    scenario.services.insert(2, Web::local(&[(1, 1)]));
    let came = agent.reconcile(&scenario, 10);
    assert_eq!((young(&came), seconds(came.wake)), (vec![([192, 0, 2, 1].into(), 17)], Some(30)));
    assert_eq!(young(&agent.reconcile(&scenario, 29)).len(), 1);
    let over = agent.reconcile(&scenario, 30);
    assert_eq!((young(&over).len(), seconds(over.wake)), (0, Some(110)));
    // A restart finds no flag, or the flag, and then waits once more.
    agent.planner = Planner::new();
    assert_eq!(young(&agent.reconcile(&scenario, 40)), []);
    agent.installed = came.contents;
    agent.planner = Planner::new();
    assert_eq!(young(&agent.reconcile(&scenario, 50)).len(), 1);
    assert_eq!(young(&agent.reconcile(&scenario, 70)), []);
}

#[test]
fn weights_follow_once_settled() {
    let mut scenario = Scenario::of(2).with(1, Web::local(&[(1, 2), (2, 3)]));
    scenario.settings.weight_settle = Duration::from_secs(30);
    let mut agent = Agent::alone(&scenario);
    let before = agent.reconcile(&scenario, 0);
    scenario.services.insert(1, Web::local(&[(1, 3), (2, 3)]));
    let soon = agent.reconcile(&scenario, 10);
    assert_eq!((&soon.contents, seconds(soon.wake)), (&before.contents, Some(40)));
    let later = agent.reconcile(&scenario, 40);
    assert_ne!(ring(&later, 1), ring(&before, 1));
    assert_eq!(later.services[0].vips[0].ring.as_ref().unwrap().members[0].weight, 1);
}
