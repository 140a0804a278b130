//! The users of a server and their authentication.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::objects::random;

/// The default audience of tokens.
pub(super) const AUDIENCE: &str = "https://kubernetes.default.svc";
/// The group that may do everything.
pub(super) const MASTERS: &str = "system:masters";
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

impl UserTable {
    fn user_of(&self, token: &str) -> Option<User> {
        if self.administrator.as_deref() == Some(token) {
            return Some(User::administrator());
        }
        let token = self.tokens.get(token)?;
        let is_for_this = token.audiences.iter().any(|audience| audience == AUDIENCE);
        (is_for_this && token.expires > Timestamp::now()).then(|| token.user.clone())
    }
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

    pub(super) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Returns the user of a review's spec.
    pub(super) fn of_review(spec: &Value) -> Self {
        let text = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let groups = spec.get("groups").and_then(Value::as_array).into_iter().flatten();
        let groups = groups.filter_map(Value::as_str).map(str::to_owned).collect();
        Self { name: text("user"), uid: text("uid"), groups }
    }

    /// Returns whether it may read a non-resource path that all may read.
    pub(super) fn may_see(&self, path: &str) -> bool {
        let is_below =
            |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.is_in(MASTERS)
            || OPEN_PATHS.iter().any(|base| is_below(base))
            || (self.is_in("system:authenticated") && KNOWN_PATHS.iter().any(|base| is_below(base)))
    }
}

impl Users {
    pub(super) fn protect(&self, administrator: &str, takes_anonymous: bool) {
        let mut known = self.lock();
        (known.administrator, known.takes_anonymous) = (Some(administrator.to_owned()), takes_anonymous);
    }

    /// Authenticates a request; `None` for an unknown user.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Option<User> {
        let known = self.lock();
        if known.administrator.is_none() {
            return Some(User::administrator());
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match header.strip_prefix("Bearer ").map(str::trim) {
            Some(token) => known.user_of(token),
            None => known.takes_anonymous.then(User::anonymous),
        }
    }

    /// Returns the user of a token; `None` if it is not valid.
    pub(super) fn user_of(&self, token: &str) -> Option<User> {
        self.lock().user_of(token)
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
