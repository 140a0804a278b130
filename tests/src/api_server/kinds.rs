//! Which kinds there are.

use serde_json::Value;

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// API group; empty for the core.
    pub(super) group: String,
    /// Its plural, which paths name it by.
    pub(super) plural: String,
    /// Its name.
    pub(super) kind: String,
    /// Whether objects are in namespaces.
    pub(super) namespaced: bool,
    /// Whether status is written apart.
    pub(super) has_status: bool,
}

/// Kinds that are always there: group, plural, name, namespaced, with a status of its own.
const BUILT_IN: [(&str, &str, &str, bool, bool); 16] = [
    ("", "services", "Service", true, true),
    ("", "nodes", "Node", false, true),
    ("", "namespaces", "Namespace", false, true),
    ("", "pods", "Pod", true, true),
    ("", "secrets", "Secret", true, false),
    ("", "configmaps", "ConfigMap", true, false),
    ("", "events", "Event", true, false),
    ("events.k8s.io", "events", "Event", true, false),
    ("discovery.k8s.io", "endpointslices", "EndpointSlice", true, false),
    ("coordination.k8s.io", "leases", "Lease", true, false),
    ("apps", "daemonsets", "DaemonSet", true, true),
    ("apps", "deployments", "Deployment", true, true),
    ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, true),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        false,
        false,
    ),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false, false),
    ("policy", "poddisruptionbudgets", "PodDisruptionBudget", true, true),
];

/// The kind of a group and plural that is always there.
pub(super) fn built_in(group: &str, plural: &str) -> Option<Kind> {
    let found = BUILT_IN.iter().find(|(g, p, ..)| (*g, *p) == (group, plural))?;
    let (group, plural, kind, namespaced, has_status) = *found;
    Some(Kind { group: group.into(), plural: plural.into(), kind: kind.into(), namespaced, has_status })
}

/// The kind that a CustomResourceDefinition defines.
pub(super) fn defined_by(definition: &Value) -> Option<Kind> {
    let spec = definition.get("spec")?;
    let text = |pointer: &str| spec.pointer(pointer)?.as_str().map(str::to_owned);
    let versions = spec.get("versions")?.as_array()?;
    Some(Kind {
        group: text("/group")?,
        plural: text("/names/plural")?,
        kind: text("/names/kind")?,
        namespaced: text("/scope")? == "Namespaced",
        has_status: versions.iter().any(|version| version.pointer("/subresources/status").is_some()),
    })
}
