//! The differences between the views of nodes: each should have the same rings, and see the same nodes alive.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use lb_plan::plan::VipState;

use super::answers::names;
use crate::overview::Overview;

/// The views of nodes, by node.
pub(super) type Views = BTreeMap<String, Overview>;

/// The most differences that are named.
const NAMED: usize = 20;
/// What a node that lacks something says of it.
const UNKNOWN: &str = "unknown";

/// Returns the differences, a sentence each, and nodes that no agent runs on.
pub(super) fn differences(views: &Views) -> Vec<String> {
    let versions = views.iter().map(|(viewer, it)| (viewer.as_str(), it.status.state.version.to_string()));
    let mut found: Vec<String> = disagreement("version", versions.collect()).into_iter().collect();
    found.extend(by_subject(views, "node", nodes));
    found.extend(by_subject(views, "VIP", rings));
    found.extend(by_subject(views, "address", announcers));
    if let Some(more @ 1..) = found.len().checked_sub(NAMED) {
        found.truncate(NAMED);
        found.push(format!("and {more} more differences"));
    }
    found
}

/// Returns the nodes that others know and that have no agent that could be asked.
pub(super) fn without_agent(views: &Views, asked: &BTreeSet<&str>) -> Vec<String> {
    let known = views.values().flat_map(|view| view.status.state.nodes.iter().map(|node| node.name.as_str()));
    let missing: BTreeSet<&str> = known.filter(|node| !asked.contains(node)).collect();
    missing.into_iter().map(|node| format!("no agent runs on node {node}")).collect()
}

/// What a node says of each subject.
type Says = BTreeMap<String, String>;

fn by_subject(views: &Views, kind: &str, says: fn(&Overview) -> Says) -> Vec<String> {
    let said: Vec<(&str, Says)> = views.iter().map(|(viewer, view)| (viewer.as_str(), says(view))).collect();
    let subjects: BTreeSet<&String> = said.iter().flat_map(|(_, says)| says.keys()).collect();
    let of = |subject: &String| {
        let texts = said.iter().filter_map(|(viewer, says)| {
            // A node says nothing of its own liveness.
            let is_own = kind == "node" && *viewer == subject.as_str();
            let text = says.get(subject).map_or(UNKNOWN, String::as_str).to_owned();
            (!is_own).then_some((*viewer, text))
        });
        disagreement(&format!("{kind} {subject}"), texts.collect())
    };
    subjects.into_iter().filter_map(of).collect()
}

/// Returns how nodes disagree: what most say first.
fn disagreement(subject: &str, said: Vec<(&str, String)>) -> Option<String> {
    let mut viewers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (viewer, text) in said {
        viewers.entry(text).or_default().push(viewer);
    }
    let mut groups: Vec<_> = viewers.into_iter().collect();
    groups.sort_by_key(|(_, viewers)| std::cmp::Reverse(viewers.len()));
    let parts = groups.iter().map(|(text, viewers)| format!("{text} on {}", names(viewers.iter().copied())));
    (groups.len() > 1).then(|| format!("{subject}: {}", parts.collect::<Vec<_>>().join("; ")))
}

fn nodes(view: &Overview) -> Says {
    let liveness: BTreeMap<_, _> =
        view.status.liveness.iter().map(|it| (it.number, it.state.to_string())).collect();
    let state =
        |index: u16| liveness.get(&u32::from(index)).cloned().unwrap_or_else(|| "not probed".to_owned());
    let others = view.status.state.nodes.iter().filter(|node| !node.is_self);
    others.map(|node| (node.name.to_string(), state(node.index))).collect()
}

fn rings(view: &Overview) -> Says {
    let services = view.status.state.services.iter();
    let vips = services.flat_map(|service| service.vips.iter().map(move |vip| (vip, &service.service)));
    let key = |vip: &VipState| format!("{}/{}", SocketAddr::new(vip.address, vip.port), vip.protocol.name());
    vips.map(|(vip, service)| (format!("{} ({service})", key(vip)), ring(vip))).collect()
}

fn ring(vip: &VipState) -> String {
    let Some(ring) = &vip.ring else { return "not served".to_owned() };
    let mut members: Vec<_> =
        ring.members.iter().map(|share| format!("{}({})", share.node, share.weight)).collect();
    members.sort();
    format!("ring of {} slots: {}", ring.slots, names(members.iter().map(String::as_str)))
}

fn announcers(view: &Overview) -> Says {
    let announcer = |it: &Option<String>| format!("announced by {}", it.as_deref().unwrap_or("no node"));
    view.l2.addresses.iter().map(|it| (it.view.address.to_string(), announcer(&it.view.announcer))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::summary::tests::{overview, well};

    /// The view of a node, after a change.
    fn view(viewer: &str, change: impl FnOnce(&mut Value)) -> (String, Overview) {
        let mut status = well();
        let (own, other) = if viewer == "n1" { (0, 1) } else { (1, 0) };
        status["node"] = json!(viewer);
        status["nodes"][own]["is_self"] = json!(true);
        status["nodes"][other]["is_self"] = json!(false);
        status["liveness"][0]["number"] = json!(other + 1);
        change(&mut status);
        (viewer.to_owned(), overview(&status))
    }

    #[test]
    fn equal_views_do_not_differ() {
        assert_eq!(differences(&Views::from([view("n1", |_| {}), view("n2", |_| {})])), Vec::<String>::new());
    }

    #[test]
    fn a_ring_that_differs_is_named_with_the_nodes_that_have_it() {
        let smaller = |it: &mut Value| {
            it["services"][0]["vips"][0]["ring"]["members"] = json!([{"node": "n1", "weight": 1}]);
        };
        let found = differences(&Views::from([view("n1", |_| {}), view("n2", smaller)]));
        let expected = "VIP 192.0.2.1:80/TCP (shop/web): ring of 512 slots: n1(1) on n2; ring of 512 slots: n1(1), n2(1) on n1";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_service_that_a_node_lacks_and_another_version_are_named() {
        let old = |it: &mut Value| {
            it["services"] = json!([]);
            it["version"] = json!("0.0.9");
        };
        let found = differences(&Views::from([view("n1", |_| {}), view("n2", old)]));
        assert_eq!(found[0], "version: 0.0.9 on n2; 0.1.0 on n1");
        assert!(found[1].ends_with("n2(1) on n1; unknown on n2"), "{found:?}");
    }

    #[test]
    fn a_node_that_is_dead_only_for_one_is_named() {
        let third = |it: &mut Value, index: usize, state: &str| {
            let mut node = it["nodes"][1].clone();
            (node["name"], node["index"], node["is_self"]) = (json!("n3"), json!(3), json!(false));
            it["nodes"][2] = node;
            it["liveness"][index] = json!({"number": 3, "state": state, "silent_ms": 0});
        };
        let with = |viewer, state: &'static str| {
            view(viewer, |it| {
                it["nodes"].as_array_mut().unwrap().push(Value::Null);
                it["liveness"].as_array_mut().unwrap().push(Value::Null);
                third(it, 1, state);
            })
        };
        let views = Views::from([with("n1", "alive"), with("n2", "dead")]);
        assert_eq!(differences(&views), ["node n3: alive on n1; dead on n2"]);
        assert_eq!(without_agent(&views, &BTreeSet::from(["n1", "n2"])), ["no agent runs on node n3"]);
    }
}
