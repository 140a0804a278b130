//! The rules for the kinds of BGP objects, valid and invalid.

use crate::Model;
use lb_api::objects;
use lb_api::problem::Severity;

/// A kind, its spec, and `ok` or the fields with the labels of their problems.
type Row = (&'static str, &'static str, &'static str);

/// A valid peer with additional fields.
macro_rules! peer {
    ($more:literal) => {
        concat!("myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1", $more)
    };
}

const ROWS: &[Row] = &[
    // BGPPeer: AS numbers.
    ("BGPPeer", peer!(""), "ok"),
    ("BGPPeer", "peerASN: 1, peerAddress: 10.0.0.1", "spec: bad_field"),
    ("BGPPeer", "myASN: 0, peerASN: 1, peerAddress: 10.0.0.1", "spec.myASN: out_of_range"),
    ("BGPPeer", "myASN: 4294967295, peerASN: 1, peerAddress: 10.0.0.1", "ok"),
    ("BGPPeer", "myASN: 4294967296, peerASN: 1, peerAddress: 10.0.0.1", "spec.myASN: bad_field"),
    ("BGPPeer", "myASN: 1, peerAddress: 10.0.0.1", "spec.peerASN: one_of"),
    ("BGPPeer", "myASN: 1, peerASN: 0, peerAddress: 10.0.0.1", "spec.peerASN: one_of"),
    ("BGPPeer", "myASN: 1, dynamicASN: internal, peerAddress: 10.0.0.1", "ok"),
    ("BGPPeer", "myASN: 1, dynamicASN: external, peerAddress: 10.0.0.1", "ok"),
    ("BGPPeer", "myASN: 1, dynamicASN: both, peerAddress: 10.0.0.1", "spec.dynamicASN: unknown_value"),
    ("BGPPeer", peer!(", dynamicASN: external"), "spec.dynamicASN: excludes"),
    ("BGPPeer", peer!(", localASN: 65000"), "ok"),
    ("BGPPeer", peer!(", localASN: 0"), "spec.localASN: out_of_range"),
    // BGPPeer: address and interface.
    ("BGPPeer", "myASN: 1, peerASN: 2", "spec.peerAddress: one_of"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: router", "spec.peerAddress: not_an_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 'fd00::1'", "ok"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.1.0.01", "spec.peerAddress: not_an_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: ' 10.1.0.1'", "spec.peerAddress: not_an_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.1.0.1/32", "spec.peerAddress: not_an_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 'fe80::1'", "spec.peerAddress: special_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 0.0.0.0", "spec.peerAddress: special_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: '::'", "spec.peerAddress: special_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 224.0.0.5", "spec.peerAddress: special_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 255.255.255.255", "spec.peerAddress: special_address"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: '::ffff:10.1.0.1'", "spec.peerAddress: special_address"),
    // A router on the node itself.
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 127.0.0.1", "ok"),
    ("BGPPeer", peer!(", sourceAddress: 224.0.0.1"), "spec.sourceAddress: special_address"),
    ("BGPPeer", peer!(", password: \"hush\\n\""), "spec.password: password_line_break"),
    (
        "BGPPeer",
        peer!(", passwordSecret: {name: 'pass word!'}"),
        "spec.passwordSecret.name: not_a_secret_name",
    ),
    ("BGPPeer", peer!(", passwordSecret: {name: echoed}"), "spec.passwordSecret: password_line_break"),
    ("BGPPeer", "myASN: 1, peerASN: 2, interface: eth0", "ok"),
    ("BGPPeer", peer!(", interface: eth0"), "spec.interface: excludes"),
    ("BGPPeer", peer!(", peerPort: 1179"), "ok"),
    ("BGPPeer", peer!(", peerPort: 16384"), "ok"),
    ("BGPPeer", peer!(", peerPort: 16385"), "spec.peerPort: out_of_range"),
    ("BGPPeer", peer!(", peerPort: 65536"), "spec.peerPort: bad_field"),
    ("BGPPeer", peer!(", sourceAddress: 10.0.0.9"), "ok"),
    ("BGPPeer", peer!(", sourceAddress: here"), "spec.sourceAddress: not_an_address"),
    ("BGPPeer", peer!(", sourceAddress: 'fd00::9'"), "spec.sourceAddress: source_family"),
    ("BGPPeer", peer!(", ebgpMultiHop: true"), "ok"),
    ("BGPPeer", "myASN: 1, peerASN: 1, peerAddress: 10.0.0.1", "ok"),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 1, peerAddress: 10.0.0.1, ebgpMultiHop: true",
        "spec.ebgpMultiHop: multihop_internal",
    ),
    ("BGPPeer", peer!(", vrf: red, dualStackAddressFamily: true"), "ok"),
    // BGPPeer: times.
    ("BGPPeer", peer!(", holdTime: 90s, keepaliveTime: 30s, connectTime: 10s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 1m30s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 0s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 3s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 2s"), "spec.holdTime: out_of_range"),
    ("BGPPeer", peer!(", holdTime: 3500ms"), "ok"),
    ("BGPPeer", peer!(", holdTime: 3.5s, keepaliveTime: 3.5s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 3.5s, keepaliveTime: 3.6s"), "spec.keepaliveTime: out_of_range"),
    ("BGPPeer", peer!(", holdTime: 2999ms"), "spec.holdTime: out_of_range"),
    ("BGPPeer", peer!(", holdTime: 500ms"), "spec.holdTime: out_of_range"),
    ("BGPPeer", peer!(", holdTime: 20h"), "spec.holdTime: out_of_range"),
    ("BGPPeer", peer!(", holdTime: soon"), "spec.holdTime: not_a_duration"),
    ("BGPPeer", peer!(", holdTime: '90'"), "spec.holdTime: not_a_duration"),
    ("BGPPeer", peer!(", keepaliveTime: 3s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 0s, keepaliveTime: 0s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 0s, keepaliveTime: 1s"), "spec.keepaliveTime: out_of_range"),
    ("BGPPeer", peer!(", holdTime: null, keepaliveTime: null"), "ok"),
    ("BGPPeer", peer!(", holdTime: 9s, keepaliveTime: 9s"), "ok"),
    ("BGPPeer", peer!(", holdTime: 9s, keepaliveTime: 10s"), "spec.keepaliveTime: out_of_range"),
    ("BGPPeer", peer!(", keepaliveTime: 10h"), "spec.keepaliveTime: out_of_range"),
    ("BGPPeer", peer!(", keepaliveTime: x"), "spec.keepaliveTime: not_a_duration"),
    ("BGPPeer", peer!(", connectTime: 0s"), "spec.connectTime: out_of_range"),
    ("BGPPeer", peer!(", connectTime: 65535s"), "ok"),
    ("BGPPeer", peer!(", connectTime: 65536s"), "spec.connectTime: out_of_range"),
    ("BGPPeer", peer!(", connectTime: 1500ms"), "spec.connectTime: out_of_range"),
    // BGPPeer: the rest.
    ("BGPPeer", peer!(", routerID: 10.0.0.100"), "ok"),
    ("BGPPeer", peer!(", routerID: 0.0.0.0"), "spec.routerID: out_of_range"),
    ("BGPPeer", peer!(", routerID: 'fd00::1'"), "spec.routerID: out_of_range"),
    ("BGPPeer", peer!(", password: hush"), "ok"),
    (
        "BGPPeer",
        peer!(
            ", password: '12345678901234567890123456789012345678901234567890123456789012345678901234567890X'"
        ),
        "spec.password: password_length",
    ),
    ("BGPPeer", peer!(", passwordSecret: {name: good}"), "ok"),
    ("BGPPeer", peer!(", passwordSecret: {name: good, namespace: lb}"), "ok"),
    (
        "BGPPeer",
        peer!(", passwordSecret: {name: good, namespace: other}"),
        "spec.passwordSecret: unknown_reference",
    ),
    ("BGPPeer", peer!(", passwordSecret: {name: none}"), "spec.passwordSecret: unknown_reference"),
    ("BGPPeer", peer!(", passwordSecret: {name: opaque}"), "spec.passwordSecret: secret_type"),
    ("BGPPeer", peer!(", passwordSecret: {name: empty}"), "spec.passwordSecret: secret_without"),
    ("BGPPeer", peer!(", passwordSecret: {name: coded}"), "ok"),
    ("BGPPeer", peer!(", passwordSecret: {name: garbled}"), "spec.passwordSecret: secret_without"),
    ("BGPPeer", peer!(", password: hush, passwordSecret: {name: good}"), "spec.passwordSecret: excludes"),
    ("BGPPeer", peer!(", bfdProfile: fast"), "ok"),
    ("BGPPeer", peer!(", bfdProfile: none"), "spec.bfdProfile: unknown_reference"),
    ("BGPPeer", peer!(", bfdProfile: echoing"), "ok"),
    ("BGPPeer", peer!(", bfdProfile: echoing, ebgpMultiHop: true"), "spec.bfdProfile: no_effect"),
    ("BGPPeer", "myASN: 1, peerASN: 2, interface: e, bfdProfile: echoing", "spec.bfdProfile: no_effect"),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 'fd00::1', bfdProfile: echoing",
        "spec.bfdProfile: no_effect",
    ),
    ("BGPPeer", peer!(", disableMP: false"), "ok"),
    ("BGPPeer", peer!(", disableMP: true"), "spec.disableMP: no_effect"),
    ("BGPPeer", peer!(", enableGracefulRestart: true"), "ok"),
    (
        "BGPPeer",
        peer!(", gracefulRestart: {enabled: true, time: 60s}"),
        "spec.gracefulRestart: no_such_field",
    ),
    ("BGPPeer", peer!(", nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: c}}]"), "ok"),
    (
        "BGPPeer",
        peer!(", nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]"),
        "spec.nodeSelectors[0].matchExpressions[0].values: selector_without_values",
    ),
    (
        "BGPPeer",
        peer!(", nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]"),
        "spec.nodeSelectors[1]: duplicate_entry",
    ),
    (
        "BGPPeer",
        "myASN: 0, peerASN: 1, interface: e, holdTime: 1s",
        "spec.myASN: out_of_range, spec.holdTime: out_of_range",
    ),
    // BFDProfile.
    ("BFDProfile", "", "ok"),
    (
        "BFDProfile",
        "receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 255, minimumTtl: 1",
        "ok",
    ),
    (
        "BFDProfile",
        "receiveInterval: 50, transmitInterval: 50, detectMultiplier: 3, echoMode: true, echoInterval: 25, minimumTtl: 254",
        "ok",
    ),
    ("BFDProfile", "receiveInterval: 9", "spec.receiveInterval: out_of_range"),
    ("BFDProfile", "transmitInterval: 60001", "spec.transmitInterval: out_of_range"),
    ("BFDProfile", "echoInterval: 5", "spec.echoInterval: out_of_range"),
    ("BFDProfile", "detectMultiplier: 1", "spec.detectMultiplier: out_of_range"),
    ("BFDProfile", "detectMultiplier: 256", "spec.detectMultiplier: out_of_range"),
    ("BFDProfile", "minimumTtl: 0", "spec.minimumTtl: out_of_range"),
    ("BFDProfile", "minimumTtl: 255", "spec.minimumTtl: out_of_range"),
    ("BFDProfile", "receiveInterval: 50ms", "spec.receiveInterval: bad_field"),
    // Community.
    (
        "Community",
        "communities: [{name: a, value: '65535:65535'}, {name: b, value: 'large:4294967295:0:1'}]",
        "ok",
    ),
    ("Community", "communities: [{name: a, value: '65536:0'}]", "spec.communities[0].value: not_a_community"),
    ("Community", "communities: [{name: a, value: '1:2:3'}]", "spec.communities[0].value: not_a_community"),
    (
        "Community",
        "communities: [{name: a, value: 'large:1:2'}]",
        "spec.communities[0].value: not_a_community",
    ),
    (
        "Community",
        "communities: [{name: a, value: '1:1'}, {name: a, value: '1:2'}]",
        "spec.communities[1].name: duplicate_entry",
    ),
    ("Community", "communities: [{name: vpn, value: '1:1'}]", "spec.communities[0].name: duplicate_entry"),
    // BGPAdvertisement.
    ("BGPAdvertisement", "", "spec.localPref: local_pref_conflict"),
    ("BGPAdvertisement", "ipAddressPools: [net]", "ok"),
    ("BGPAdvertisement", "ipAddressPools: [none], peers: [none]", "ok"),
    ("BGPAdvertisement", "aggregationLength: 24, ipAddressPools: [net]", "ok"),
    (
        "BGPAdvertisement",
        "aggregationLength: 23, ipAddressPools: [net]",
        "spec.aggregationLength: aggregation_too_short",
    ),
    ("BGPAdvertisement", "aggregationLength: 29, ipAddressPools: [range]", "ok"),
    (
        "BGPAdvertisement",
        "aggregationLength: 28, ipAddressPools: [range]",
        "spec.aggregationLength: aggregation_too_short",
    ),
    ("BGPAdvertisement", "aggregationLength: 33", "spec.aggregationLength: out_of_range"),
    ("BGPAdvertisement", "aggregationLength: -1", "spec.aggregationLength: out_of_range"),
    ("BGPAdvertisement", "aggregationLengthV6: 64, ipAddressPools: [six]", "ok"),
    (
        "BGPAdvertisement",
        "aggregationLengthV6: 63, ipAddressPools: [six]",
        "spec.aggregationLengthV6: aggregation_too_short",
    ),
    ("BGPAdvertisement", "aggregationLengthV6: 129", "spec.aggregationLengthV6: out_of_range"),
    ("BGPAdvertisement", "serviceSelectors: [{matchLabels: {a: b}}]", "ok"),
    (
        "BGPAdvertisement",
        "serviceSelectors: [{matchLabels: {a: b}}], aggregationLength: 24, ipAddressPools: [net]",
        "spec.serviceSelectors: selectors_with_aggregation",
    ),
    (
        "BGPAdvertisement",
        "ipAddressPools: [net], localPref: 100, communities: ['65000:100', 'large:1:2:3', vpn]",
        "ok",
    ),
    ("BGPAdvertisement", "communities: [no-export]", "spec.communities[0]: unknown_community"),
    ("BGPAdvertisement", "communities: ['65000:x']", "spec.communities[0]: not_a_community"),
    ("BGPAdvertisement", "communities: ['1:1', '1:1']", "spec.communities[1]: duplicate_entry"),
    ("BGPAdvertisement", "ipAddressPools: [net, net]", "spec.ipAddressPools[1]: duplicate_entry"),
    ("BGPAdvertisement", "peers: [a, a]", "spec.peers[1]: duplicate_entry"),
    ("BGPAdvertisement", "localPref: -1", "spec.localPref: bad_field"),
    // Beside one that announces pool `advertised` to peer `p` on nodes with label `of: them`, with localPref
    // 7.
    (
        "BGPAdvertisement",
        "ipAddressPools: [advertised], peers: [p], localPref: 7, nodeSelectors: [{matchLabels: {of: them}}]",
        "ok",
    ),
    ("BGPAdvertisement", "ipAddressPools: [advertised], localPref: 8", "spec.localPref: local_pref_conflict"),
    ("BGPAdvertisement", "ipAddressPools: [advertised], localPref: 7", "ok"),
    ("BGPAdvertisement", "ipAddressPools: [advertised], localPref: 8, peers: [q]", "ok"),
    (
        "BGPAdvertisement",
        "ipAddressPools: [advertised], localPref: 8, peers: [q, p]",
        "spec.localPref: local_pref_conflict",
    ),
    (
        "BGPAdvertisement",
        "ipAddressPools: [advertised], localPref: 8, nodeSelectors: [{matchLabels: {of: us}}]",
        "ok",
    ),
    ("BGPAdvertisement", "ipAddressPools: [advertised], localPref: 8, aggregationLength: 31", "ok"),
    ("BGPAdvertisement", "ipAddressPools: [net], localPref: 8", "ok"),
    (
        "BGPAdvertisement",
        "ipAddressPools: [advertised], localPref: 8, serviceSelectors: [{matchLabels: {a: b}}]",
        "ok",
    ),
];

/// The objects that the rows refer to.
const WORLD: &str = "
{apiVersion: v1, kind: Secret, metadata: {name: good, namespace: lb}, type: kubernetes.io/basic-auth, stringData: {password: x}}
---
{apiVersion: v1, kind: Secret, metadata: {name: coded, namespace: lb}, type: kubernetes.io/basic-auth, data: {password: aHVzaA==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: echoed, namespace: lb}, type: kubernetes.io/basic-auth, data: {password: aHVzaAo=}}
---
{apiVersion: v1, kind: Secret, metadata: {name: garbled, namespace: lb}, type: kubernetes.io/basic-auth, data: {password: '*'}}
---
{apiVersion: v1, kind: Secret, metadata: {name: empty, namespace: lb}, type: kubernetes.io/basic-auth}
---
{apiVersion: v1, kind: Secret, metadata: {name: opaque, namespace: lb}, type: Opaque, stringData: {password: x}}
---
{apiVersion: metallb.io/v1beta1, kind: BFDProfile, metadata: {name: fast, namespace: lb}}
---
{apiVersion: metallb.io/v1beta1, kind: BFDProfile, metadata: {name: echoing, namespace: lb}, spec: {echoMode: true}}
---
{apiVersion: metallb.io/v1beta1, kind: Community, metadata: {name: aaa, namespace: lb}, spec: {communities: [{name: vpn, value: '1:9'}]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: net, namespace: lb}, spec: {addresses: [10.1.0.0/24]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: range, namespace: lb}, spec: {addresses: [10.2.0.240-10.2.0.249]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: six, namespace: lb}, spec: {addresses: ['2001:db8::/64']}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: advertised, namespace: lb}, spec: {addresses: [10.3.0.0/31]}}
---
{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: aaa, namespace: lb},
 spec: {ipAddressPools: [advertised], peers: [p], localPref: 7, nodeSelectors: [{matchLabels: {of: them}}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: m0, labels: {of: them}}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: m, labels: {of: us}}, status: {addresses: [{type: InternalIP, address: 10.0.0.3}]}}
";

fn verdict(kind: &str, spec: &str) -> String {
    let version = if kind == "BGPPeer" { "v1beta2" } else { "v1beta1" };
    let text = format!(
        "{WORLD}---\napiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: zzz, namespace: lb}}\nspec: {{{spec}}}\n"
    );
    let (objects, mut problems) = objects::parse("table", &text);
    problems.extend(Model::build(&objects, None).1);
    let words: Vec<_> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.field.as_deref().unwrap_or("-"), problem.label()))
        .collect();
    if words.is_empty() { "ok".to_owned() } else { words.join(", ") }
}

#[test]
fn every_rule_accepts_and_rejects() {
    let wrong = |(kind, spec, expected): &Row| {
        let found = verdict(kind, spec);
        (found != *expected).then(|| format!("{kind} {spec}\n  expected {expected}\n  found    {found}"))
    };
    let wrong: Vec<_> = ROWS.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ROWS.len() >= 100, "{}", ROWS.len());
}

fn peer(spec: &str) -> crate::Peer {
    let text = format!(
        "{WORLD}---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: p, namespace: lb}}\nspec: {{{spec}}}\n"
    );
    let (objects, problems) = objects::parse("peer", &text);
    assert!(problems.is_empty(), "{problems:?}");
    let (mut model, problems) = Model::build(&objects, None);
    assert!(problems.is_empty(), "{problems:?}");
    model.bgp.peers.remove("p").unwrap()
}

#[test]
fn absent_fields_have_the_speakers_defaults() {
    let plain = peer(peer!(""));
    assert_eq!((plain.port, plain.hold_time, plain.keepalive, plain.connect_retry), (179, None, None, None));
    let only_keepalive = peer(peer!(", keepaliveTime: 5s"));
    assert_eq!(only_keepalive.hold_time.map(|time| time.seconds()), Some(15));
}

#[test]
fn a_time_is_zero_only_if_written_so() {
    let zero = peer(peer!(", holdTime: 0s, keepaliveTime: 0s"));
    assert_eq!((zero.hold_time.map(|time| time.seconds()), zero.keepalive), (Some(0), None));
}

#[test]
fn a_value_without_effect_is_only_a_notice() {
    let spec = peer!(", disableMP: true, bfdProfile: echoing, ebgpMultiHop: true");
    let text = format!(
        "{WORLD}---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: p, namespace: lb}}\nspec: {{{spec}}}\n"
    );
    let (model, problems) = Model::build(&objects::parse("peer", &text).0, None);
    assert!(model.bgp.peers.contains_key("p"));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.severity() == Severity::Notice), "{problems:?}");
    let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(
        words[0].contains("BGPPeer lb/p: spec.disableMP: this has no effect: a session carries"),
        "{words:?}"
    );
}

#[test]
fn names_are_unique_across_namespaces() {
    let rows =
        [("BGPPeer", "v1beta2", peer!(""), "BGPPeer a/x"), ("BFDProfile", "v1beta1", "", "BFDProfile a/x")];
    for (kind, version, spec, first) in rows {
        let of = |namespace: &str| {
            format!(
                "{{apiVersion: metallb.io/{version}, kind: {kind}, metadata: {{name: x, namespace: {namespace}}}, spec: {{{spec}}}}}\n"
            )
        };
        let (objects, problems) = objects::parse("names", &format!("{}---\n{}", of("b"), of("a")));
        assert_eq!(problems, []);
        let (model, problems) = Model::build(&objects, None);
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("{kind} b/x: metadata.name: {first} ")), "{lines:?}");
        assert!(model.bgp.peers.values().all(|peer| peer.namespace == "a"));
    }
}

/// As in guides for MetalLB, right and wrong.
const GUIDE: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: shop, namespace: metallb-system}
spec: {addresses: [198.51.100.10-198.51.100.90], autoAssign: true, avoidBuggyIPs: true}
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: quick, namespace: metallb-system}
spec: {receiveInterval: 50, transmitInterval: 50, detectMultiplier: 3, echoMode: true, echoInterval: 25, minimumTtl: 254}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: good, namespace: metallb-system}
spec:
  myASN: 64900
  peerASN: 64901
  peerAddress: 203.0.113.1
  peerPort: 179
  sourceAddress: 203.0.113.9
  bfdProfile: quick
  keepaliveTime: 3s
  holdTime: 9s
  connectTime: 3s
  routerID: 203.0.113.9
  password: \"hush\"
  ebgpMultiHop: false
  nodeSelectors: [{matchLabels: {\"node-role.kubernetes.io/worker\": \"\"}}]
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: bad, namespace: metallb-system}
spec: {myASN: 64900, peerASN: 64901, peerAddress: 203.0.113.2, gracefulRestart: {enabled: true, time: 60s}}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: good, namespace: metallb-system}
spec: {ipAddressPools: [shop], peers: [good, bad], aggregationLength: 32, aggregationLengthV6: 128, localPref: 100, communities: [64900:100]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: bad, namespace: metallb-system}
spec: {ipAddressPools: [shop], communities: [no-export, 64900:100]}
";

#[test]
fn manifests_of_guides_work_or_get_advice() {
    let (objects, unread) = objects::parse("guide", GUIDE);
    let (model, problems) = Model::build(&objects, None);
    let lines: Vec<_> = unread.iter().chain(&problems).map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("BGPPeer metallb-system/bad: spec.gracefulRestart: "), "{lines:#?}");
    assert!(lines[0].contains("did you mean enableGracefulRestart?"), "{lines:#?}");
    assert!(lines[1].contains("BGPAdvertisement metallb-system/bad: spec.communities[0]: "), "{lines:#?}");
    assert!(lines[1].contains("65535:65281"), "{lines:#?}");
    assert_eq!(model.bgp.peers.keys().collect::<Vec<_>>(), ["bad", "good"]);
    assert_eq!(model.bgp.advertisements.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn a_password_is_read_and_never_shown() {
    let of_secret = peer(peer!(", passwordSecret: {name: coded}"));
    assert_eq!(of_secret.password.as_ref().unwrap().octets(), b"hush");
    assert!(!format!("{of_secret:?}").contains("hush"));
    let (objects, _) = objects::parse(
        "x",
        &format!(
            "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: p}}\nspec: {{{}}}\n",
            peer!(", password: secret-word")
        ),
    );
    assert!(!format!("{objects:?}").contains("secret-word"));
}
