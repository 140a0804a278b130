//! The holders of addresses: a Service that holds an address by its status takes precedence over one that
//! asks for it; in a cluster, only the status counts.

use super::*;

/// A pool reserved for namespace bank.
const RESERVED: &str = "
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: vault}, spec: {addresses: [203.0.113.0/28],
 serviceAllocation: {namespaces: [bank], namespaceSelectors: [{matchLabels: {team: audit}}]}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: books, labels: {team: audit}}}
";

/// A Service created in some year, with a status or a request.
fn in_namespace(namespace: &str, name: &str, year: u16, asks: &str, holds: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: \
         '{year}-01-01T00:00:00Z'}}, spec: {{type: LoadBalancer, ports: [{{port: 80}}], loadBalancerIP: {asks}}}, \
         status: {{loadBalancer: {{ingress: [{holds}]}}}}}}"
    )
}

/// The addresses of all Services by `namespace/name`, and the labels of the problems.
fn served(rule: AddressRule, texts: &[&str]) -> (Vec<String>, Vec<&'static str>) {
    let (objects, problems) = parse("t", &texts.join("\n---\n"));
    assert_eq!(problems, []);
    let (model, problems) = Model::after(&Model { addresses: rule, ..Model::default() }, &objects, None);
    let vips = model.services.iter().flat_map(|(name, it)| it.vips.iter().map(move |vip| (name, vip)));
    let served = vips.map(|(name, vip)| format!("{name} {}", vip.address)).collect();
    let labels = problems.iter().map(Problem::label).filter(|it| *it != "no_serving_endpoint");
    (served, labels.collect())
}

#[test]
fn a_mere_request_takes_nothing_in_a_cluster() {
    let holder = in_namespace("bank", "vault", 2026, "null", "{ip: 203.0.113.7}");
    let intruder = in_namespace("shop", "intruder", 2020, "203.0.113.5", "");
    let squatter = in_namespace("shop", "squatter", 2020, "203.0.113.7", "");
    let free = in_namespace("shop", "free", 2020, "192.0.2.1", "");
    let all = [BASE, RESERVED, &holder, &intruder, &squatter, &free];
    let (services, problems) = served(AddressRule::Held, &all);
    assert_eq!(services, ["bank/vault 203.0.113.7"]);
    assert_eq!(problems, ["not_allocated"; 3]);
    // Without a controller, requests count, within the limits of a pool's serviceAllocation.
    let (services, problems) = served(AddressRule::HeldOrAsked, &all);
    assert_eq!(services, ["bank/vault 203.0.113.7", "shop/free 192.0.2.1"]);
    assert_eq!(problems, ["not_admitted"; 2]);
}

#[test]
fn holders_take_precedence_over_requests_regardless_of_age() {
    let holder = in_namespace("shop", "holder", 2026, "null", "{ip: 192.0.2.7}");
    let older = in_namespace("shop", "older", 2020, "192.0.2.7", "");
    let (services, problems) = served(AddressRule::HeldOrAsked, &[BASE, &holder, &older]);
    assert_eq!((services, problems), (vec!["shop/holder 192.0.2.7".to_owned()], vec!["port_taken"]));
    // Of two Services that hold it, the older.
    let also = in_namespace("shop", "older", 2020, "null", "{ip: 192.0.2.7}");
    assert_eq!(served(AddressRule::HeldOrAsked, &[BASE, &holder, &also]).0, ["shop/older 192.0.2.7"]);
}

#[test]
fn a_pool_admits_namespaces_by_name_and_by_label() {
    let of = |namespace| {
        let asks = in_namespace(namespace, "s", 2020, "203.0.113.5", "");
        served(AddressRule::HeldOrAsked, &[BASE, RESERVED, &asks]).0.len()
    };
    assert_eq!(["bank", "books", "shop"].map(of), [1, 1, 0]);
}

#[test]
fn a_change_of_rule_or_namespace_changes_what_is_served() {
    let asks = in_namespace("late", "s", 2020, "203.0.113.5", "");
    let text = |labels: &str| {
        let namespace =
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: late, labels: {{{labels}}}}}}}");
        let (objects, _) = parse("t", &[BASE, RESERVED, &asks, &namespace].join("\n---\n"));
        objects.into_iter().map(Arc::new).collect::<Vec<_>>()
    };
    let (before, after) = (text(""), text("team: audit"));
    let mut incremental = IncrementalModel::new(&Model::default());
    incremental.update(&before, None);
    assert!(incremental.model().services.is_empty());
    // All objects but the Namespace share memory.
    let mixed: Vec<_> = before.iter().take(before.len() - 1).chain(after.last()).cloned().collect();
    incremental.update(&mixed, None);
    assert_eq!(incremental.model().services.len(), 1);
}
