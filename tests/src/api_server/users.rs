//! Authentication and authorization (RBAC) of clients.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::objects::{random, text};
use super::store::StoreState;

/// The default audience of tokens.
pub(super) const AUDIENCE: &str = "https://kubernetes.default.svc";
const MASTERS: &str = "system:masters";
/// Paths readable without authentication, and paths for all authenticated users.
const OPEN_PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];
const KNOWN_PATHS: [&str; 3] = ["/api", "/apis", "/openapi"];

/// The users of a server.
#[derive(Debug, Default)]
pub(super) struct Users(Mutex<UserTable>);

#[derive(Debug, Default)]
struct UserTable {
    /// The administrator's token; `None`: no authentication.
    administrator: Option<String>,
    takes_anonymous: bool,
    tokens: BTreeMap<String, Token>,
}

#[derive(Clone, Debug)]
struct Token {
    user: User,
    audiences: Vec<String>,
    expires: Timestamp,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) groups: Vec<String>,
}

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
    fn administrator() -> Self {
        let groups = vec![MASTERS.to_owned(), "system:authenticated".to_owned()];
        Self { name: "admin".to_owned(), uid: String::new(), groups }
    }

    fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { name: "system:anonymous".to_owned(), uid: String::new(), groups }
    }

    fn account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups = [
            "system:serviceaccounts",
            &format!("system:serviceaccounts:{namespace}"),
            "system:authenticated",
        ];
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: groups.map(str::to_owned).into(),
        }
    }

    /// Returns the user info as in reviews.
    pub(super) fn info(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        info
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Returns whether it may read a non-resource path.
    pub(super) fn may_see(&self, path: &str) -> bool {
        let is_below =
            |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.is_in(MASTERS)
            || OPEN_PATHS.iter().any(|base| is_below(base))
            || (self.is_in("system:authenticated") && KNOWN_PATHS.iter().any(|base| is_below(base)))
    }

    /// Returns why it may do something; `None` if it may not.
    pub(super) fn may(&self, inner: &StoreState, access: &AccessRequest<'_>) -> Option<String> {
        let is_self_review = access.verb == "create" && access.resource.starts_with("selfsubject");
        if self.is_in(MASTERS) || (is_self_review && self.is_in("system:authenticated")) {
            return Some(String::new());
        }
        let bindings = inner.objects.iter().filter(|((group, plural, namespace, _), _)| {
            group == "rbac.authorization.k8s.io"
                && (plural == "clusterrolebindings"
                    || (plural == "rolebindings" && namespace == access.namespace))
        });
        bindings.into_iter().find_map(|((_, plural, namespace, name), binding)| {
            let subject = self.subject_of(binding, namespace)?;
            let (role_kind, role_name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
            let (roles, within) =
                if role_kind == "Role" { ("roles", namespace.as_str()) } else { ("clusterroles", "") };
            let key = ("rbac.authorization.k8s.io".into(), roles.into(), within.into(), role_name.into());
            let rules = inner.objects.get(&key)?.get("rules")?.as_array()?;
            if !rules.iter().any(|rule| allows(rule, access)) {
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
    let has = |key: &str, wanted: &str| list(key).any(|item| item == "*" || item == wanted);
    let any_of = access.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    has("verbs", access.verb)
        && has("apiGroups", access.group)
        && (has("resources", access.resource)
            || any_of.is_some_and(|any| list("resources").any(|item| item == any)))
        && (list("resourceNames").next().is_none() || list("resourceNames").any(|name| name == access.name))
}

impl Users {
    pub(super) fn protect(&self, administrator: &str, takes_anonymous: bool) {
        let mut known = self.lock();
        (known.administrator, known.takes_anonymous) = (Some(administrator.to_owned()), takes_anonymous);
    }

    /// Authenticates a request; `None` for an unknown user.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Option<User> {
        let known = self.lock();
        let Some(administrator) = &known.administrator else { return Some(User::administrator()) };
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match header.strip_prefix("Bearer ").map(str::trim) {
            Some(token) if token == administrator => Some(User::administrator()),
            Some(token) => {
                let token = known.tokens.get(token)?;
                let is_for_this = token.audiences.iter().any(|audience| audience == AUDIENCE);
                (is_for_this && token.expires > Timestamp::now()).then(|| token.user.clone())
            }
            None => known.takes_anonymous.then(User::anonymous),
        }
    }

    /// Creates a token of a service account; returns it with its expiry.
    pub(super) fn grant(
        &self,
        (namespace, name, uid): (&str, &str, &str),
        audiences: Vec<String>,
        seconds: i64,
    ) -> (String, Timestamp) {
        let token = format!("{:016x}.{:016x}.{:016x}", random(), random(), random());
        let expires = Timestamp::now() + SignedDuration::from_secs(seconds);
        let user = User::account(namespace, name, uid);
        self.lock().tokens.insert(token.clone(), Token { user, audiences, expires });
        (token, expires)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UserTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
