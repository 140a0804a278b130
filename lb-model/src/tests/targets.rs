//! Ready and terminating endpoints, and endpoints on two nodes.

use super::*;

const READY: &str = "ready: true, serving: true, terminating: false";
const TERMINATING: &str = "ready: false, serving: true, terminating: true";
const ENDED: &str = "ready: false, serving: false, terminating: true";

/// `ADDRESS NODE CONDITIONS`, each in a slice of its own: the number on each node, `!` without a ready one.
fn counted(endpoints: &[(&str, &str, &str)]) -> Vec<String> {
    let slices = endpoints.iter().enumerate().map(|(i, (address, node, conditions))| {
        let endpoint =
            format!("{{addresses: ['{address}'], nodeName: {node}, conditions: {{{conditions}}}}}");
        slice(&format!("e{i}"), "s", "IPv4", &endpoint)
    });
    let slices: Vec<_> = slices.collect();
    let (model, _) = build(&[BASE, &service("s", "externalTrafficPolicy: Local"), &slices.join("\n---\n")]);
    let endpoints = &model.services[&name("s")].vips[0].endpoints;
    let mark = |node| if endpoints.terminating.contains(node) { "!" } else { "" };
    endpoints.by_node.iter().map(|(node, count)| format!("{node} {count}{}", mark(node))).collect()
}

#[test]
fn ready_endpoints_count_before_those_that_are_terminating() {
    assert_eq!(counted(&[("10.1.0.1", "a", READY), ("10.1.0.2", "a", TERMINATING)]), ["a 1"]);
    assert_eq!(counted(&[("10.1.0.1", "a", TERMINATING), ("10.1.0.2", "b", READY)]), ["a 1!", "b 1"]);
    assert_eq!(counted(&[("10.1.0.1", "a", TERMINATING), ("10.1.0.2", "a", TERMINATING)]), ["a 2!"]);
    assert_eq!(counted(&[("10.1.0.1", "a", ENDED), ("10.1.0.2", "b", "")]), ["b 1"]);
}

#[test]
fn an_endpoint_address_on_two_nodes_has_conditions_on_each() {
    for (first, second, expected) in [
        (READY, "ready: false, serving: false", &["a 1"][..]),
        (READY, TERMINATING, &["a 1", "b 1!"]),
        (TERMINATING, READY, &["a 1!", "b 1"]),
        (READY, READY, &["a 1", "b 1"]),
    ] {
        let [on_a, on_b] = [("10.1.0.1", "a", first), ("10.1.0.1", "b", second)];
        assert_eq!(counted(&[on_a, on_b]), expected, "{first} | {second}");
        assert_eq!(counted(&[on_b, on_a]), expected, "whichever is read last");
    }
    // An endpoint of one node in two slices, as while slices are rebalanced, counts once.
    assert_eq!(counted(&[("10.1.0.1", "a", READY), ("10.1.0.1", "a", TERMINATING)]), ["a 1"]);
}
