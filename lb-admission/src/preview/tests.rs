//! Users' manifests before they are in a cluster.

use lb_api::objects::parse;

use super::*;

const POOL: &str = "
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: net, namespace: lb}, spec: {addresses: [10.1.0.0/30]}}
---
{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: all, namespace: lb}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor, namespace: lb},
 spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1, nodeSelectors: [{matchLabels: {rack: a}}]}}
---
";
const NODES: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {rack: a}}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {rack: b}}, status: {addresses: [{type: InternalIP, address: 10.0.0.3}]}}
---
";

fn of(parts: &[&str]) -> Preview {
    let (objects, problems) = parse("manifest", &parts.concat());
    preview(&objects, problems, None)
}

fn service(more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: shop}}, spec: {{type: LoadBalancer, ports: [{{port: 80}}]{more}}}}}\n---\n"
    )
}

fn lines(preview: &Preview) -> Vec<String> {
    preview.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_without_a_cluster_gets_its_address_and_is_announced() {
    let preview = of(&[POOL, NODES, &service("")]);
    assert_eq!(lines(&preview), [""; 0]);
    let [web] = &preview.services[..] else { panic!("{:?}", preview.services) };
    assert_eq!((&web.addresses[..], web.held), (&["10.1.0.0".parse().unwrap()][..], false));
    let advertised: Vec<_> = web.bgp.iter().map(|it| (it.node.as_str(), &it.peers[..], it.silent)).collect();
    assert_eq!(advertised, [("n1", &["tor".to_owned()][..], None), ("n2", &[][..], None)]);
    let pool = &preview.pools["lb/net"];
    assert_eq!((pool.given, pool.free, &pool.peers[..], pool.layer2), (1, 3, &["tor".to_owned()][..], false));
    assert_eq!(preview.peers["tor"].nodes.len(), 1);
}

#[test]
fn without_nodes_pools_and_peers_are_listed() {
    let preview = of(&[POOL, &service("")]);
    assert_eq!(lines(&preview), [""; 0]);
    assert_eq!(preview.services[0].addresses.len(), 1);
    assert!(preview.services[0].bgp.is_empty() && preview.peers["tor"].nodes.is_empty());
}

#[test]
fn a_failed_allocation_is_reported_with_its_reason() {
    let preview = of(&[POOL, NODES, &service(", loadBalancerIP: 10.2.0.1")]);
    assert!(preview.services[0].refused.as_ref().unwrap().contains("10.2.0.1 is in no IPAddressPool"));
    let preview = of(&[POOL, &service(", ipFamilyPolicy: RequireDualStack")]);
    assert!(preview.services[0].refused.is_some() && preview.services[0].addresses.is_empty());
}

#[test]
fn an_ipv6_request_gets_ipv6() {
    let six = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: six, namespace: lb}, spec: {addresses: ['2001:db8::/124']}}\n---\n";
    let preview = of(&[POOL, six, &service(", loadBalancerIP: '2001:db8::7'")]);
    assert_eq!(preview.services[0].addresses, ["2001:db8::7".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_service_that_holds_an_address_keeps_it() {
    let held = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
        spec: {type: LoadBalancer, ports: [{port: 80}], clusterIPs: [10.96.0.1]}, status: {loadBalancer: {ingress: [{ip: 10.1.0.2}]}}}";
    let preview = of(&[POOL, held]);
    assert_eq!(preview.services[0].addresses, ["10.1.0.2".parse::<IpAddr>().unwrap()]);
    assert!(preview.services[0].held);
}

#[test]
fn a_pending_reference_is_no_error() {
    let later = "{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: later, namespace: lb},
        spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.9, bfdProfile: later}}";
    let preview = of(&[POOL, later]);
    assert_eq!((preview.problems.len(), preview.errors().count()), (1, 0), "{:?}", lines(&preview));
    let wrong = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: x, namespace: lb}, spec: {addresses: [x], serviceAllocation: {namespaces: [a, a]}}}";
    let preview = of(&[POOL, wrong]);
    assert_eq!(preview.errors().count(), 2, "{:?}", lines(&preview));
}

#[test]
fn two_peers_with_one_address_conflict_only_on_a_common_node() {
    let twin = |rack: &str| {
        format!(
            "{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: twin, namespace: lb}}, spec: {{myASN: 64512, \
             peerASN: 64513, peerAddress: 10.0.0.1, nodeSelectors: [{{matchLabels: {{rack: {rack}}}}}]}}}}\n---\n"
        )
    };
    let labels =
        |rack| of(&[POOL, NODES, &twin(rack)]).problems.iter().map(Problem::label).collect::<Vec<_>>();
    assert_eq!((labels("a"), labels("b")), (vec!["router_taken"], vec![]));
}

/// Addresses of a pool reserved for others, and one that another Service holds.
#[test]
fn a_rejected_service_takes_nothing_from_the_holder() {
    let kept = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: kept, namespace: lb},
        spec: {addresses: [10.3.0.0/28], serviceAllocation: {namespaces: [bank]}}}\n---\n";
    let service = |namespace: &str, name: &str, rest: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: \
             '{}-01-01T00:00:00Z'}}, {rest}}}\n---\n",
            if namespace == "bank" { 2026 } else { 2020 },
        )
    };
    let asks = |address: &str| {
        format!("spec: {{type: LoadBalancer, ports: [{{port: 80}}], loadBalancerIP: {address}}}")
    };
    let holds = "spec: {type: LoadBalancer, ports: [{port: 80}], clusterIPs: [10.96.0.1]}, status: {loadBalancer: \
                 {ingress: [{ip: 10.3.0.7}]}}";
    let preview = of(&[
        POOL,
        NODES,
        kept,
        &service("bank", "vault", holds),
        &service("shop", "intruder", &asks("10.3.0.5")),
        &service("shop", "squatter", &asks("10.3.0.7")),
    ]);
    let advertised = |service: &ServicePreview| service.bgp.iter().any(|it| it.peers == ["tor"]);
    let shown: Vec<_> =
        preview.services.iter().map(|it| (&*it.service.name, it.addresses.len(), advertised(it))).collect();
    assert_eq!(shown, [("vault", 1, true), ("intruder", 0, false), ("squatter", 0, false)]);
    assert_eq!(lines(&preview), [""; 0], "what the allocation says is enough");
}

#[test]
fn a_pool_with_reserved_addresses_is_reported_and_assigns_the_others() {
    let near = "{apiVersion: v1, kind: Node, metadata: {name: near, labels: {rack: a}}, status: {addresses: [{type: InternalIP, address: 10.1.0.0}]}}\n---\n";
    let preview = of(&[POOL, near, &service("")]);
    assert_eq!(preview.services[0].addresses, ["10.1.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(preview.problems.iter().map(Problem::label).collect::<Vec<_>>(), ["pool_holds_reserved"]);
    assert_eq!(preview.errors().count(), 0, "it is a warning");
}
