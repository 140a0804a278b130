//! Selection by L2Advertisements: Services, interfaces, preferred nodes, and nodes with endpoints; and the
//! addresses outside the networks of the uplinks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::announcing::{announcing, firsts, ranks};
use super::scenario::{IFINDEX, Web};
use super::*;
use crate::plan::Uplink;

fn scenario(advertisements: &[&'static str]) -> Scenario {
    Scenario { advertisements: advertisements.to_vec(), ..announcing(3, 8) }
}

fn addresses(plan: &Plan) -> Vec<IpAddr> {
    ranks(plan).into_keys().collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn service_selectors_choose_what_is_announced() {
    let mut scenario = scenario(&["serviceSelectors: [{matchLabels: {app: blue}}]"]);
    scenario.services.retain(|number, _| *number <= 4);
    for (number, web) in &mut scenario.services {
        web.labels = if *number <= 2 { "app: blue" } else { "app: green" };
    }
    let plan = scenario.plan();
    assert_eq!(addresses(&plan), [[192, 0, 2, 1].into(), "2001:db8::2".parse::<IpAddr>().unwrap()]);
    assert_eq!(plan.services[2].vips[0].announcer, None);
    // With an advertisement beside it that selects all.
    scenario.advertisements.push("");
    assert_eq!(addresses(&scenario.plan()).len(), 4);
}

#[test]
fn a_shared_address_needs_an_advertisement_that_selects_all_its_services() {
    let mut scenario = scenario(&["serviceSelectors: [{matchLabels: {app: blue}}]"]);
    let at = |port, labels| Web {
        address: Some([192, 0, 2, 9].into()),
        ports: vec![port],
        labels,
        ..Web::cluster()
    };
    scenario.services = [(1, at(80, "app: blue")), (2, at(81, "app: green"))].into();
    assert!(addresses(&scenario.plan()).is_empty());
    scenario.services.insert(2, at(81, "app: blue"));
    assert_eq!(addresses(&scenario.plan()).len(), 1);
}

#[test]
fn nodes_are_preferred_by_the_sum_of_weights_and_narrowed_by_selectors() {
    const RACK: &str = "preferredNodeSelectors: [{weight: 60, preference: {matchLabels: {rack: a}}}]";
    const DISK: &str = "preferredNodeSelectors: [{weight: 50, preference: {matchLabels: {disk: big}}}]";
    const ALL: &str = "preferredNodeSelectors: [{weight: 20, preference: {}}]";
    let of = |advertisements: &[&'static str]| {
        let mut scenario = scenario(advertisements);
        scenario.nodes.insert(1, "rack: a");
        scenario.nodes.insert(2, "disk: big");
        scenario.nodes.insert(3, "rack: b");
        scenario
    };
    assert_eq!(firsts(&of(&[RACK])), names(&["n1"]));
    assert_eq!(firsts(&of(&[ALL])), names(&["n1", "n2", "n3"]), "all alike");
    assert_eq!(firsts(&of(&[DISK, ALL])), names(&["n2"]));
    assert_eq!(
        firsts(&of(&["nodeSelectors: [{matchLabels: {rack: b}}], \
        preferredNodeSelectors: [{weight: 9, preference: {matchLabels: {rack: a}}}]"])),
        names(&["n3"])
    );
    // The others follow in the order of preference.
    for seen_from in 1..=3 {
        for ranks in ranks(&of(&[RACK, DISK]).seen_from(seen_from).plan()).into_values() {
            assert_eq!(ranks, ["n1", "n2", "n3"]);
        }
    }
    // A draining node stays where it is.
    let mut drained = of(&[RACK]);
    drained.draining.insert(1);
    assert_eq!(firsts(&drained), names(&["n1"]));
}

#[test]
fn many_preferred_nodes_share_the_addresses_and_fill_the_ranks() {
    let mut scenario = announcing(20, 100);
    scenario.advertisements =
        vec!["preferredNodeSelectors: [{weight: 1, preference: {matchLabels: {rack: a}}}]"];
    scenario.nodes.extend((1..=10).map(|node| (node, "rack: a")));
    let preferred: BTreeSet<String> = (1..=10).map(|node| format!("n{node}")).collect();
    assert_eq!(firsts(&scenario), preferred);
    assert!(ranks(&scenario.plan()).values().flatten().all(|name| preferred.contains(name)));
    // Fewer than an entry has ranks: others fill it.
    scenario.nodes.extend((4..=10).map(|node| (node, "")));
    for ranks in ranks(&scenario.plan()).into_values() {
        assert_eq!(ranks[..3].iter().cloned().collect::<BTreeSet<_>>(), names(&["n1", "n2", "n3"]));
        assert_eq!(ranks.iter().collect::<BTreeSet<_>>().len(), 8);
    }
}

#[test]
fn interfaces_narrow_where_this_machine_answers() {
    let with = |advertisements: &[&'static str]| {
        let mut scenario = scenario(advertisements);
        scenario.nodes = [(1, "")].into();
        let second = Uplink { name: "eth1".into(), ..scenario.facts.uplinks[&IFINDEX].clone() };
        scenario.facts.uplinks.insert(IFINDEX + 1, second);
        scenario.plan_over(&Contents::default())
    };
    let bits =
        |plan: &Plan| plan.contents.announcers.values().map(|it| it.uplinks).collect::<BTreeSet<u64>>();
    let on = |bits: u64| BTreeSet::from([bits]);
    let narrow = "interfaces: [eth1]";
    assert_eq!(bits(&with(&[narrow])), on(2));
    assert_eq!(bits(&with(&[narrow, "interfaces: [eth0]"])), on(3));
    assert_eq!(bits(&with(&[narrow, ""])), bits(&with(&[""])), "one that names none");
    let nowhere = with(&["interfaces: [eth9]"]);
    assert_eq!(bits(&nowhere), on(0));
    assert_eq!(nowhere.problems.iter().map(Problem::label).collect::<Vec<_>>(), ["no_such_uplink"]);
    // The interfaces of another node's advertisement do not count here.
    let elsewhere = "interfaces: [eth0], nodeSelectors: [{matchLabels: {rack: z}}]";
    assert_eq!(bits(&with(&[narrow, elsewhere])), on(2));
}

#[test]
fn a_node_that_is_no_candidate_writes_the_ranks_and_answers_nowhere() {
    let mut scenario = scenario(&["interfaces: [eth9], nodeSelectors: [{matchLabels: {rack: a}}]"]);
    scenario.nodes.insert(2, "rack: a");
    let plan = scenario.plan();
    assert_eq!(ranks(&plan).len(), 8);
    assert!(plan.announced.iter().all(|it| it.uplinks == 0 && it.ranks.len() == 1));
}

#[test]
fn where_endpoints_are_demanded_only_their_nodes_announce_local_services() {
    let local = |port, endpoints: &[(u8, u8)]| Web {
        address: Some("2001:db8::9".parse().unwrap()),
        ports: vec![port],
        ..Web::local(endpoints)
    };
    let mut scenario = scenario(&[""]).with(20, local(80, &[(2, 1), (3, 2)]));
    let of = |scenario: &Scenario| -> BTreeSet<String> {
        let ranks = ranks(&scenario.plan());
        ranks.get(&"2001:db8::9".parse::<IpAddr>().unwrap()).into_iter().flatten().cloned().collect()
    };
    assert_eq!(of(&scenario), names(&["n1", "n2", "n3"]), "any node may receive");
    scenario.settings.local_needs_endpoint = true;
    assert_eq!(of(&scenario), names(&["n2", "n3"]));
    assert_eq!(firsts(&scenario), names(&["n1", "n2", "n3"]), "the others are of policy Cluster");
    scenario.services.insert(21, local(81, &[(1, 1), (3, 1)]));
    assert_eq!(of(&scenario), names(&["n3"]), "endpoints of all Services on the address");
    scenario.services.insert(22, Web { local: false, ..local(82, &[(1, 1)]) });
    assert_eq!(of(&scenario), names(&["n3"]), "one of policy Cluster demands none");
    scenario.services.insert(21, local(81, &[(1, 1)]));
    assert_eq!(of(&scenario), names(&[]), "no node has all");
}

#[test]
fn addresses_outside_the_networks_are_announced_and_reported() {
    let labels = |scenario: &Scenario| -> Vec<&'static str> {
        scenario.plan_over(&Contents::default()).problems.iter().map(Problem::label).collect()
    };
    let on = |networks: &[&str]| {
        let mut scenario = scenario(&[""]);
        let uplink = scenario.facts.uplinks.get_mut(&IFINDEX).unwrap();
        uplink.networks = networks.iter().map(|net| net.parse().unwrap()).collect();
        scenario
    };
    assert_eq!(labels(&on(&[])), [] as [&str; 0], "nothing is known");
    assert_eq!(labels(&on(&["192.0.2.1/24", "2001:db8::ff/64"])), [] as [&str; 0]);
    assert_eq!(labels(&on(&["192.0.2.1/24"])), [] as [&str; 0], "nothing is known of IPv6");
    assert_eq!(labels(&on(&["10.1.0.1/32"])), [] as [&str; 0], "a host address is no network");
    let off = on(&["192.0.2.1/24", "fd00::1/64"]);
    assert_eq!(labels(&off), ["off_link"]);
    let plan = off.plan_over(&Contents::default());
    let text = plan.problems[0].to_string();
    assert!(
        text.contains("IPAddressPool default/p") && text.contains("4 of its addresses, as 2001:db8::2"),
        "{text}"
    );
    assert!(plan.announced.len() == 8 && plan.announced.iter().all(|it| it.uplinks == 1));
    // BGP advertises them.
    let advertised = Scenario { bgp: vec!["ipAddressPools: [p]"], ..off.clone() };
    assert_eq!(labels(&advertised), [] as [&str; 0]);
    let others = Scenario { bgp: vec!["ipAddressPools: [q]"], ..off.clone() };
    assert_eq!(labels(&others), ["off_link"]);
    // Another machine announces them.
    let elsewhere = Scenario { advertisements: vec!["nodeSelectors: [{matchLabels: {rack: a}}]"], ..off };
    assert_eq!(labels(&elsewhere), [] as [&str; 0]);
}
