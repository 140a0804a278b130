//! Definitions of the kinds that configure the load balancer, and of those that tell of it.

use serde_json::{Value, json};

/// Group of what configures.
const GROUP: &str = "metallb.io";

/// Kind, plural and served versions, of which the last is stored.
const KINDS: [(&str, &str, &[&str]); 6] = [
    ("IPAddressPool", "ipaddresspools", &["v1beta1"]),
    ("L2Advertisement", "l2advertisements", &["v1beta1"]),
    ("BGPAdvertisement", "bgpadvertisements", &["v1beta1"]),
    ("BGPPeer", "bgppeers", &["v1beta1", "v1beta2"]),
    ("BFDProfile", "bfdprofiles", &["v1beta1"]),
    ("Community", "communities", &["v1beta1"]),
];

/// CustomResourceDefinitions of the kinds of `metallb.io`, which let everything pass: what is tested with them is
/// what becomes of objects, and not what a schema keeps away.
#[must_use]
pub fn definitions() -> Vec<Value> {
    KINDS.iter().map(|(kind, plural, versions)| definition(GROUP, kind, plural, versions)).collect()
}

/// Group, kind and plural of what tells.
const STATUSES: [(&str, &str, &str); 3] = [
    (GROUP, "ConfigurationState", "configurationstates"),
    (GROUP, "ServiceBGPStatus", "servicebgpstatuses"),
    ("frrk8s.metallb.io", "BGPSessionState", "bgpsessionstates"),
];

/// CustomResourceDefinitions of the kinds that a cluster is told by, which let everything pass as well.
#[must_use]
pub fn status_definitions() -> Vec<Value> {
    STATUSES.iter().map(|(group, kind, plural)| definition(group, kind, plural, &["v1beta1"])).collect()
}

fn definition(group: &str, kind: &str, plural: &str, versions: &[&str]) -> Value {
    let stored = versions.last();
    let version = |name: &&str| {
        json!({
            "name": name, "served": true, "storage": Some(name) == stored, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}
