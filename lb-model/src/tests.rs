mod history;
mod holders;
mod incremental;
mod machines;
mod sources;
mod targets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced, parse};
use lb_api::problem::{Problem, Severity};

use super::*;

/// Two nodes, and pools of both families.
const BASE: &str = "
{apiVersion: v1, kind: Node, metadata: {name: a}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: four}, spec: {addresses: [192.0.2.0/24]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: six}, spec: {addresses: ['2001:db8::/64']}}
";

fn build_for_class(texts: &[&str], class: Option<&str>) -> (Model, Vec<String>) {
    let (objects, problems) = parse("t", &texts.join("\n---\n"));
    assert_eq!(problems, []);
    let (model, problems) = Model::build(&objects, class);
    (model, problems.iter().map(Problem::to_string).collect())
}

fn build(texts: &[&str]) -> (Model, Vec<String>) {
    build_for_class(texts, None)
}

/// Asserts that there is one problem, which contains these words.
fn assert_problem(problems: &[String], words: &[&str]) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for word in words {
        assert!(problems[0].contains(word), "{word} in {}", problems[0]);
    }
}

fn pool(name: &str, addresses: &str) -> String {
    format!(
        "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: {name}}}, spec: {{addresses: [{addresses}]}}}}"
    )
}

/// A Service on 192.0.2.1 port 80; `more` goes into its spec.
fn service(name: &str, more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{type: LoadBalancer, ports: [{{port: 80}}], \
         loadBalancerIP: 192.0.2.1, {more}}}}}"
    )
}

/// An EndpointSlice of a Service with an unnamed port.
fn slice(name: &str, service: &str, family: &str, endpoints: &str) -> String {
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: {name}, labels: \
         {{kubernetes.io/service-name: {service}}}}}, addressType: {family}, ports: [{{port: 8080}}], endpoints: [{endpoints}]}}"
    )
}

fn on_node(address: &str, node: &str) -> String {
    format!("{{addresses: ['{address}'], nodeName: {node}}}")
}

fn name(name: &str) -> ServiceName {
    ServiceName { namespace: "default".into(), name: name.into() }
}

fn counts(vip: &ServiceVip) -> Vec<(&str, u32)> {
    vip.endpoints.by_node.iter().map(|(node, count)| (node.as_str(), *count)).collect()
}

#[test]
fn an_address_is_in_its_pool() {
    let (model, problems) = build(&[BASE, &pool("range", "192.0.3.5 - 192.0.3.7")]);
    assert_eq!(problems, [] as [String; 0]);
    let of = |address: &str| model.pools.of(address.parse().unwrap()).map(|(name, _)| name.name.as_str());
    assert_eq!(of("192.0.2.0"), Some("four"));
    assert_eq!(of("192.0.2.255"), Some("four"));
    assert_eq!(of("192.0.3.4"), None);
    assert_eq!(of("192.0.3.7"), Some("range"));
    assert_eq!(of("192.0.3.8"), None);
    assert_eq!(of("2001:db8::ffff"), Some("six"));
    assert_eq!(of("::1"), None);
}

#[test]
fn a_pool_with_an_invalid_address_is_rejected_as_a_whole() {
    let (model, problems) = build(&[&pool("p", "192.0.2.0/24, 192.0.2.300")]);
    assert_problem(&problems, &["IPAddressPool default/p: spec.addresses[1]: ", "192.0.2.300"]);
    assert_eq!(model.pools.iter().count(), 0);
    assert_problem(&build(&[&pool("p", "")]).1, &["no addresses"]);
}

#[test]
fn of_two_overlapping_pools_the_later_by_name_is_rejected() {
    let (model, problems) =
        build(&[&pool("z", "192.0.2.10-192.0.2.20"), &pool("a", "192.0.2.15-192.0.2.30")]);
    assert_problem(
        &problems,
        &["IPAddressPool default/z: spec.addresses[0]", "default/a", "192.0.2.15-192.0.2.20"],
    );
    assert_eq!(model.pools.iter().map(|(name, _)| name.name.as_str()).collect::<Vec<_>>(), ["a"]);
    // One that lies inside another, after disjoint ones.
    let (_, problems) =
        build(&[&pool("a", "192.0.0.0/16, 10.0.0.0/8, 193.0.0.0/8"), &pool("b", "192.0.2.1/32")]);
    assert_problem(&problems, &["IPAddressPool default/b", "192.0.2.1-192.0.2.1"]);
}

#[test]
fn a_pool_that_overlaps_itself_is_refused() {
    let (_, problems) = build(&[&pool("p", "192.0.2.0/24, 192.0.2.255/32")]);
    assert_problem(&problems, &["spec.addresses[1]", "192.0.2.255-192.0.2.255", "in two entries"]);
}

#[test]
fn the_first_of_two_duplicates_counts() {
    let (model, problems) = build(&[&pool("p", "192.0.2.1/32"), &pool("p", "192.0.2.2/32")]);
    assert_problem(&problems, &["t:3: IPAddressPool default/p: ", "t:1"]);
    assert!(model.pools.of([192, 0, 2, 1].into()).is_some());
}

#[test]
fn only_load_balancers_of_the_class_are_served() {
    let [plain, classed] = [service("plain", ""), service("classed", "loadBalancerClass: c")];
    let other = service("other", "").replace("LoadBalancer", "ClusterIP");
    let of_class = |class| {
        let (model, _) = build_for_class(&[BASE, &plain, &classed, &other], class);
        model.services.into_keys().map(|name| name.name).collect::<Vec<_>>()
    };
    assert_eq!(of_class(None), ["plain"]);
    assert_eq!(of_class(Some("c")), ["classed"]);
    assert_eq!(of_class(Some("d")), [] as [String; 0]);
}

/// Returns the addresses of a Service with these annotations, spec and status, and its problems except for
/// the lack of endpoints.
fn addresses(annotations: &str, spec: &str, status: &str) -> (Vec<String>, Vec<String>) {
    let text = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: s, annotations: {{{annotations}}}}}, spec: {{type: LoadBalancer, \
         ports: [{{port: 80}}], {spec}}}, status: {{loadBalancer: {{ingress: [{status}]}}}}}}"
    );
    let (model, mut problems) = build(&[BASE, &text]);
    problems.retain(|problem| !problem.contains("no endpoint is ready"));
    let vips = model.services.get(&name("s")).map(|service| service.vips.clone()).unwrap_or_default();
    (vips.iter().map(|vip| vip.address.to_string()).collect(), problems)
}

#[test]
fn an_allocated_address_counts_before_a_requested_one() {
    let annotation = "metallb.io/loadBalancerIPs: '192.0.2.2, 2001:db8::2'";
    let old = "metallb.universe.tf/loadBalancerIPs: 192.0.2.3";
    let (field, status) =
        ("loadBalancerIP: 192.0.2.4", "{ip: 192.0.2.5}, {hostname: x}, {ip: '2001:db8::5'}");
    let of = |annotations: &str, spec, status| {
        let (addresses, problems) = addresses(annotations, spec, status);
        assert_eq!(problems, [] as [String; 0]);
        addresses
    };
    assert_eq!(of(&format!("{annotation}, {old}"), field, status), ["192.0.2.5", "2001:db8::5"]);
    assert_eq!(of(&format!("{annotation}, {old}"), field, ""), ["192.0.2.2", "2001:db8::2"]);
    assert_eq!(of(old, field, "{hostname: x}"), ["192.0.2.3"]);
    assert_eq!(of("", field, ""), ["192.0.2.4"]);
}

#[test]
fn a_service_without_an_address_gets_advice() {
    for (annotations, spec) in [("", ""), ("metallb.io/loadBalancerIPs: ''", ""), ("", "loadBalancerIP: ''")]
    {
        let (none, problems) = addresses(annotations, spec, "");
        assert_eq!(none, [] as [String; 0]);
        assert_problem(&problems, &["metallb.io/loadBalancerIPs"]);
    }
}

#[test]
fn invalid_addresses_are_reported_with_their_field() {
    let refused = |annotation: &str, words: &[&str]| {
        let (_, problems) = addresses(&format!("metallb.io/loadBalancerIPs: '{annotation}'"), "", "");
        assert_problem(&problems, words);
        assert!(problems[0].contains("metadata.annotations[metallb.io/loadBalancerIPs]: "), "{problems:?}");
    };
    refused("192.0.2.1,192.0.2.2", &["more than one IPv4"]);
    refused("2001:db8::1,2001:db8::2", &["more than one IPv4"]);
    refused("192.0.2.1,2001:db8::1,x", &["more than one IPv4"]);
    refused("nonsense", &["\"nonsense\" is not an IP address"]);
    refused("198.51.100.1", &["198.51.100.1 is in no valid IPAddressPool"]);
    let (rest, problems) = addresses("", "", "{ip: 192.0.2.1}, {ip: 198.51.100.1}");
    assert_problem(&problems, &["status.loadBalancer.ingress[1].ip: "]);
    assert_eq!(rest, ["192.0.2.1"]);
}

#[test]
fn addresses_that_a_pool_avoids_are_rejected() {
    let pool = pool("p", "192.0.2.0/24").replace("}}", ", avoidBuggyIPs: true}}");
    let at = |address: &str| build(&[&pool, &service("s", "").replace("192.0.2.1", address)]).1;
    assert!(at("192.0.2.0")[0].contains("avoidBuggyIPs"), "{:?}", at("192.0.2.0"));
    assert!(at("192.0.2.255")[0].contains("avoidBuggyIPs"));
    assert!(!at("192.0.2.100")[0].contains("avoidBuggyIPs"));
}

#[test]
fn of_two_services_with_a_port_the_later_by_name_loses_it() {
    let two_ports = service("b", "").replace("[{port: 80}]", "[{name: x, port: 80}, {name: 'y', port: 81}]");
    let (model, mut problems) = build(&[BASE, &two_ports, &service("a", "")]);
    problems.retain(|problem| !problem.contains("no endpoint is ready"));
    assert_problem(&problems, &["Service default/b: spec.ports[0].port: 192.0.2.1 port 80/TCP", "default/a"]);
    let ports =
        |service: &str| model.services[&name(service)].vips.iter().map(|vip| vip.port).collect::<Vec<_>>();
    assert_eq!((ports("a"), ports("b")), (vec![80], vec![81]));
}

#[test]
fn protocols_share_a_port_and_an_unknown_one_is_rejected() {
    let four = service("s", "").replace(
        "[{port: 80}]",
        "[{name: t, port: 80, protocol: TCP}, {name: u, port: 80, protocol: UDP}, {name: s, port: 80, protocol: SCTP}, \
         {name: d, port: 80, protocol: DCCP}]",
    );
    let (model, mut problems) = build(&[BASE, &four]);
    problems.retain(|problem| !problem.contains("no endpoint is ready"));
    assert_problem(&problems, &["spec.ports[3].protocol: ", "DCCP"]);
    let protocols: Vec<_> = model.services[&name("s")].vips.iter().map(|vip| vip.protocol).collect();
    assert_eq!(protocols, [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
}

#[test]
fn unknown_values_invalidate_the_service() {
    for (field, allowed) in
        [("externalTrafficPolicy", "Cluster, Local"), ("sessionAffinity", "None, ClientIP")]
    {
        let (model, problems) = build(&[BASE, &service("s", &format!("{field}: Global"))]);
        assert_problem(&problems, &[&format!("spec.{field}: \"Global\""), allowed]);
        assert!(model.services.is_empty());
    }
}

#[test]
fn endpoints_are_counted_by_node_once_each() {
    let [a1, a2, b1] = [on_node("10.1.0.1", "a"), on_node("10.1.0.2", "a"), on_node("10.1.1.1", "b")];
    let one = slice("one", "s", "IPv4", &[a1.as_str(), &a2].join(", "));
    let two = slice("two", "s", "IPv4", &[a2.as_str(), &b1].join(", "));
    let other = slice("other", "t", "IPv4", &on_node("10.1.1.9", "b"));
    let (model, problems) = build(&[BASE, &service("s", ""), &one, &two, &other]);
    assert_eq!(problems, [] as [String; 0]);
    assert_eq!(counts(&model.services[&name("s")].vips[0]), [("a", 2), ("b", 1)]);
}

#[test]
fn serving_endpoints_are_ready_or_terminating() {
    let served = |conditions: &str| {
        let endpoint = format!("{{addresses: [10.1.0.1], nodeName: a, conditions: {conditions}}}");
        let (model, _) = build(&[BASE, &service("s", ""), &slice("e", "s", "IPv4", &endpoint)]);
        model.services[&name("s")].vips[0].is_served(TrafficPolicy::Local)
    };
    assert!(served("{}"));
    assert!(served("{ready: true}"));
    assert!(served("{ready: false, serving: true, terminating: true}"));
    assert!(!served("{ready: false}"));
    assert!(!served("{ready: false, serving: false}"));
}

#[test]
fn a_vip_is_served_by_endpoints_of_its_family_port_name_and_protocol() {
    let both =
        service("s", "").replace("loadBalancerIP: 192.0.2.1", "loadBalancerIP: '192.0.2.1,2001:db8::1'");
    let six = slice("six", "s", "IPv6", &on_node("2001:db8:1::1", "b"));
    let (model, problems) =
        build(&[BASE, &both, &slice("four", "s", "IPv4", &on_node("10.1.0.1", "a")), &six]);
    assert_eq!(problems, [] as [String; 0]);
    let vips = &model.services[&name("s")].vips;
    assert_eq!(vips.iter().map(counts).collect::<Vec<_>>(), [[("a", 1)], [("b", 1)]]);

    let named = service("s", "").replace("{port: 80}", "{name: http, port: 80}");
    let with_port = |port| slice("e", "s", "IPv4", &on_node("10.1.0.1", "a")).replace("{port: 8080}", port);
    let served = |port| build(&[BASE, &named, &with_port(port)]).1.is_empty();
    assert!(served("{name: http, port: 8080}"));
    assert!(!served("{name: other, port: 8080}"));
    assert!(!served("{port: 8080}"));
    assert!(!served("{name: http, port: 8080, protocol: UDP}"));
}

#[test]
fn an_unknown_node_of_endpoints_is_reported_once() {
    let two = [on_node("10.1.0.1", "x"), on_node("10.1.0.2", "x")].join(", ");
    let two_ports = service("s", "").replace("{port: 80}", "{port: 80}, {port: 81}");
    let (model, problems) = build(&[BASE, &two_ports, &slice("e", "s", "IPv4", &two)]);
    assert_problem(&problems, &["Service default/s: ", "Node x"]);
    let vip = &model.services[&name("s")].vips[0];
    assert_eq!(vip.endpoints, Endpoints { elsewhere: 2, ..Endpoints::default() });
    // An endpoint serves, so a node may take the traffic; but no node can keep it local.
    assert!(vip.is_served(TrafficPolicy::Cluster) && !vip.is_served(TrafficPolicy::Local));
}

#[test]
fn no_endpoint_is_a_notice_once_or_by_port() {
    let (objects, _) = parse(
        "t",
        &[BASE, &service("s", "").replace("{port: 80}", "{port: 80}, {port: 81}")].join("\n---\n"),
    );
    let (_, problems) = Model::build(&objects, None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].severity(), problems[0].label()), (Severity::Notice, "no_serving_endpoint"));

    let named = service("s", "").replace("{port: 80}", "{name: x, port: 80}, {name: 'y', port: 81}");
    let only_y =
        slice("e", "s", "IPv4", &on_node("10.1.0.1", "a")).replace("{port: 8080}", "{name: 'y', port: 1}");
    assert_problem(&build(&[BASE, &named, &only_y]).1, &["spec.ports[0]: no endpoint is ready"]);
}

#[test]
fn an_endpoint_without_a_node_is_a_problem_for_local_only() {
    let endpoint = slice("e", "s", "IPv4", "{addresses: [10.1.0.1]}, {addresses: [10.1.0.2], nodeName: a}");
    assert_eq!(build(&[BASE, &service("s", ""), &endpoint]).1, [] as [String; 0]);
    let local = service("s", "externalTrafficPolicy: Local");
    assert_problem(&build(&[BASE, &local, &endpoint]).1, &["no nodeName"]);
}

fn node(name: &str, addresses: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: '{name}'}}, status: {{addresses: [{addresses}]}}}}"
    )
}

#[test]
fn a_node_has_its_internal_addresses_in_their_order() {
    let written = "{type: Hostname, address: host}, {type: InternalIP, address: 'fd00::1'}, {type: ExternalIP, address: \
                   198.51.100.1}, {type: InternalIP, address: 10.0.0.9}, {type: InternalIP, address: 10.0.0.9}";
    let (model, problems) =
        build(&[&node("n", written), &node("m", "{type: InternalIP, address: 10.0.0.8}")]);
    assert_eq!(problems, [] as [String; 0]);
    let n = &model.nodes[&NodeName::from("n")];
    assert_eq!(n.primary(), "fd00::1".parse::<IpAddr>().unwrap());
    assert_eq!(n.addresses(), ["fd00::1".parse::<IpAddr>().unwrap(), [10, 0, 0, 9].into()]);
    let others = model.addresses_to_resolve(&NodeName::from("m"));
    assert_eq!(others.into_iter().collect::<Vec<_>>(), ["fd00::1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn an_advertisement_selects_pools_by_name_or_label_or_all() {
    let labelled =
        pool("labelled", "203.0.113.0/24").replace("{name: labelled}", "{name: labelled, labels: {a: b}}");
    let selected = |spec: &str| {
        let l2 = format!(
            "{{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {{name: l}}, spec: {{{spec}}}}}"
        );
        let (model, _) = build(&[BASE, &labelled, &l2]);
        let pools =
            model.pools.iter().filter(|(name, pool)| model.l2_advertisements[0].selects_pool(name, pool));
        pools.map(|(name, _)| name.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(selected(""), ["four", "labelled", "six"]);
    assert_eq!(selected("ipAddressPools: [six, nowhere]"), ["six"]);
    assert_eq!(selected("ipAddressPoolSelectors: [{matchLabels: {a: b}}]"), ["labelled"]);
    assert_eq!(
        selected("ipAddressPools: [six], ipAddressPoolSelectors: [{matchLabels: {a: b}}]"),
        ["labelled", "six"]
    );
    assert_eq!(selected("ipAddressPools: [nowhere]"), [] as [String; 0]);
}

#[test]
fn drain_rules_do_not_depend_on_the_former_model() {
    let rules = DrainRules { taints: vec!["reboot:NoExecute".parse().unwrap()], ..DrainRules::default() };
    let node = |name: &str, address: &str, rest: &str| {
        format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}, {rest} status: {{addresses: \
             [{{type: InternalIP, address: {address}}}]}}}}"
        )
    };
    let tainted = "spec: {taints: [{key: reboot, effect: NoExecute}]},";
    let objects = |a: &str, b: &str| {
        let text = [node("a", "10.0.0.1", a), node("b", "10.0.0.2", b)].join("\n---\n");
        parse("test", &text).0
    };
    let drains = |model: &Model| model.nodes.values().map(Node::is_draining).collect::<Vec<_>>();
    let fresh = Model { drain: rules, ..Model::default() };
    let (first, _) = Model::after(&fresh, &objects("", ""), None);
    let (second, _) = Model::after(&first, &objects(tainted, ""), None);
    let (third, problems) = Model::after(&second, &objects("", tainted), None);
    assert_eq!(
        [&first, &second, &third].map(drains),
        [vec![false, false], vec![true, false], vec![false, true]]
    );
    assert_eq!(problems, []);
    assert_eq!(Model::after(&fresh, &objects("", tainted), None).0, third, "history does not count");
}
