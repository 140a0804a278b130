//! Changes: only differences are written.

use super::notation::{namespaces, pools};
use crate::{Allocator, ServiceChange, changes, requests};
use lb_api::objects;

fn written(r#type: &str, class: &str, annotation: &str, ip: &str) -> Vec<ServiceChange> {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: x, namespace: farm, annotations: {{{annotation}}}}}\n\
         spec: {{type: {type}, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]{class}}}\n\
         status: {{loadBalancer: {{ingress: [{ip}]}}}}\n"
    );
    let (objects, problems) = objects::parse("x", &text);
    assert!(problems.is_empty(), "{problems:?}");
    let requests = requests(&objects, None);
    let pools = pools(&["a 10.0.0.0/30"]);
    let allocation = Allocator::new().allocate(&pools, &namespaces(), &requests.requests);
    changes(&objects, &allocation).into_iter().map(|(_, change)| change).collect()
}

#[test]
fn existing_values_are_not_rewritten() {
    let pool = "metallb.io/ip-allocated-from-pool: a";
    let balancer = |annotation, ip| written("LoadBalancer", "", annotation, ip);
    assert_eq!(balancer(pool, "{ip: 10.0.0.1}"), []);
    assert!(matches!(&balancer("", "{ip: 10.0.0.1}")[..], [ServiceChange::Give { .. }]));
    assert!(matches!(&balancer("", "")[..], [ServiceChange::Give { .. }]));
}

#[test]
fn released_addresses_are_remembered() {
    let pool = "metallb.io/ip-allocated-from-pool: gone";
    let last = |addresses: &[&str]| {
        addresses.iter().map(|it| it.parse().unwrap()).collect::<Vec<std::net::IpAddr>>()
    };
    // The pool of 10.1.0.1 is gone, and the only remaining one does not assign addresses automatically.
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: x, namespace: farm, annotations: {{{pool}}}}}\n\
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]}}\n\
         status: {{loadBalancer: {{ingress: [{{ip: 10.1.0.1}}]}}}}\n"
    );
    let (objects, _) = objects::parse("x", &text);
    let requests = requests(&objects, None);
    let allocation =
        Allocator::new().allocate(&pools(&["a 10.0.0.0/30 manual"]), &namespaces(), &requests.requests);
    let changes: Vec<_> = changes(&objects, &allocation).into_iter().map(|(_, change)| change).collect();
    assert_eq!(changes, [ServiceChange::Clear { last: last(&["10.1.0.1"]) }]);
    // Read back.
    let (objects, _) = objects::parse(
        "x",
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, annotations: {fairlead.io/last-addresses: '10.1.0.1, x,fd00::1'}}\n\
         spec: {type: LoadBalancer, ports: [{port: 80}]}\n",
    );
    assert_eq!(
        super::super::requests(&objects, None).requests.values().next().unwrap().last,
        last(&["10.1.0.1", "fd00::1"])
    );
}

#[test]
fn a_service_without_a_request_is_cleared_and_other_classes_are_left_alone() {
    let pool = "metallb.io/ip-allocated-from-pool: a";
    assert_eq!(written("ClusterIP", "", pool, ""), [ServiceChange::Clear { last: vec![] }]);
    assert_eq!(
        written("ClusterIP", "", "fairlead.io/last-addresses: 10.0.0.1", ""),
        [ServiceChange::Clear { last: vec![] }]
    );
    assert_eq!(written("ClusterIP", "", "", ""), []);
    assert_eq!(written("LoadBalancer", ", loadBalancerClass: other", pool, "{ip: 10.9.9.9}"), []);
}
