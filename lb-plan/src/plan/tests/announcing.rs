//! The nodes that answer ARP.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use lb_common::maps::Announcer;

use super::scenario::Web;
use super::*;

/// Thirty-two Services on four nodes.
fn scenario() -> Scenario {
    let mut scenario = Scenario::of(4);
    scenario.services = (1..=32).map(|number| (number, Web::cluster())).collect();
    scenario
}

/// Names of the nodes that announce anything.
fn announcers(scenario: &Scenario) -> BTreeSet<String> {
    let plan = scenario.plan();
    let names: BTreeMap<u16, String> =
        plan.nodes.iter().map(|node| (node.index, node.name.to_string())).collect();
    for service in &plan.services {
        for vip in &service.vips {
            let shown = vip.announcer.as_ref().map(NodeName::to_string);
            let IpAddr::V4(address) = vip.address else { panic!() };
            let written =
                plan.contents.announcers.get(&address).map(|announcer| names[&announcer.ranks[0]].clone());
            assert_eq!(shown, written);
        }
    }
    plan.contents.announcers.values().map(|announcer| names[&announcer.ranks[0]].clone()).collect()
}

#[test]
fn no_node_announces_without_an_advertisement() {
    assert_eq!(announcers(&scenario()), BTreeSet::new());
}

#[test]
fn addresses_are_spread_over_the_nodes() {
    let scenario = Scenario { advertisements: vec![""], ..scenario() };
    assert_eq!(announcers(&scenario).len(), 4);
    assert_eq!(scenario.plan().contents.announcers.len(), 32);
}

#[test]
fn the_announcer_does_not_depend_on_the_planning_node() {
    let mut scenario = Scenario { advertisements: vec![""], ..scenario() };
    let name = |plan: &Plan, address: Ipv4Addr| {
        let vips = plan.services.iter().flat_map(|service| &service.vips);
        vips.clone().find(|vip| vip.address == address).and_then(|vip| vip.announcer.clone())
    };
    let here = scenario.plan();
    scenario.settings.node = "n3".into();
    scenario.nodes.remove(&2);
    let there = scenario.plan();
    for number in 1..=32 {
        let address = Ipv4Addr::new(192, 0, 2, number);
        let (here, there) = (name(&here, address), name(&there, address));
        // Only the addresses of the removed node move.
        assert!(here == there || here == Some("n2".into()), "{address}");
    }
}

#[test]
fn a_draining_node_announces_only_if_all_drain() {
    let mut scenario = Scenario { advertisements: vec![""], ..scenario() };
    let undrained = scenario.plan();
    scenario.draining.extend([2, 3]);
    assert_eq!(announcers(&scenario), BTreeSet::from(["n1".into(), "n4".into()]));
    // The addresses of the others stay.
    let drained = scenario.plan();
    for (address, announcer) in &undrained.contents.announcers {
        let stays = [0, 3].contains(&announcer.ranks[0]);
        assert!(!stays || drained.contents.announcers[address] == *announcer, "{address}");
    }
    scenario.draining.extend([1, 4]);
    assert_eq!(scenario.plan().contents.announcers, undrained.contents.announcers);
}

#[test]
fn a_node_that_cannot_carry_packets_does_not_announce() {
    let mut scenario = Scenario { advertisements: vec![""], ..scenario() };
    let before = scenario.plan().contents.announcers;
    scenario.facts.withdrawn = true;
    let withdrawn = scenario.plan().contents.announcers;
    let of_others: BTreeMap<_, _> = before.into_iter().filter(|(_, it)| it.ranks[0] != 0).collect();
    assert_eq!(withdrawn, of_others);
}

#[test]
fn the_announcer_matches_the_reference() {
    let plan = Scenario { advertisements: vec![""], ..scenario() }.plan();
    let first: Vec<_> =
        plan.contents.announcers.values().take(6).map(|announcer| announcer.ranks[0] + 1).collect();
    // Computed by a second implementation.
    assert_eq!(first, [4, 2, 4, 4, 2, 1]);
}

#[test]
fn selectors_and_the_exclude_label_narrow_the_nodes() {
    let mut scenario = scenario();
    scenario.nodes.insert(2, "rack: x");
    scenario.nodes.insert(3, "rack: x, node.kubernetes.io/exclude-from-external-load-balancers: ''");
    scenario.advertisements = vec!["nodeSelectors: [{matchLabels: {rack: x}}]"];
    assert_eq!(announcers(&scenario), BTreeSet::from(["n2".into()]));
    scenario.settings.ignore_exclude_label = true;
    assert_eq!(announcers(&scenario), BTreeSet::from(["n2".into(), "n3".into()]));
    scenario.settings.ignore_exclude_label = false;
    scenario.advertisements = vec!["nodeSelectors: [{matchLabels: {rack: z}}]"];
    assert_eq!(announcers(&scenario), BTreeSet::new());
    scenario.advertisements = vec!["ipAddressPools: [q]"];
    assert_eq!(announcers(&scenario), BTreeSet::new());
    scenario.advertisements = vec!["ipAddressPoolSelectors: [{matchLabels: {tier: x}}]"];
    assert_eq!(announcers(&scenario), BTreeSet::from(["n1".into(), "n2".into(), "n4".into()]));
}

#[test]
fn only_served_ipv4_addresses_are_announced() {
    let six = Web { address: Some("2001:db8::1".parse().unwrap()), ..Web::cluster() };
    let idle = Web { endpoints: BTreeMap::new(), ..Web::cluster() };
    let mut scenario = Scenario::of(1).with(1, Web::cluster()).with(2, six).with(3, idle);
    scenario.advertisements = vec![""];
    let plan = scenario.plan();
    assert_eq!(plan.contents.vips.len(), 4);
    assert_eq!(plan.contents.announcers, BTreeMap::from([([192, 0, 2, 1].into(), Announcer::on(0, 1))]));
}

#[test]
fn a_node_answers_for_none_of_its_gateways() {
    let mut scenario = Scenario { advertisements: vec![""], ..scenario() };
    let before = scenario.plan().contents.announcers;
    let own = before.iter().find(|(_, it)| it.ranks[0] == 0).map(|(address, _)| *address).unwrap();
    scenario.facts.gateways = [own.into(), [10, 9, 9, 9].into()].into();
    let plan = scenario.plan_over(&Contents::default());
    assert!(!plan.contents.announcers.contains_key(&own));
    assert_eq!(plan.contents.announcers.len(), before.len() - 1);
    assert!(plan.problems.len() == 1 && plan.problems[0].to_string().contains("default gateway"));
}
