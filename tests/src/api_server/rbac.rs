//! Authorization of clients (RBAC).

use serde_json::{Value, json};

use super::objects::text;
use super::store::StoreState;
use super::users::{MASTERS, User};

/// A request to authorize.
pub(super) struct AccessRequest<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    /// Plural, followed by a slash and the subresource, if any.
    pub(super) resource: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl User {
    /// Returns why it may do something; `None` if it may not.
    pub(super) fn may(&self, inner: &StoreState, access: &AccessRequest<'_>) -> Option<String> {
        let is_self_review = access.verb == "create" && access.resource.starts_with("selfsubject");
        if self.is_in(MASTERS) || (is_self_review && self.is_in("system:authenticated")) {
            return Some(String::new());
        }
        self.granted(inner, access.namespace, |rule| allows(rule, access))
    }

    /// Returns why it may get a non-resource path; `None` if it may not.
    pub(super) fn may_get(&self, inner: &StoreState, path: &str) -> Option<String> {
        if self.may_see(path) {
            return Some(String::new());
        }
        let has = |rule: &Value, key: &str, expected: &str| {
            let items = rule.get(key).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).any(|item| item == "*" || item == expected)
        };
        // Bindings in a namespace grant no non-resource path.
        self.granted(inner, "", |rule| has(rule, "nonResourceURLs", path) && has(rule, "verbs", "get"))
    }

    /// Returns the binding and the role whose rules allow something.
    fn granted(&self, inner: &StoreState, within: &str, allows: impl Fn(&Value) -> bool) -> Option<String> {
        let bindings = inner.objects.iter().filter(|((group, plural, namespace, _), _)| {
            group == "rbac.authorization.k8s.io"
                && (plural == "clusterrolebindings" || (plural == "rolebindings" && namespace == within))
        });
        bindings.into_iter().find_map(|((_, plural, namespace, name), binding)| {
            let subject = self.subject_of(binding, namespace)?;
            let (role_kind, role_name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
            let (roles, within) =
                if role_kind == "Role" { ("roles", namespace.as_str()) } else { ("clusterroles", "") };
            let key = ("rbac.authorization.k8s.io".into(), roles.into(), within.into(), role_name.into());
            let rules = inner.objects.get(&key)?.get("rules")?.as_array()?;
            if !rules.iter().any(&allows) {
                return None;
            }
            let (kind, place) = match plural.as_str() {
                "rolebindings" => ("RoleBinding", format!("{name}/{namespace}")),
                _ => ("ClusterRoleBinding", name.clone()),
            };
            Some(format!("RBAC: allowed by {kind} \"{place}\" of {role_kind} \"{role_name}\" to {subject}"))
        })
    }

    /// Returns all rules of its roles in a namespace.
    pub(super) fn rules(&self, inner: &StoreState, namespace: &str) -> Vec<Value> {
        if self.is_in(MASTERS) {
            return vec![json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})];
        }
        let bindings = inner.objects.iter().filter(|((group, plural, within, _), _)| {
            group == "rbac.authorization.k8s.io"
                && (plural == "clusterrolebindings" || (plural == "rolebindings" && within == namespace))
        });
        let bindings =
            bindings.filter(|((_, _, within, _), binding)| self.subject_of(binding, within).is_some());
        let roles = bindings.filter_map(|((_, _, within, _), binding)| {
            let is_role = text(binding, "/roleRef/kind") == "Role";
            let (roles, within) = if is_role { ("roles", within.as_str()) } else { ("clusterroles", "") };
            let name = text(binding, "/roleRef/name");
            let key = ("rbac.authorization.k8s.io".into(), roles.into(), within.into(), name.into());
            inner.objects.get(&key)?.get("rules")?.as_array().cloned()
        });
        roles.flatten().collect()
    }

    /// Returns the subject by which a binding names it.
    fn subject_of(&self, binding: &Value, within: &str) -> Option<String> {
        let subjects = binding.get("subjects")?.as_array()?;
        subjects.iter().find_map(|subject| {
            let (kind, name) = (text(subject, "/kind"), text(subject, "/name"));
            let namespace = Some(text(subject, "/namespace")).filter(|n| !n.is_empty()).unwrap_or(within);
            match kind {
                "ServiceAccount" if self.name == format!("system:serviceaccount:{namespace}:{name}") => {
                    Some(format!("ServiceAccount \"{name}/{namespace}\""))
                }
                "User" if self.name == name => Some(format!("User \"{name}\"")),
                "Group" if self.is_in(name) => Some(format!("Group \"{name}\"")),
                _ => None,
            }
        })
    }
}

fn allows(rule: &Value, access: &AccessRequest<'_>) -> bool {
    let list =
        |key: &str| rule.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let has = |key: &str, expected: &str| list(key).any(|item| item == "*" || item == expected);
    let any_of = access.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    has("verbs", access.verb)
        && has("apiGroups", access.group)
        && (has("resources", access.resource)
            || any_of.is_some_and(|any| list("resources").any(|item| item == any)))
        && (list("resourceNames").next().is_none() || list("resourceNames").any(|name| name == access.name))
}
