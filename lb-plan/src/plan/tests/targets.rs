//! The nodes that new flows go to, and the nodes that keep what they own.

use std::collections::BTreeSet;

use super::scenario::Web;
use super::*;

pub(super) const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers: ''";

/// Names of the nodes that lead slots of Service 1, then of those that only keep what they own, as reported;
/// and the labels of the problems.
fn targets(scenario: &Scenario) -> (Vec<String>, Vec<String>, Vec<&'static str>) {
    let plan = scenario.plan_over(&Contents::default());
    let ring = plan.services[0].vips[0].ring.clone().unwrap();
    let name = |index: u16| plan.nodes.iter().find(|node| node.index == index).unwrap().name.to_string();
    let slots = &plan.contents.rings[&ring.first];
    let leaders: BTreeSet<_> = slots.iter().map(|slot| name(slot.leader)).collect();
    let members: Vec<_> = ring.members.iter().map(|share| share.node.to_string()).collect();
    assert_eq!(leaders.into_iter().collect::<Vec<_>>(), members);
    let keeping: Vec<_> = ring.keeping.iter().map(NodeName::to_string).collect();
    // They are asked for what they own: each is a former leader of the slots that it would lead.
    let former: BTreeSet<_> =
        slots.iter().flat_map(|slot| slot.former).filter(|it| *it != NO_NODE).map(name).collect();
    assert!(keeping.iter().all(|it| former.contains(it)), "{keeping:?} in {former:?}");
    (members, keeping, plan.problems.iter().map(Problem::label).collect())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn an_excluded_node_leads_nothing_and_keeps_what_it_owns() {
    for web in [Web::cluster(), Web::local(&[(1, 1), (2, 1), (3, 1)])] {
        let mut scenario = Scenario::of(3).with(1, web);
        scenario.nodes.insert(3, EXCLUDED);
        assert_eq!(targets(&scenario), (names(&["n1", "n2"]), names(&["n3"]), vec![]));
        // Every node decides alike, the excluded one too.
        assert_eq!(targets(&scenario.seen_from(3)).0, names(&["n1", "n2"]));
        scenario.settings.ignore_exclude_label = true;
        assert_eq!(targets(&scenario), (names(&["n1", "n2", "n3"]), vec![], vec![]));
    }
}

#[test]
fn excluded_nodes_serve_as_a_last_resort_and_are_reported() {
    let mut scenario = Scenario::of(3).with(1, Web::local(&[(3, 1)]));
    scenario.nodes.insert(3, EXCLUDED);
    assert_eq!(targets(&scenario), (names(&["n3"]), vec![], vec!["endpoints_excluded"]));
    let mut scenario = Scenario::of(2).with(1, Web::cluster()).with(2, Web::local(&[(1, 1)]));
    scenario.nodes.insert(1, EXCLUDED);
    scenario.nodes.insert(2, EXCLUDED);
    assert_eq!(targets(&scenario), (names(&["n1", "n2"]), vec![], vec!["all_nodes_excluded"]));
    scenario.advertisements = vec![""];
    assert!(scenario.plan_over(&Contents::default()).contents.announcers.is_empty());
}

#[test]
fn a_draining_node_ranks_above_an_excluded_one() {
    let mut scenario = Scenario::of(2).with(1, Web::cluster());
    scenario.nodes.insert(2, EXCLUDED);
    scenario.draining.insert(1);
    assert_eq!(targets(&scenario), (names(&["n1"]), names(&["n2"]), vec![]));
}

#[test]
fn terminating_endpoints_lead_only_without_ready_ones() {
    let terminating = |nodes: &[u8]| Web {
        terminating: nodes.iter().copied().collect(),
        ..Web::local(&[(1, 1), (2, 2), (3, 1)])
    };
    let of = |nodes| targets(&Scenario::of(3).with(1, terminating(nodes)));
    assert_eq!(of(&[]), (names(&["n1", "n2", "n3"]), vec![], vec![]));
    assert_eq!(of(&[1]), (names(&["n2", "n3"]), names(&["n1"]), vec![]));
    assert_eq!(of(&[1, 2]), (names(&["n3"]), names(&["n1", "n2"]), vec![]));
    assert_eq!(of(&[1, 2, 3]), (names(&["n1", "n2", "n3"]), vec![], vec![]));
    // Ready endpoints on an excluded node only: terminating endpoints elsewhere come first.
    let mut scenario = Scenario::of(3).with(1, terminating(&[1, 2]));
    scenario.nodes.insert(3, EXCLUDED);
    assert_eq!(targets(&scenario), (names(&["n1", "n2"]), names(&["n3"]), vec![]));
}

#[test]
fn a_terminating_pod_moves_no_more_than_a_draining_node() {
    let web = Web::local(&[(1, 1), (2, 1), (3, 1)]);
    let slots = |scenario: &Scenario| {
        let plan = scenario.plan();
        plan.contents.rings[&plan.services[0].vips[0].ring.clone().unwrap().first].clone()
    };
    let ending = Scenario::of(3).with(1, Web { terminating: [2].into(), ..web.clone() });
    let mut draining = Scenario::of(3).with(1, web);
    draining.draining.insert(2);
    assert_eq!(slots(&ending), slots(&draining));
    draining.draining.clear();
    assert_ne!(slots(&ending), slots(&draining));
}
