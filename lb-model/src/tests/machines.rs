//! Addresses of machines: their owners, and that no Service gets them.

use super::*;

/// A Node with these addresses; `more` goes into its metadata.
fn machine(name: &str, more: &str, addresses: &[(&str, &str)], conditions: &str) -> String {
    let addresses: Vec<_> =
        addresses.iter().map(|(kind, it)| format!("{{type: {kind}, address: '{it}'}}")).collect();
    format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: '{name}', {more}}}, status: {{addresses: [{}], conditions: \
         [{conditions}]}}}}",
        addresses.join(", ")
    )
}

const INTERNAL: &[(&str, &str)] = &[("InternalIP", "10.0.0.9")];

/// Returns the Node, old or new, that has 10.0.0.9.
fn owner(old: (&str, &str), new: (&str, &str)) -> String {
    let made = |year: &str| format!("creationTimestamp: '{year}-01-01T00:00:00Z'");
    let old = machine(old.0, &made("2020"), INTERNAL, old.1);
    let new = machine(new.0, &made("2026"), INTERNAL, new.1);
    let (model, problems) = build(&[&old, &new]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("Ready or younger"), "{problems:?}");
    let nodes: Vec<_> =
        model.nodes.iter().filter(|(_, node)| node.primary().to_string() == "10.0.0.9").collect();
    assert_eq!(nodes.len(), 1);
    nodes[0].0.to_string()
}

#[test]
fn of_two_nodes_with_one_address_the_ready_or_else_the_younger_has_it() {
    const READY: &str = "{type: Ready, status: 'True'}";
    const LOST: &str = "{type: Ready, status: Unknown}";
    assert_eq!(owner(("a", LOST), ("b", READY)), "b");
    assert_eq!(owner(("a", LOST), ("b", LOST)), "b", "the younger");
    assert_eq!(owner(("z", LOST), ("b", LOST)), "b", "whatever their names");
    assert_eq!(owner(("a", READY), ("b", LOST)), "a", "a new one that has never come up");
    assert_eq!(owner(("a", ""), ("b", "")), "b");
}

#[test]
fn a_node_without_a_usable_address_is_left_out() {
    let (model, problems) = build(&[&node("n", "{type: Hostname, address: host}")]);
    assert_problem(&problems, &["Node n: status.addresses: ", "InternalIP", "ExternalIP"]);
    assert!(model.nodes.is_empty());
    let (_, problems) = build(&[&node("n1", "{type: InternalIP, address: x}")]);
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("status.addresses[0].address: \"x\""), "{problems:?}");
}

#[test]
fn an_address_belongs_to_one_node() {
    let [m, n] = ["m1", "n1"].map(|name| node(name, "{type: InternalIP, address: 10.0.0.1}"));
    let (model, problems) = build(&[&n, &m]);
    assert!(problems[0].contains("Node n1: ") && problems[0].contains("Node m1"), "{problems:?}");
    assert_eq!(model.nodes.keys().map(NodeName::as_str).collect::<Vec<_>>(), ["m1"]);
}

#[test]
fn a_node_with_external_addresses_only_is_reached_there() {
    let external = machine("n1", "", &[("Hostname", "n1"), ("ExternalIP", "198.51.100.1")], "");
    let (model, problems) = build(&[&external]);
    assert_eq!(problems, [] as [String; 0]);
    assert_eq!(model.nodes["n1"].addresses(), ["198.51.100.1".parse::<IpAddr>().unwrap()]);
    let both = machine("n1", "", &[("ExternalIP", "198.51.100.1"), ("InternalIP", "10.0.0.9")], "");
    assert_eq!(build(&[&both]).0.nodes["n1"].addresses(), ["10.0.0.9".parse::<IpAddr>().unwrap()]);
}

const PEER: &str = "{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor}, spec: {myASN: 1, peerASN: 2, \
                    peerAddress: 192.0.2.254}}";

#[test]
fn no_service_has_the_address_of_a_node_or_of_a_peer() {
    let node = machine("n1", "", &[("InternalIP", "192.0.2.11"), ("ExternalIP", "192.0.2.12")], "");
    let lost = machine("lost", "", &[("InternalIP", "192.0.2.11")], "");
    for (address, owner) in
        [("192.0.2.11", "Node n1"), ("192.0.2.12", "Node n1"), ("192.0.2.254", "BGPPeer default/tor")]
    {
        for status in ["", "{ip: ADDRESS}"] {
            let service = service("s", "").replace("192.0.2.1", address).replace(
                ", spec: {type",
                &format!(
                    ", status: {{loadBalancer: {{ingress: [{}]}}}}, spec: {{type",
                    status.replace("ADDRESS", address)
                ),
            );
            let (model, problems) = build(&[BASE, &node, &lost, PEER, &service]);
            assert!(model.services.is_empty(), "{address}");
            let of_service: Vec<_> = problems.iter().filter(|it| it.contains("Service default/s")).collect();
            assert_eq!(of_service.len(), 1, "{problems:?}");
            for words in [address, "pool default/four", owner] {
                assert!(of_service[0].contains(words), "{words} in {}", of_service[0]);
            }
        }
    }
}

#[test]
fn a_pool_with_reserved_addresses_is_reported_once() {
    let nodes = ["1", "2", "3", "4"]
        .map(|it| machine(&format!("m{it}"), "", &[("InternalIP", &format!("192.0.2.{it}"))], ""));
    let (model, problems) = build(&[BASE, PEER, &nodes.join("\n---\n")]);
    assert_problem(
        &problems,
        &[
            "IPAddressPool default/four: spec.addresses: ",
            "192.0.2.1 of Node m1",
            "192.0.2.3 of Node m3",
            "and 2 more",
        ],
    );
    assert!(model.pools.of("192.0.2.1".parse().unwrap()).is_some(), "the pool stays as it is");
}

#[test]
fn an_l2_advertisement_announces_pools_of_both_families() {
    let l2 = "{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: l}}";
    assert_eq!(build(&[BASE, l2]).1, [] as [String; 0]);
}
