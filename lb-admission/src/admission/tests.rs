//! The rules of MetalLB's webhooks, each accepted and rejected. Problems of a single BGPPeer,
//! BGPAdvertisement or BFDProfile are in `lb_model`'s tables; here are pools, L2Advertisements, communities,
//! selectors, and relations between objects.

use lb_api::objects::{Sourced, parse};
use lb_api::problem::ObjectRef;

use super::*;

/// A kind, its name, its spec, and the result: `ok`, or the fields with the labels of their problems; `wait`
/// precedes those that only wait for other objects, and the object's name those of another object.
type Row = (&'static str, &'static str, &'static str, &'static str);

const POOL: &str = "IPAddressPool";
const L2: &str = "L2Advertisement";
const BGP: &str = "BGPAdvertisement";
const PEER: &str = "BGPPeer";
const PROFILE: &str = "BFDProfile";
const COMMUNITY: &str = "Community";

/// The objects that exist before each row.
const WORLD: &str = "
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: net, namespace: lb}, spec: {addresses: [10.1.0.0/24, '2001:db8:1::/64']}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: range, namespace: lb}, spec: {addresses: [10.2.0.10-10.2.0.20]}}
---
{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: wide, namespace: lb},
 spec: {ipAddressPools: [net], aggregationLength: 24, aggregationLengthV6: 64}}
---
{apiVersion: metallb.io/v1beta1, kind: BFDProfile, metadata: {name: fast, namespace: lb}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor, namespace: lb},
 spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1, bfdProfile: fast}}
---
{apiVersion: metallb.io/v1beta1, kind: Community, metadata: {name: names, namespace: lb}, spec: {communities: [{name: vpn, value: '1:9'}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, ports: [{port: 80}]},
 status: {loadBalancer: {ingress: [{ip: 10.2.0.12}]}}}
";

const ROWS: &[Row] = &[
    // Pools: syntax of addresses.
    (POOL, "new", "addresses: [10.9.0.0/24]", "ok"),
    (POOL, "new", "addresses: [10.9.0.1/32]", "ok"),
    (POOL, "new", "addresses: ['2001:db8:9::/124']", "ok"),
    (POOL, "new", "addresses: ['2001:db8:9::1/128']", "ok"),
    (POOL, "new", "addresses: [10.9.0.1-10.9.0.9]", "ok"),
    (POOL, "new", "addresses: [10.9.0.1 - 10.9.0.9]", "ok"),
    (POOL, "new", "addresses: [10.9.0.1-10.9.0.1]", "ok"),
    (POOL, "new", "addresses: [10.9.0.0/24, '2001:db8:9::/64']", "ok"),
    (POOL, "new", "addresses: []", "spec.addresses: empty_pool"),
    (POOL, "new", "autoAssign: true", "spec: bad_field"),
    (POOL, "new", "addresses: [10.9.0.1]", "spec.addresses[0]: not_a_range"),
    (POOL, "new", "addresses: [10.9.0.0/33]", "spec.addresses[0]: not_a_range"),
    (POOL, "new", "addresses: [10.9.0.1-]", "spec.addresses[0]: not_a_range"),
    (POOL, "new", "addresses: [example.org]", "spec.addresses[0]: not_a_range"),
    (POOL, "new", "addresses: [10.9.0.9-10.9.0.1]", "spec.addresses[0]: range_reversed"),
    (POOL, "new", "addresses: ['10.9.0.1-2001:db8::1']", "spec.addresses[0]: range_families"),
    // Pools: addresses that no Service can have.
    (POOL, "new", "addresses: [010.9.0.0/28]", "spec.addresses[0]: not_a_range"),
    (POOL, "new", "addresses: [10.9.0.010-10.9.0.020]", "spec.addresses[0]: not_a_range"),
    (POOL, "new", "addresses: [10.9.0.0/028]", "ok"),
    (POOL, "new", "addresses: ['2000::/3']", "spec.addresses[0]: pool_overlap"),
    (POOL, "new", "addresses: ['2400::/8']", "ok"),
    (POOL, "new", "addresses: [127.0.0.0/30]", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: [224.0.0.0/30, 10.9.0.0/24]", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: [0.0.0.0/30]", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: [255.255.255.254/31]", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: [126.255.255.255-128.0.0.0]", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: ['fe80::/120']", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: ['ff02::/120']", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: ['::/126']", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: ['::1/128']", "spec.addresses[0]: special_address"),
    (POOL, "new", "addresses: ['::ffff:10.78.0.3/128']", "spec.addresses[0]: special_address"),
    // Pools: overlaps, within a pool and with others.
    (POOL, "new", "addresses: [10.9.0.0/24, 10.9.1.0/24]", "ok"),
    (POOL, "new", "addresses: [10.9.0.0/24, 10.9.0.9/32]", "spec.addresses[1]: pool_overlaps_itself"),
    (POOL, "new", "addresses: [10.9.0.0/24, 10.9.0.0/24]", "spec.addresses[1]: pool_overlaps_itself"),
    (POOL, "new", "addresses: [10.1.1.0/24]", "ok"),
    (POOL, "new", "addresses: [10.1.0.128/25]", "spec.addresses[0]: pool_overlap"),
    (POOL, "new", "addresses: [10.0.0.0/8]", "spec.addresses[0]: pool_overlap"),
    (POOL, "new", "addresses: [10.2.0.20-10.2.0.30]", "spec.addresses[0]: pool_overlap"),
    (POOL, "new", "addresses: [10.2.0.21-10.2.0.30]", "ok"),
    (POOL, "new", "addresses: ['2001:db8:1::ff/128']", "spec.addresses[0]: pool_overlap"),
    // Pools: updates.
    (POOL, "range", "addresses: [10.2.0.10-10.2.0.40]", "ok"),
    (POOL, "range", "addresses: [10.2.0.10-10.2.0.11]", "ok"),
    (POOL, "range", "addresses: [10.1.0.200-10.2.0.20]", "spec.addresses[0]: pool_overlap"),
    (POOL, "net", "addresses: [10.1.0.0/24, '2001:db8:1::/64'], autoAssign: false", "ok"),
    (
        POOL,
        "net",
        "addresses: [10.1.0.0/25, '2001:db8:1::/64']",
        "wide spec.aggregationLength: aggregation_too_short",
    ),
    (
        POOL,
        "net",
        "addresses: [10.1.0.0/24, '2001:db8:1::/80']",
        "wide spec.aggregationLengthV6: aggregation_too_short",
    ),
    // Pools: allocation.
    (POOL, "new", "addresses: [10.9.0.0/24], avoidBuggyIPs: true", "ok"),
    (POOL, "new", "addresses: [10.9.0.0/24], autoAssign: maybe", "spec.autoAssign: bad_field"),
    (POOL, "new", "addresses: [10.9.0.0/24], serviceAllocation: {}", "ok"),
    (POOL, "new", "addresses: [10.9.0.0/24], serviceAllocation: {priority: 50, namespaces: [a, b]}", "ok"),
    (
        POOL,
        "new",
        "addresses: [10.9.0.0/24], serviceAllocation: {namespaces: [a, a]}",
        "spec.serviceAllocation.namespaces[1]: duplicate_entry",
    ),
    (POOL, "new", "addresses: [10.9.0.0/24], serviceAllocation: {priority: -1}", "ok"),
    (
        POOL,
        "new",
        "addresses: [10.9.0.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: c}}]}",
        "ok",
    ),
    (
        POOL,
        "new",
        "addresses: [10.9.0.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}",
        "spec.serviceAllocation.namespaceSelectors[1]: duplicate_entry",
    ),
    (
        POOL,
        "new",
        "addresses: [10.9.0.0/24], serviceAllocation: {serviceSelectors: [{}, {}]}",
        "spec.serviceAllocation.serviceSelectors[1]: duplicate_entry",
    ),
    (
        POOL,
        "new",
        "addresses: [10.9.0.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: In}]}]}",
        "spec.serviceAllocation.serviceSelectors[0].matchExpressions[0].values: selector_without_values",
    ),
    // Selectors, in any field.
    (L2, "new", "nodeSelectors: [{matchExpressions: [{key: a, operator: In, values: [b, c]}]}]", "ok"),
    (L2, "new", "nodeSelectors: [{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}]", "ok"),
    (L2, "new", "nodeSelectors: [{matchExpressions: [{key: a, operator: Exists}]}]", "ok"),
    (L2, "new", "nodeSelectors: [{matchExpressions: [{key: a, operator: DoesNotExist, values: []}]}]", "ok"),
    (
        L2,
        "new",
        "nodeSelectors: [{matchExpressions: [{key: a, operator: NotIn, values: []}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].values: selector_without_values",
    ),
    (
        L2,
        "new",
        "nodeSelectors: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].values: selector_with_values",
    ),
    (
        L2,
        "new",
        "ipAddressPoolSelectors: [{}, {matchExpressions: [{key: a, operator: DoesNotExist, values: [b]}]}]",
        "spec.ipAddressPoolSelectors[1].matchExpressions[0].values: selector_with_values",
    ),
    (
        L2,
        "new",
        "nodeSelectors: [{matchExpressions: [{key: a, operator: Like, values: [b]}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].operator: bad_field",
    ),
    (
        BGP,
        "new",
        "ipAddressPools: [range], serviceSelectors: [{matchExpressions: [{key: a, operator: In}]}]",
        "spec.serviceSelectors[0].matchExpressions[0].values: selector_without_values",
    ),
    (
        PEER,
        "new",
        "myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].values: selector_without_values",
    ),
    // L2Advertisements.
    (L2, "new", "", "ok"),
    (L2, "new", "ipAddressPools: [net, range], interfaces: [eth0, eth1]", "ok"),
    (L2, "new", "ipAddressPools: [not-yet]", "wait spec.ipAddressPools[0]: nothing_named"),
    (
        L2,
        "new",
        "ipAddressPools: [net], ipAddressPoolSelectors: [{matchLabels: {a: b}}]",
        "wait spec.ipAddressPoolSelectors[0]: selects_nothing",
    ),
    (
        L2,
        "new",
        "nodeSelectors: [{matchLabels: {\"\": x}}]",
        "spec.nodeSelectors[0].matchLabels: not_a_label",
    ),
    (
        L2,
        "new",
        "nodeSelectors: [{matchLabels: {a: two words}}]",
        "spec.nodeSelectors[0].matchLabels[a]: not_a_label",
    ),
    (
        L2,
        "new",
        "nodeSelectors: [{matchExpressions: [{key: two words, operator: Exists}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].key: not_a_label",
    ),
    (
        BGP,
        "new",
        "ipAddressPools: [range], nodeSelectors: [{matchExpressions: [{key: a, operator: In, values: [b, -b]}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].values[1]: not_a_label",
    ),
    // A set has no order and no duplicates, as in Kubernetes.
    (L2, "new", "nodeSelectors: [{matchExpressions: [{key: a, operator: In, values: [b, b]}]}]", "ok"),
    (L2, "new", "ipAddressPools: [net, net]", "spec.ipAddressPools[1]: duplicate_entry"),
    // MetalLB accepts this.
    (L2, "new", "interfaces: [eth0, eth0]", "ok"),
    (
        L2,
        "new",
        "nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]",
        "spec.nodeSelectors[1]: duplicate_entry",
    ),
    (L2, "new", "ipAddressPoolSelectors: [{}, {}]", "spec.ipAddressPoolSelectors[1]: duplicate_entry"),
    (L2, "new", "interfaces: eth0", "spec.interfaces: bad_field"),
    (L2, "new", "serviceSelectors: [{matchLabels: {a: b}}]", "ok"),
    (L2, "new", "serviceSelectors: [{}, {}]", "spec.serviceSelectors[1]: duplicate_entry"),
    (L2, "new", "preferredNodeSelectors: [{weight: 1, preference: {}}, {weight: 100, preference: {}}]", "ok"),
    (
        L2,
        "new",
        "preferredNodeSelectors: [{weight: 101, preference: {}}]",
        "spec.preferredNodeSelectors[0].weight: out_of_range",
    ),
    (L2, "new", "preferredNodeSelectors: [{weight: 1}]", "spec.preferredNodeSelectors[0]: bad_field"),
    (
        L2,
        "new",
        "preferredNodeSelectors: [{weight: 1, preference: {matchExpressions: [{key: a, operator: In}]}}]",
        "spec.preferredNodeSelectors[0].preference.matchExpressions[0].values: selector_without_values",
    ),
    // References to objects that may still be created.
    (BGP, "new", "ipAddressPools: [range], communities: [vpn]", "ok"),
    (
        BGP,
        "new",
        "ipAddressPools: [range], communities: [later]",
        "wait spec.communities[0]: unknown_community",
    ),
    (
        BGP,
        "new",
        "ipAddressPools: [range], communities: [later, '1:x']",
        "wait spec.communities[0]: unknown_community, spec.communities[1]: not_a_community",
    ),
    (
        BGP,
        "new",
        "ipAddressPools: [not-yet], peers: [tor, not-yet]",
        "wait spec.ipAddressPools[0]: nothing_named, wait spec.peers[1]: nothing_named",
    ),
    (
        PEER,
        "new",
        "myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, passwordSecret: {}, password: \"a\\n\"",
        "spec.password: password_line_break",
    ),
    (PEER, "new", "myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, bfdProfile: fast", "ok"),
    (
        PEER,
        "new",
        "myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, disableMP: true",
        "wait spec.disableMP: no_effect",
    ),
    (
        PEER,
        "new",
        "myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, bfdProfile: later",
        "wait spec.bfdProfile: unknown_reference",
    ),
    (
        PEER,
        "new",
        "myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, passwordSecret: {name: later}",
        "wait spec.passwordSecret: unknown_reference",
    ),
    // Updates are checked against all other objects, and not against their former version.
    (BGP, "wide", "ipAddressPools: [net], aggregationLength: 24, aggregationLengthV6: 64", "ok"),
    (
        BGP,
        "wide",
        "ipAddressPools: [net], aggregationLength: 23",
        "spec.aggregationLength: aggregation_too_short",
    ),
    // Two owners may want the same.
    (BGP, "new", "ipAddressPools: [net], aggregationLength: 24, aggregationLengthV6: 64", "ok"),
    (
        BGP,
        "new",
        "ipAddressPools: [net], aggregationLength: 24, localPref: 9",
        "spec.localPref: local_pref_conflict",
    ),
    (BGP, "new", "ipAddressPools: [net], aggregationLength: 25, aggregationLengthV6: 65, localPref: 9", "ok"),
    (PEER, "tor", "myASN: 64512, peerASN: 64514, peerAddress: 10.0.0.1", "ok"),
    // Another peer with the same address, on a common node and on disjoint nodes.
    (PEER, "twin", "myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1", "-: router_taken"),
    (PEER, "twin", "myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1, peerPort: 1179", "-: router_taken"),
    (PEER, "twin", "myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1, vrf: red", "ok"),
    (
        PEER,
        "twin",
        "myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1, nodeSelectors: [{matchLabels: {rack: a}}]",
        "ok",
    ),
    // Addresses of machines in a pool.
    (POOL, "new", "addresses: [10.0.0.0/24]", "wait spec.addresses: pool_holds_reserved"),
    (
        PEER,
        "near",
        "myASN: 1, peerASN: 2, peerAddress: 10.1.0.7",
        "wait net spec.addresses: pool_holds_reserved",
    ),
    (PEER, "tor", "myASN: 0, peerASN: 64514, peerAddress: 10.0.0.1", "spec.myASN: out_of_range"),
    (PROFILE, "fast", "receiveInterval: 50", "ok"),
    (PROFILE, "fast", "receiveInterval: 5", "spec.receiveInterval: out_of_range"),
    // Community aliases.
    (COMMUNITY, "new", "communities: [{name: a, value: '1:2'}, {name: b, value: 'large:1:2:3'}]", "ok"),
    (COMMUNITY, "new", "communities: []", "ok"),
    (COMMUNITY, "names", "communities: [{name: vpn, value: '1:10'}]", "ok"),
    (
        COMMUNITY,
        "new",
        "communities: [{name: vpn, value: '1:10'}]",
        "spec.communities[0].name: duplicate_entry",
    ),
    (
        COMMUNITY,
        "new",
        "communities: [{name: a, value: '1:70000'}]",
        "spec.communities[0].value: not_a_community",
    ),
    (COMMUNITY, "new", "communities: [{name: a, value: x}]", "spec.communities[0].value: not_a_community"),
    (
        COMMUNITY,
        "new",
        "communities: [{name: a, value: '1:1'}, {name: a, value: '1:1'}]",
        "spec.communities[1].name: duplicate_entry",
    ),
];

fn world() -> Vec<Sourced<Object>> {
    let (objects, problems) = parse("world", WORLD);
    assert_eq!(problems, []);
    objects
}

fn verdict((kind, name, spec, _): &Row) -> String {
    let version = if *kind == PEER { "v1beta2" } else { "v1beta1" };
    let text = format!(
        "apiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: lb}}\nspec: {{{spec}}}\n"
    );
    let (objects, problems) = parse("new", &text);
    let verdict = match &objects[..] {
        [object] => review(&world(), &ObjectChange::Write(object)),
        _ => Review { refusals: problems, warnings: Vec::new() },
    };
    let words = |problem: &Problem| {
        let of = problem.object.as_ref().map(|object| object.name.as_str()).filter(|of| of != name);
        let of = of.map(|of| format!("{of} ")).unwrap_or_default();
        format!("{of}{}: {}", problem.field.as_deref().unwrap_or("-"), problem.label())
    };
    let waiting = verdict.warnings.iter().map(|problem| format!("wait {}", words(problem)));
    let all: Vec<_> = waiting.chain(verdict.refusals.iter().map(words)).collect();
    if all.is_empty() { "ok".to_owned() } else { all.join(", ") }
}

#[test]
fn every_rule_admits_and_rejects() {
    let wrong = |row: &Row| {
        let (kind, name, spec, expected) = row;
        let found = verdict(row);
        (found != *expected)
            .then(|| format!("{kind} {name} {spec}\n  expected {expected}\n  found    {found}"))
    };
    let wrong: Vec<_> = ROWS.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ROWS.len() >= 80, "{}", ROWS.len());
}

#[test]
fn only_profiles_in_use_cannot_be_deleted() {
    let gone = |kind: &str, name: &str, namespace: &str| ObjectRef {
        kind: kind.into(),
        name: name.into(),
        namespace: Some(namespace.into()),
    };
    let rows = [
        (PROFILE, "fast", "lb", false),
        (PROFILE, "fast", "elsewhere", true),
        (PROFILE, "other", "lb", true),
        (PEER, "tor", "lb", true),
        (POOL, "net", "lb", true),
        (COMMUNITY, "names", "lb", true),
        (BGP, "wide", "lb", true),
    ];
    for (kind, name, namespace, may) in rows {
        let verdict = review(&world(), &ObjectChange::Delete(&gone(kind, name, namespace)));
        assert_eq!(verdict.is_admitted(), may, "{kind} {namespace}/{name}");
        assert!(verdict.refusals.iter().all(|problem| problem.to_string().contains("BGPPeer lb/tor")));
    }
}

#[test]
fn earlier_problems_do_not_block_a_valid_change() {
    let mut objects = world();
    let (wrong, _) = parse(
        "wrong",
        "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: bad, namespace: lb}, spec: {addresses: [x]}}",
    );
    objects.extend(wrong);
    let (new, _) = parse(
        "new",
        "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: new, namespace: lb}, spec: {addresses: [10.9.0.0/24]}}",
    );
    assert_eq!(review(&objects, &ObjectChange::Write(&new[0])), Review::default());
}
