//! Selection by L2Advertisements: Services, interfaces and preferred nodes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::scenario::{IFINDEX, Web};
use super::*;
use crate::plan::Uplink;

fn scenario(advertisements: &[&'static str]) -> Scenario {
    let mut scenario = Scenario::of(3);
    scenario.services = (1..=8).map(|number| (number, Web::cluster())).collect();
    scenario.advertisements = advertisements.to_vec();
    scenario
}

fn announced(plan: &Plan) -> Vec<Ipv4Addr> {
    plan.contents.announcers.keys().copied().collect()
}

/// Names of the nodes that announce anything.
fn announcers(scenario: &Scenario) -> BTreeSet<u16> {
    scenario.plan().contents.announcers.values().map(|announcer| announcer.ranks[0] + 1).collect()
}

#[test]
fn service_selectors_choose_what_is_announced() {
    let mut scenario = scenario(&["serviceSelectors: [{matchLabels: {app: blue}}]"]);
    scenario.services = [(1, Web::cluster()), (2, Web::cluster())].into();
    scenario.services.get_mut(&1).unwrap().labels = "app: blue";
    scenario.services.get_mut(&2).unwrap().labels = "app: green";
    let plan = scenario.plan();
    assert_eq!(announced(&plan), [Ipv4Addr::new(192, 0, 2, 1)]);
    assert_eq!(plan.services[1].vips[0].announcer, None);
    // With an advertisement beside it that selects all.
    scenario.advertisements.push("");
    assert_eq!(announced(&scenario.plan()).len(), 2);
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
    assert!(announced(&scenario.plan()).is_empty());
    scenario.services.insert(2, at(81, "app: blue"));
    assert_eq!(announced(&scenario.plan()).len(), 1);
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
    assert_eq!(announcers(&of(&[RACK])), [1].into());
    assert_eq!(announcers(&of(&[RACK, DISK])), [1].into());
    assert_eq!(announcers(&of(&[ALL])), [1, 2, 3].into(), "all alike");
    assert_eq!(announcers(&of(&[DISK, ALL])), [2].into());
    assert_eq!(
        announcers(&of(&["nodeSelectors: [{matchLabels: {rack: b}}], \
        preferredNodeSelectors: [{weight: 9, preference: {matchLabels: {rack: a}}}]"])),
        [3].into()
    );
    // A draining node is about to leave, however much it is preferred.
    let mut drained = of(&[RACK]);
    drained.draining.insert(1);
    assert_eq!(announcers(&drained), [2, 3].into());
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
