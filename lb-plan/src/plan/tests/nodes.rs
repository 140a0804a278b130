//! Indices and next hops of nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::forwarding::ForwardingMode;
use lb_common::hash::HashKey;
use lb_common::maps::{self, CONFIG_IPIP};
use lb_common::tag::{self, TagKey, TagKeys};
use lb_common::wire::gue;

use super::scenario::{IFINDEX, Web, address, mac};
use super::*;
use crate::contents::{Contents, address_key, diff, mac_key};

fn node(plan: &Plan, name: &str) -> (u16, NodePath) {
    let state = plan.nodes.iter().find(|node| node.name == NodeName::from(name)).unwrap();
    (state.index, state.way)
}

fn entry(plan: &Plan, name: &str) -> maps::Node {
    plan.contents.nodes[&node(plan, name).0]
}

/// An unresolved entry still identifies the node: it can be in a list of nodes asked.
fn assert_unresolved(plan: &Plan, name: &str) {
    let entry = entry(plan, name);
    assert_ne!(entry.id, 0);
    assert_eq!(maps::Node { id: 0, discriminator: 0, ..entry }, maps::Node::NONE);
}

fn only_problem(plan: &Plan) -> String {
    assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    plan.problems[0].to_string()
}

#[test]
fn a_rotation_of_tag_keys_writes_the_configuration_and_nothing_else() {
    let mut scenario = Scenario::of(3);
    let before = scenario.plan_over(&Contents::default()).contents;
    let config = before.config.unwrap();
    let old = scenario.settings.tag_keys.current;
    assert_eq!((config.tag_keys, config.tag_key_ids), ([old.key; 2], [old.id; 2]));
    let new = TagKey { id: 7, key: HashKey { k0: 3, k1: 4 } };
    scenario.settings.tag_keys = TagKeys { current: new, other: Some(old) };
    let after = scenario.plan_over(&before).contents;
    let config = after.config.unwrap();
    assert_eq!((config.tag_keys, config.tag_key_ids), ([new.key, old.key], [7, old.id]));
    assert_eq!(
        (config.tag_key(7), config.tag_key(old.id), config.tag_key(9)),
        (Some(new.key), Some(old.key), None)
    );
    assert_eq!(diff(&before, &after).len(), 1);
}

#[test]
fn discriminators_are_made_with_the_nonce() {
    let mut scenario = Scenario::of(3);
    let numbers = |scenario: &Scenario| {
        let plan = scenario.plan_over(&Contents::default());
        assert_eq!(plan.contents.config.unwrap().probe_nonce, scenario.settings.liveness.nonce);
        ["n1", "n2", "n3"].map(|node| entry(&plan, node).discriminator)
    };
    let [own, before @ ..] = numbers(&scenario);
    assert_eq!(own, 0);
    scenario.settings.liveness.nonce = 99;
    let [_, after @ ..] = numbers(&scenario);
    assert_eq!(after, [1, 2].map(|index| tag::discriminator(99, index)));
    assert!(before.iter().all(|number| !after.contains(number)));
}

#[test]
fn ip_in_ip_is_accepted_only_if_enabled() {
    let mut scenario = Scenario::of(2);
    let takes = |scenario: &Scenario| {
        scenario.plan_over(&Contents::default()).contents.config.unwrap().flags & CONFIG_IPIP != 0
    };
    assert!(!takes(&scenario));
    scenario.settings.accept_ipip = true;
    assert!(takes(&scenario));
}

#[test]
fn the_configuration_is_of_this_machine() {
    let plan = Scenario::of(2).plan();
    let config = plan.contents.config.unwrap();
    assert_eq!((config.self_node, config.address4, config.echo_rate), (0, [10, 0, 0, 1], 100));
    assert_eq!(IpAddr::from(config.address6), "fd00::1".parse::<IpAddr>().unwrap());
    assert_eq!(plan.contents.links.keys().copied().collect::<Vec<_>>(), [IFINDEX]);
    assert_eq!((config.uplinks[0], config.uplink_links[0]), (IFINDEX, plan.contents.links[&IFINDEX]));
    assert_eq!(node(&plan, "n1"), (0, NodePath::Own));
    assert_unresolved(&plan, "n1");
    assert_eq!(config.id, entry(&plan, "n1").id);
}

#[test]
fn the_members_of_a_bond_are_known_by_its_mac() {
    let mut scenario = Scenario::of(1);
    scenario.facts.uplinks.get_mut(&IFINDEX).unwrap().members = BTreeSet::from([IFINDEX + 7, IFINDEX + 8]);
    let Contents { links, config, .. } = scenario.plan().contents;
    assert_eq!(links.keys().copied().collect::<Vec<_>>(), [IFINDEX, IFINDEX + 7, IFINDEX + 8]);
    let config = config.unwrap();
    assert_eq!(config.uplinks, [IFINDEX, IFINDEX + 7, IFINDEX + 8, 0]);
    assert!(links.iter().all(|(index, link)| config.uplink_mac(*index) == Some(link.mac_word())));
    assert!(links.values().all(|link| link.mac == [2, 0, 0, 0, 0, 1]), "{links:?}");
}

#[test]
fn a_node_on_link_gets_new_macs() {
    let plan = Scenario::of(2).plan();
    let n2 = entry(&plan, "n2");
    assert_eq!((n2.mode, n2.ifindex, n2.mtu), (ForwardingMode::L2 as u8, IFINDEX, 1500));
    assert_eq!((n2.next_hop_mac, n2.source_mac), (mac(2), [2, 0, 0, 0, 0, 1]));
    assert_eq!(plan.contents.node_macs, BTreeMap::from([(mac_key(mac(2)), 1)]));
}

#[test]
fn a_node_behind_a_router_gets_gue() {
    let mut scenario = Scenario::of(2);
    scenario.facts.next_hops.get_mut(&address(2).into()).unwrap().on_link = false;
    let plan = scenario.plan();
    let n2 = entry(&plan, "n2");
    assert_eq!(
        (n2.mode, node(&plan, "n2").1),
        (ForwardingMode::Gue as u8, NodePath::Mode(ForwardingMode::Gue))
    );
    assert_eq!(
        (&n2.outer_source[..5], &n2.outer_destination[..5]),
        (&[10, 0, 0, 1, 0][..], &[10, 0, 0, 2, 0][..])
    );
    assert_eq!(n2.outer_sum, gue::outer_v4_sum([10, 0, 0, 1], [10, 0, 0, 2]));
    assert!(plan.contents.node_macs.is_empty());
}

#[test]
fn forwarding_can_be_chosen() {
    let mut scenario = Scenario::of(2);
    scenario.settings.forwarding = Forwarding::Always(ForwardingMode::Gue);
    assert_eq!(entry(&scenario.plan(), "n2").mode, ForwardingMode::Gue as u8);
    scenario.settings.forwarding = Forwarding::Always(ForwardingMode::Ipip);
    let n2 = entry(&scenario.plan(), "n2");
    assert_eq!(
        (n2.mode, node(&scenario.plan(), "n2").1),
        (ForwardingMode::Ipip as u8, NodePath::Mode(ForwardingMode::Ipip))
    );
    assert_eq!((n2.outer_family, n2.outer_sum), (4, gue::outer_v4_sum([10, 0, 0, 1], [10, 0, 0, 2])));
    scenario.settings.forwarding = Forwarding::Always(ForwardingMode::L2);
    assert_eq!(entry(&scenario.plan(), "n2").mode, ForwardingMode::L2 as u8);
    scenario.facts.next_hops.get_mut(&address(2).into()).unwrap().on_link = false;
    let plan = scenario.plan_over(&Contents::default());
    assert!(only_problem(&plan).starts_with("Node n2: 10.0.0.2 is not on-link"));
    assert_unresolved(&plan, "n2");
}

#[test]
fn an_unusable_next_hop_is_a_problem() {
    let mut scenario = Scenario::of(2);
    scenario.facts.next_hops.get_mut(&address(2).into()).unwrap().ifindex = 9;
    let plan = scenario.plan_over(&Contents::default());
    assert!(only_problem(&plan).contains("interface 9, which is not an uplink"));
    assert_eq!(node(&plan, "n2").1, NodePath::Unresolved);

    let mut scenario = Scenario::of(2);
    scenario.facts.next_hops.get_mut(&address(2).into()).unwrap().source = "fd00::1".parse().unwrap();
    assert!(only_problem(&scenario.plan_over(&Contents::default())).contains("IP version"));
}

#[test]
fn an_unresolved_node_keeps_its_next_hop() {
    let mut scenario = Scenario::of(3);
    scenario.facts.next_hops.remove(&address(3).into());
    let first = scenario.plan();
    assert_unresolved(&first, "n3");
    scenario.facts.next_hops.clear();
    let second = scenario.plan_over(&first.contents);
    assert_eq!(second.contents, first.contents);
    assert_eq!(
        ["n2", "n3"].map(|name| node(&second, name).1),
        [NodePath::Mode(ForwardingMode::L2), NodePath::Unresolved]
    );
    // A next hop that cannot be used is different.
    scenario.facts.next_hops.insert(address(2).into(), NextHop { ifindex: 9, ..scenario::next_hop(2) });
    let third = scenario.plan_over(&second.contents);
    assert_unresolved(&third, "n2");
    assert!(third.contents.node_macs.is_empty());
}

#[test]
fn all_addresses_of_all_nodes_are_written() {
    let plan = Scenario::of(2).plan();
    let expected = [("10.0.0.1", 0), ("fd00::1", 0), ("10.0.0.2", 1), ("fd00::2", 1)];
    let expected = expected.map(|(address, index)| (address_key(address.parse().unwrap()), index));
    assert_eq!(plan.contents.node_addresses, BTreeMap::from(expected));
}

#[test]
fn indices_are_stable_and_not_reused_at_once() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let first = scenario.plan();
    scenario.nodes.remove(&2);
    scenario.add(0);
    let second = scenario.plan_over(&first.contents);
    assert_eq!(["n0", "n1", "n3"].map(|name| node(&second, name).0), [3, 0, 2]);
    // A former leader stays known for the grace period, and keeps its index.
    assert!(second.contents.nodes.contains_key(&1));
    scenario.add(4);
    assert_eq!(node(&scenario.plan_over(&second.contents), "n4").0, 4);
    let mut planner = Planner::new();
    let third = scenario.plan_by(&mut planner, &second.contents, 0);
    let over = scenario.plan_by(&mut planner, &third.contents, 101);
    assert!(!over.contents.nodes.contains_key(&1));
    scenario.add(5);
    assert_eq!(node(&scenario.plan_over(&over.contents), "n5").0, 1);
}

#[test]
fn an_index_that_only_slots_refer_to_is_not_reused() {
    let mut scenario = Scenario::of(2).with(1, Web::cluster());
    let mut installed = scenario.plan().contents;
    // As read back: an unresolved entry looks like an unused one.
    installed.nodes.remove(&1);
    installed.node_addresses.retain(|_, index| *index != 1);
    scenario.nodes.remove(&2);
    scenario.add(3);
    assert_eq!(node(&scenario.plan_over(&installed), "n3").0, 2);
}

#[test]
fn without_this_machine_nothing_changes() {
    let mut scenario = Scenario::of(3).with(1, Web::cluster());
    let installed = scenario.plan().contents;
    scenario.nodes.remove(&1);
    scenario.services.clear();
    let plan = scenario.plan_over(&installed);
    assert!(only_problem(&plan).contains("this machine is Node n1"));
    assert_eq!(plan.contents, installed);
}

#[test]
fn nodes_beyond_the_capacity_are_left_out_but_never_this_machine() {
    let nodes = (0..=capacity::NODES).map(|i| {
        let [.., high, low] = i.to_be_bytes();
        let node = lb_model::Node::new(vec![[10, 1, high, low].into()], BTreeMap::new()).unwrap();
        (NodeName::from(format!("m{i:04}").as_str()), node)
    });
    let model = Model { nodes: nodes.collect(), ..Model::default() };
    let mut scenario = Scenario::of(0);
    scenario.settings.node = NodeName::from("m1024");
    let none = Contents::default();
    let plan = Planner::new().plan(&model, &scenario.facts, &scenario.settings, &none, Duration::ZERO);
    assert!(
        only_problem(&plan).starts_with("Node m1023: map lb_nodes is full with 1024 entries"),
        "{:?}",
        plan.problems
    );
    assert_eq!(node(&plan, "m1024"), (0, NodePath::Own));
}
