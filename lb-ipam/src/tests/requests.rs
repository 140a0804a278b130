//! The requests of Services, read from their objects.

use crate::{FamilyPolicy, IpFamily, ServiceRequests, requests};
use lb_api::objects;

fn read(metadata: &str, spec: &str, status: &str) -> ServiceRequests {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: x, namespace: farm, {metadata}}}\n\
         spec: {{type: LoadBalancer, ports: [{{port: 80}}, {{port: 53, protocol: UDP}}], {spec}}}\n\
         status: {{loadBalancer: {{ingress: [{status}]}}}}\n"
    );
    let (objects, problems) = objects::parse("x", &text);
    assert!(problems.is_empty(), "{problems:?}");
    requests(&objects, None)
}

fn words(requests: &ServiceRequests) -> Vec<String> {
    requests.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_is_read() {
    let requests = read(
        "labels: {app: web}, creationTimestamp: 2026-01-01T00:00:00Z, annotations: {metallb.io/address-pool: a, \
         metallb.io/allow-shared-ip: k, metallb.io/loadBalancerIPs: '10.0.0.1 , 2001:db8::1'}",
        "clusterIPs: ['fd00::1', 10.96.0.1], ipFamilyPolicy: PreferDualStack",
        "{ip: 10.0.0.9}, {hostname: other.example}",
    );
    assert!(requests.problems.is_empty() && requests.deprecated.is_empty());
    let request = requests.requests.values().next().unwrap();
    assert_eq!(request.created, "2026-01-01T00:00:00Z");
    assert_eq!(request.labels["app"], "web");
    assert_eq!(request.families, [IpFamily::V6, IpFamily::V4]);
    assert_eq!(request.policy, FamilyPolicy::Prefer);
    assert_eq!(request.addresses.len(), 2);
    assert_eq!(request.pool.as_deref(), Some("a"));
    assert_eq!(request.sharing.key.as_deref(), Some("k"));
    assert_eq!(request.sharing.ports, [("TCP".to_owned(), 80), ("UDP".to_owned(), 53)].into());
    assert_eq!(request.held, ["10.0.0.9".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn the_old_prefix_is_supported_and_reported_and_the_new_one_wins() {
    let old = read("annotations: {metallb.universe.tf/address-pool: old}", "", "");
    assert_eq!(old.requests.values().next().unwrap().pool.as_deref(), Some("old"));
    assert_eq!(old.deprecated.values().next().unwrap().iter().collect::<Vec<_>>(), [&"address-pool"]);
    let both =
        read("annotations: {metallb.universe.tf/address-pool: old, metallb.io/address-pool: new}", "", "");
    assert_eq!(both.requests.values().next().unwrap().pool.as_deref(), Some("new"));
    assert!(both.deprecated.is_empty());
}

#[test]
fn field_and_annotation_are_equivalent_but_exclusive() {
    let field = read("", "loadBalancerIP: 10.0.0.1", "");
    assert_eq!(field.requests.values().next().unwrap().addresses.len(), 1);
    let both = read("annotations: {metallb.io/loadBalancerIPs: 10.0.0.1}", "loadBalancerIP: 10.0.0.1", "");
    assert!(both.requests.is_empty());
    assert!(
        words(&both)[0].contains("metadata.annotations[metallb.io/loadBalancerIPs]"),
        "{:?}",
        words(&both)
    );
}

#[test]
fn an_invalid_request_is_reported_and_releases_nothing() {
    for (list, word) in [("10.0.0.256", "not an IP address"), ("10.0.0.1,10.0.0.2", "at most one of each")] {
        let asks = format!("annotations: {{metallb.io/loadBalancerIPs: '{list}'}}");
        let empty_handed = read(&asks, "", "");
        assert!(empty_handed.requests.is_empty());
        assert!(words(&empty_handed)[0].contains(word), "{:?}", words(&empty_handed));
        let holder = read(&asks, "", "{ip: 10.0.0.9}");
        assert!(holder.requests.values().next().unwrap().addresses.is_empty());
    }
    let odd = read("", "ipFamilyPolicy: Both", "");
    assert!(words(&odd)[0].contains("spec.ipFamilyPolicy"));
}

#[test]
fn other_classes_and_types_request_nothing() {
    assert!(read("", "loadBalancerClass: other", "").requests.is_empty());
    let (objects, _) = objects::parse(
        "x",
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {type: ClusterIP, ports: [{port: 80}]}\n",
    );
    assert!(requests(&objects, None).requests.is_empty());
}
