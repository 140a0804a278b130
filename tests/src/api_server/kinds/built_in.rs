//! The built-in kinds.

use std::sync::Arc;

use super::{ApiKind, KindTraits, KindVersion};
use crate::api_server::strategy::Strategy;

/// Group and version; plural; name; short names; scope and traits, a letter each:
/// `n`amespaced, has a `s`tatus, `c`reates on update, updates `u`nconditionally, `r`eturns deleted objects,
/// has no `d`eletion of collections, is in the c`a`tegory `all` or in `api-e`xtensions.
const TABLE: &[(&str, &str, &str, &str, &str)] = &[
    ("v1", "configmaps", "ConfigMap", "cm", "nu"),
    ("v1", "endpoints", "Endpoints", "ep", "nu"),
    ("v1", "events", "Event", "ev", "nuc"),
    ("v1", "namespaces", "Namespace", "ns", "surd"),
    ("v1", "nodes", "Node", "no", "su"),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "nsur"),
    ("v1", "pods", "Pod", "po", "nsura"),
    ("v1", "secrets", "Secret", "", "nu"),
    ("v1", "serviceaccounts", "ServiceAccount", "sa", "nur"),
    ("v1", "services", "Service", "svc", "nsucra"),
    ("events.k8s.io/v1", "events", "Event", "ev", "nuc"),
    ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", "", "nu"),
    ("coordination.k8s.io/v1", "leases", "Lease", "", "nc"),
    ("apps/v1", "daemonsets", "DaemonSet", "ds", "nsua"),
    ("apps/v1", "deployments", "Deployment", "deploy", "nsua"),
    ("apps/v1", "replicasets", "ReplicaSet", "rs", "nsua"),
    ("apps/v1", "statefulsets", "StatefulSet", "sts", "nsua"),
    ("batch/v1", "jobs", "Job", "", "nsua"),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", "crd,crds", "sre"),
    (
        "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "",
        "e",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "",
        "e",
    ),
    ("rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", "", "cu"),
    ("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", "", "cu"),
    ("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "", "ncu"),
    ("rbac.authorization.k8s.io/v1", "roles", "Role", "", "ncu"),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol", "nu"),
    ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "ns"),
    ("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", "pc", "u"),
];

pub(super) fn all() -> Vec<Arc<ApiKind>> {
    TABLE.iter().map(|row| Arc::new(kind(row))).collect()
}

fn kind((api_version, plural, kind, short, letters): &(&str, &str, &str, &str, &str)) -> ApiKind {
    let is = |letter: char| letters.contains(letter);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let category = [('a', "all"), ('e', "api-extensions")].into_iter().find(|(letter, _)| is(*letter));
    ApiKind {
        group: group.to_owned(),
        plural: (*plural).to_owned(),
        singular: kind.to_lowercase(),
        kind: (*kind).to_owned(),
        list_kind: format!("{kind}List"),
        short_names: short.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        categories: category.map(|(_, name)| name.to_owned()).into_iter().collect(),
        namespaced: is('n'),
        versions: vec![KindVersion {
            name: version.to_owned(),
            served: true,
            storage: true,
            deprecated: None,
            has_status: is('s'),
            schema: None,
            columns: Vec::new(),
            strategy: Strategy::built_in(group, version, kind),
        }],
        traits: KindTraits {
            is_custom: false,
            creates_on_update: is('c'),
            updates_unconditionally: is('u'),
            returns_deleted: is('r'),
            has_no_collection: is('d'),
        },
    }
}
