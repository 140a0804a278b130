//! The ranks of the nodes that announce addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::maps::{Announcer, CONFIG_DRAINING, RANKS, Standing};
use lb_common::ring::{NO_NODE, NodeIndex};
use proptest::prelude::*;

use super::scenario::{Web, address, applied};
use super::*;

/// Services on all nodes, announced; odd ones at IPv4 addresses, even ones at IPv6 addresses.
pub(super) fn announcing(nodes: u8, services: u8) -> Scenario {
    let mut scenario = Scenario { advertisements: vec![""], ..Scenario::of(nodes) };
    for number in 1..=services {
        let six: IpAddr = format!("2001:db8::{number}").parse().unwrap();
        let address = if number % 2 == 0 { six } else { [192, 0, 2, number].into() };
        scenario.services.insert(number, Web { address: Some(address), ..Web::cluster() });
    }
    scenario
}

/// The ranks of every address, by name; the entries, the states of addresses and of Services agree.
pub(super) fn ranks(plan: &Plan) -> BTreeMap<IpAddr, Vec<String>> {
    let names: BTreeMap<NodeIndex, String> =
        plan.nodes.iter().map(|node| (node.index, node.name.to_string())).collect();
    let named = |announcer: &Announcer| {
        announcer.ranks.iter().take_while(|it| **it != NO_NODE).map(|it| names[it].clone()).collect()
    };
    let written: BTreeMap<IpAddr, Vec<String>> =
        plan.contents.announcers.iter().map(|(address, it)| (*address, named(it))).collect();
    let returned = plan.announced.iter().map(|it| {
        let ranks: Vec<_> = it.ranks.iter().map(|(name, _)| name.to_string()).collect();
        (it.address, ranks)
    });
    assert_eq!(returned.collect::<BTreeMap<_, _>>(), written);
    for vip in plan.services.iter().flat_map(|service| &service.vips) {
        let first = written.get(&vip.address).map(|ranks| ranks[0].clone());
        assert_eq!(vip.announcer.as_ref().map(NodeName::to_string), first);
    }
    written
}

/// Names of the nodes that are first for an address.
pub(super) fn firsts(scenario: &Scenario) -> BTreeSet<String> {
    ranks(&scenario.plan()).into_values().map(|ranks| ranks[0].clone()).collect()
}

/// The number of addresses of the node that is first for most.
fn fullest(ranks: &BTreeMap<IpAddr, Vec<String>>, place: usize) -> usize {
    let mut counts = BTreeMap::new();
    ranks.values().for_each(|ranks| *counts.entry(&ranks[place]).or_insert(0) += 1);
    counts.into_values().max().unwrap_or_default()
}

fn moved(before: &BTreeMap<IpAddr, Vec<String>>, after: &BTreeMap<IpAddr, Vec<String>>) -> usize {
    before.iter().filter(|(address, ranks)| after.get(address).is_some_and(|it| it[0] != ranks[0])).count()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn no_node_announces_without_an_advertisement() {
    let scenario = Scenario { advertisements: Vec::new(), ..announcing(4, 8) };
    assert!(ranks(&scenario.plan()).is_empty());
}

#[test]
fn every_candidate_has_one_rank_for_addresses_of_both_families() {
    let ranks = ranks(&announcing(4, 32).plan());
    assert_eq!(ranks.keys().filter(|address| address.is_ipv6()).count(), 16);
    assert_eq!(ranks.len(), 32);
    for (address, ranks) in ranks {
        assert_eq!(ranks.into_iter().collect::<BTreeSet<_>>(), names(&["n1", "n2", "n3", "n4"]), "{address}");
    }
}

#[test]
fn addresses_are_distributed_evenly_and_again_when_a_node_dies() {
    let scenario = announcing(5, 100);
    let ranks = ranks(&scenario.plan());
    assert!(fullest(&ranks, 0) <= 24, "{}", fullest(&ranks, 0));
    let of_dead = ranks.into_iter().filter(|(_, ranks)| ranks[0] == "n2").collect();
    assert!(fullest(&of_dead, 1) <= 11, "{}", fullest(&of_dead, 1));
}

#[test]
fn addresses_of_several_pools_and_advertisements_are_distributed_together() {
    let mut scenario = announcing(5, 100);
    for (number, web) in &mut scenario.services {
        web.labels = if number % 3 == 0 { "app: blue" } else { "app: green" };
    }
    let blue = "serviceSelectors: [{matchLabels: {app: blue}}]";
    let green = "serviceSelectors: [{matchLabels: {app: green}}]";
    let together = ranks(&scenario.plan());
    scenario.advertisements = vec![blue, green];
    assert_eq!(ranks(&scenario.plan()), together);
}

#[test]
fn a_new_service_or_node_moves_few_addresses() {
    let mut scenario = announcing(5, 100);
    let before = ranks(&scenario.plan());
    scenario.services.insert(101, Web::cluster());
    let one_more = ranks(&scenario.plan());
    assert!(moved(&before, &one_more) <= 8, "{} of 100 moved", moved(&before, &one_more));
    scenario.services.remove(&101);
    scenario.add(6);
    let grown = ranks(&scenario.plan());
    // A sixth belongs to the new node.
    assert!(moved(&before, &grown) <= 30, "{} of 100 moved", moved(&before, &grown));
}

#[test]
fn every_node_ranks_alike() {
    let mut scenario = announcing(12, 64);
    let here = scenario.plan();
    // Its indices are others, and its gateway is one of the addresses.
    scenario.nodes.remove(&2);
    let installed = scenario.seen_from(3).plan().contents;
    scenario.add(2);
    scenario.facts.gateways = [[192, 0, 2, 1].into()].into();
    let there = scenario.seen_from(3).plan_over(&installed);
    assert_ne!(here.nodes[4].index, there.nodes[4].index);
    let mut expected = ranks(&here);
    expected.remove(&IpAddr::from([192, 0, 2, 1]));
    assert_eq!(ranks(&there), expected);
}

#[test]
fn a_draining_node_keeps_its_ranks() {
    let mut scenario = announcing(4, 16);
    let before = ranks(&scenario.plan());
    scenario.draining.extend([1, 3]);
    scenario.facts.silent = [address(2).into(), address(3).into()].into();
    assert_eq!(ranks(&scenario.plan()), before);
}

#[test]
fn the_standing_is_written_to_the_configuration() {
    let mut scenario = announcing(2, 4);
    let before = scenario.plan().contents;
    for standing in [Standing::Stable, Standing::Returned, Standing::Absent] {
        scenario.facts.standing = standing;
        scenario.settings.draining = true;
        let contents = scenario.plan().contents;
        let config = contents.config.unwrap();
        assert_eq!(config.standing(), standing);
        assert_ne!(config.flags & CONFIG_DRAINING, 0, "the other flags stay");
        assert_eq!(contents.announcers, before.announcers);
    }
}

#[test]
fn selectors_the_exclude_label_and_conditions_narrow_the_nodes() {
    let mut scenario = announcing(4, 32);
    scenario.nodes.insert(2, "rack: x");
    scenario.nodes.insert(3, "rack: x, node.kubernetes.io/exclude-from-external-load-balancers: ''");
    let candidates = |scenario: &Scenario| -> BTreeSet<String> {
        ranks(&scenario.plan()).into_values().flatten().collect()
    };
    scenario.advertisements = vec!["nodeSelectors: [{matchLabels: {rack: x}}]"];
    assert_eq!(candidates(&scenario), names(&["n2"]));
    scenario.settings.ignore_exclude_label = true;
    assert_eq!(candidates(&scenario), names(&["n2", "n3"]));
    scenario.settings.ignore_exclude_label = false;
    scenario.advertisements = vec!["nodeSelectors: [{matchLabels: {rack: z}}]"];
    assert_eq!(candidates(&scenario), names(&[]));
    scenario.advertisements = vec!["ipAddressPools: [q]"];
    assert_eq!(candidates(&scenario), names(&[]));
    scenario.advertisements = vec!["ipAddressPoolSelectors: [{matchLabels: {tier: x}}]"];
    assert_eq!(candidates(&scenario), names(&["n1", "n2", "n4"]));
    scenario.without_network.insert(4);
    assert_eq!(candidates(&scenario), names(&["n1", "n2"]));
}

#[test]
fn only_served_addresses_are_announced() {
    let idle = Web { endpoints: BTreeMap::new(), ..Web::cluster() };
    let mut scenario = announcing(1, 2).with(3, idle);
    scenario.facts.uplinks.values_mut().for_each(|uplink| uplink.has_carrier = true);
    let plan = scenario.plan();
    let number = |address: &IpAddr| plan.contents.vips[&VipKey::of_address(*address)].number;
    let entry = |address: IpAddr| (address, Announcer::new(&[0], 1, number(&address)));
    let expected = [[192, 0, 2, 1].into(), "2001:db8::2".parse().unwrap()].map(entry);
    assert_eq!(plan.contents.announcers, BTreeMap::from(expected));
}

#[test]
fn a_node_answers_for_none_of_its_gateways() {
    let mut scenario = announcing(3, 8);
    let before = ranks(&scenario.plan());
    let gateways: [IpAddr; 2] = [[192, 0, 2, 1].into(), "2001:db8::2".parse().unwrap()];
    scenario.facts.gateways = gateways.into_iter().chain([[10, 9, 9, 9].into()]).collect();
    let plan = scenario.plan_over(&Contents::default());
    let rest: BTreeMap<_, _> = before.into_iter().filter(|(it, _)| !gateways.contains(it)).collect();
    assert_eq!(ranks(&plan), rest);
    let problems: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
    assert!(problems.len() == 2 && problems.iter().all(|it| it.contains("default gateway")), "{problems:?}");
}

#[test]
fn no_node_announces_an_address_of_a_node() {
    let of_node = |address: &str| Web { address: Some(address.parse().unwrap()), ..Web::cluster() };
    let scenario = announcing(3, 2).with(7, of_node("10.0.0.2")).with(8, of_node("fd00::3"));
    let plan = scenario.plan_over(&Contents::default());
    assert_eq!(ranks(&plan).len(), 2);
}

#[test]
fn a_new_address_is_answered_once_it_has_been_checked() {
    let mut scenario = announcing(2, 4);
    let answered = |contents: &Contents| -> Vec<IpAddr> {
        let answered = contents.announcers.iter().filter(|(_, it)| it.uplinks != 0);
        answered.map(|(address, _)| *address).collect()
    };
    let all: Vec<IpAddr> = ranks(&scenario.plan()).into_keys().collect();
    assert_eq!(answered(&scenario.plan().contents), all, "without checks");

    scenario.facts.checked = Some(BTreeSet::new());
    let plan = scenario.plan();
    assert_eq!(ranks(&plan).len(), 4, "it has ranks");
    assert_eq!(answered(&plan.contents), [] as [IpAddr; 0]);
    assert!(plan.announced.iter().all(|it| it.uplinks == 1 && !it.may_answer));

    scenario.facts.checked = Some([all[0], all[3]].into());
    let plan = scenario.plan_over(&applied(&Contents::default(), &plan));
    assert_eq!(answered(&plan.contents), [all[0], all[3]]);
    let may_answer = plan.announced.iter().filter(|it| it.may_answer).map(|it| it.address);
    assert_eq!(may_answer.collect::<Vec<_>>(), [all[0], all[3]]);

    // As after a restart: nothing has been checked, but what is answered stays so.
    scenario.facts.checked = Some(BTreeSet::new());
    let restarted = scenario.plan_over(&plan.contents);
    assert_eq!(restarted.contents, plan.contents);
}

#[test]
fn without_its_node_object_a_node_stops_announcing() {
    let mut scenario = announcing(3, 8);
    let installed = scenario.plan().contents;
    scenario.nodes.remove(&1);
    let plan = scenario.plan_over(&installed);
    assert_eq!(plan.problems.iter().map(Problem::label).collect::<Vec<_>>(), ["own_node_unknown"]);
    assert!(plan.contents.announcers.is_empty() && plan.announced.is_empty());
    assert_eq!(plan.contents.vips, installed.vips, "the rest stays");
    // Without any Node, it is the objects that are missing.
    scenario.nodes.clear();
    assert_eq!(scenario.plan_over(&installed).contents, installed);
}

#[test]
fn an_entry_contains_a_node_that_may_be_live() {
    let mut scenario = announcing(12, 16);
    let before = ranks(&scenario.plan());
    assert!(before.values().all(|ranks| ranks.len() == RANKS));
    // While one of the eight is not silent, nothing changes.
    let first = before.values().next().unwrap();
    let node = |name: &String| address(name[1..].parse().unwrap()).into();
    scenario.facts.silent = first.iter().filter(|name| *name != "n1").take(7).map(node).collect();
    assert_eq!(ranks(&scenario.plan()).values().next(), Some(first));
    // All but one of the cluster: every address has that one, in the last place unless it had another.
    for live in 1..=12 {
        let mut there = scenario.seen_from(if live == 1 { 2 } else { 1 });
        there.facts.silent = (1..=12).filter(|it| *it != live).map(|it| address(it).into()).collect();
        // The node that plans drains.
        there.settings.draining = true;
        let name = format!("n{live}");
        for (address, ranks) in ranks(&there.plan()) {
            assert!(ranks.contains(&name), "{address}: {ranks:?} without {name}");
            let kept = if before[&address].contains(&name) { RANKS } else { RANKS - 1 };
            assert_eq!(ranks[..kept], before[&address][..kept], "{address}");
        }
        // The live node itself knows that the others are silent, and agrees.
        let mut own = there.seen_from(live);
        own.settings.draining = false;
        assert_eq!(ranks(&own.plan()), ranks(&there.plan()));
    }
}

#[test]
fn each_family_has_a_map_of_its_own() {
    let scenario = announcing(1, 4);
    let full = |six: bool| {
        let mut installed = Contents::default();
        for number in 0..capacity::ANNOUNCERS as u32 {
            let four: IpAddr = Ipv4Addr::from(0x0b00_0000 + number).into();
            let other: IpAddr = Ipv6Addr::from(u128::from(number) + 1).into();
            installed.announcers.insert(if six { other } else { four }, Announcer::new(&[0], 1, number));
        }
        scenario.plan_over(&installed)
    };
    for (six, map) in [(false, "lb_arp"), (true, "lb_ndp")] {
        let plan = full(six);
        let kept: Vec<bool> = plan.contents.announcers.keys().map(IpAddr::is_ipv6).collect();
        assert_eq!(kept, [!six, !six]);
        assert_eq!(plan.announced.len(), 2, "what is not written is not announced");
        let problems: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        assert!(problems.len() == 1 && problems[0].contains(map), "{problems:?}");
    }
}

/// A change of the cluster.
fn change(scenario: &mut Scenario, number: u8, what: u8) {
    const SPECS: [&str; 4] = [
        "",
        "nodeSelectors: [{matchLabels: {rack: a}}]",
        "preferredNodeSelectors: [{weight: 5, preference: {matchLabels: {rack: b}}}]",
        "serviceSelectors: [{matchLabels: {app: blue}}]",
    ];
    match what {
        0 => drop(scenario.services.insert(number, Web::cluster())),
        1 => drop(scenario.services.insert(number, Web { labels: "app: blue", ..Web::cluster() })),
        2 => drop(scenario.services.insert(number, Web::local(&[(number, 1), (2, 1)]))),
        3 => drop(scenario.services.remove(&number)),
        4 => scenario.add(number),
        5 => drop(scenario.nodes.insert(number, "rack: a")),
        6 => drop(scenario.nodes.insert(number, "rack: b")),
        7 => drop(scenario.nodes.remove(&number.max(2))),
        8 => scenario.advertisements = vec![SPECS[usize::from(number) % 4]],
        9 => scenario.advertisements.push(SPECS[usize::from(number) % 4]),
        10 => scenario.advertisements.truncate(1),
        _ => scenario.settings.local_needs_endpoint = number.is_multiple_of(2),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_planner_with_a_history_ranks_as_a_fresh_one_on_any_node(
        changes in proptest::collection::vec((1u8..12, 0u8..12), 1..12),
    ) {
        let mut planner = Planner::new();
        let mut scenario = announcing(3, 6);
        let mut installed = Contents::default();
        for (number, what) in changes {
            change(&mut scenario, number, what);
            let plan = scenario.plan_by(&mut planner, &installed, 1);
            for node in [1, 2].iter().filter(|node| scenario.nodes.contains_key(node)) {
                let there = scenario.seen_from(*node).plan_over(&Contents::default());
                prop_assert_eq!(ranks(&plan), ranks(&there));
            }
            for op in diff(&installed, &plan.contents) {
                installed.apply(&op);
            }
            prop_assert_eq!(&installed.announcers, &plan.contents.announcers);
        }
    }
}
