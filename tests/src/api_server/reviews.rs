//! Reviews, which are answered but not stored: identity, permissions, and service account tokens.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::answer::ApiResponse;
use super::error;
use super::objects::{at, now, text, uid_of};
use super::rbac::AccessRequest;
use super::request::RequestTarget;
use super::status_error::{StatusCause, StatusError};
use super::store::ObjectStore;
use super::users::{AUDIENCE, User};

/// Default and shortest lifetime of a token, in seconds.
const LASTS: i64 = 3600;
const SHORTEST: i64 = 600;
/// Longest body.
const LONGEST: usize = 1 << 20;

type Answering = Pin<Box<dyn Future<Output = Result<ApiResponse, StatusError>> + Send>>;

/// Returns the handler of a review; `None` for other requests.
pub(super) fn answer(
    store: &Arc<ObjectStore>,
    user: &User,
    parts: &Parts,
    target: &RequestTarget,
) -> Option<Box<dyn FnOnce(Body) -> Answering + Send>> {
    let review: fn(&ObjectStore, &User, &RequestTarget, Value) -> Result<Value, StatusError> =
        match (target.group.as_str(), target.plural.as_str(), target.subresource.as_deref()) {
            ("authorization.k8s.io", "selfsubjectaccessreviews", None) => self_subject_access_review,
            ("authorization.k8s.io", "subjectaccessreviews", None) => subject_access_review,
            ("authentication.k8s.io", "tokenreviews", None) => token_review,
            ("authorization.k8s.io", "selfsubjectrulesreviews", None) => self_subject_rules_review,
            ("authentication.k8s.io", "selfsubjectreviews", None) => self_subject_review,
            ("", "serviceaccounts", Some("token")) => token,
            _ => return None,
        };
    let (store, user, target) = (Arc::clone(store), user.clone(), target.clone());
    let is_post = parts.method == "POST";
    Some(Box::new(move |body| {
        Box::pin(async move {
            if !is_post {
                return Err(error::no_method());
            }
            let body = to_bytes(body, LONGEST).await.map_err(|_| error::too_large(LONGEST))?;
            let asked: Value =
                serde_json::from_slice(&body).map_err(|error| StatusError::bad_request(error.to_string()))?;
            review(&store, &user, &target, asked).map(|answer| ApiResponse::Object(201, answer))
        })
    }))
}

fn self_subject_access_review(
    store: &ObjectStore,
    user: &User,
    _: &RequestTarget,
    asked: Value,
) -> Result<Value, StatusError> {
    reviewed(store, user, "SelfSubjectAccessReview", &asked)
}

fn subject_access_review(
    store: &ObjectStore,
    _: &User,
    _: &RequestTarget,
    asked: Value,
) -> Result<Value, StatusError> {
    reviewed(store, &User::of_review(&asked["spec"]), "SubjectAccessReview", &asked)
}

/// Answers whether a user may do what a review asks about.
fn reviewed(store: &ObjectStore, user: &User, kind: &str, asked: &Value) -> Result<Value, StatusError> {
    let resource = asked.pointer("/spec/resourceAttributes");
    let path = asked.pointer("/spec/nonResourceAttributes");
    let reason = match (resource, path) {
        (Some(attributes), None) => {
            let subresource = text(attributes, "/subresource");
            let slash = if subresource.is_empty() { "" } else { "/" };
            let access = AccessRequest {
                verb: text(attributes, "/verb"),
                group: text(attributes, "/group"),
                resource: &format!("{}{slash}{subresource}", text(attributes, "/resource")),
                namespace: text(attributes, "/namespace"),
                name: text(attributes, "/name"),
            };
            user.may(&store.lock(), &access)
        }
        (None, Some(attributes)) => user.may_get(&store.lock(), text(attributes, "/path")),
        _ => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let cause = StatusCause::invalid("spec.resourceAttributes", &Value::Null, why);
            return Err(StatusError::invalid("authorization.k8s.io", "", "", &[cause]));
        }
    };
    let mut status = json!({"allowed": reason.is_some()});
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        status["reason"] = json!(reason);
    }
    Ok(json!({
        "kind": kind, "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": asked["spec"], "status": status,
    }))
}

fn token_review(
    store: &ObjectStore,
    _: &User,
    _: &RequestTarget,
    asked: Value,
) -> Result<Value, StatusError> {
    let status = match store.users().user_of(text(&asked, "/spec/token")) {
        Some(user) => json!({"authenticated": true, "user": user.info(), "audiences": [AUDIENCE]}),
        None => json!({"user": {}, "error": "[invalid bearer token, unknown]"}),
    };
    Ok(json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": null},
        "spec": asked["spec"], "status": status,
    }))
}

fn self_subject_rules_review(
    store: &ObjectStore,
    user: &User,
    _: &RequestTarget,
    asked: Value,
) -> Result<Value, StatusError> {
    let rules = user.rules(&store.lock(), text(&asked, "/spec/namespace"));
    Ok(json!({
        "kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {},
        "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": false},
    }))
}

fn self_subject_review(
    _: &ObjectStore,
    user: &User,
    _: &RequestTarget,
    _: Value,
) -> Result<Value, StatusError> {
    Ok(json!({
        "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": now()}, "status": {"userInfo": user.info()},
    }))
}

fn token(store: &ObjectStore, _: &User, target: &RequestTarget, asked: Value) -> Result<Value, StatusError> {
    let (namespace, name) = (target.namespace.as_deref().unwrap_or_default(), target.name.as_deref());
    let name = name.unwrap_or_default();
    let find = |plural: &str, name: &str| {
        let inner = store.lock();
        let kind = inner.kinds.of("", plural).ok_or_else(error::no_route)?;
        let key = super::store::key(kind, Some(namespace), name);
        inner.objects.get(&key).cloned().ok_or_else(|| error::not_found(kind, name))
    };
    let account = find("serviceaccounts", name)?;
    let seconds = asked.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(LASTS);
    if seconds < SHORTEST {
        let why = "may not specify a duration less than 10 minutes";
        let cause = StatusCause::invalid("spec.expirationSeconds", &json!(seconds), why);
        return Err(StatusError::invalid("authentication.k8s.io", "TokenRequest", "", &[cause]));
    }
    let bound = asked.pointer("/spec/boundObjectRef").filter(|bound| !bound.is_null());
    if let Some(bound) = bound {
        find(if text(bound, "/kind") == "Pod" { "pods" } else { "secrets" }, text(bound, "/name"))?;
    }
    let audiences = asked.pointer("/spec/audiences").and_then(Value::as_array);
    let audiences: Vec<String> =
        audiences.into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    let audiences = if audiences.is_empty() { vec![AUDIENCE.to_owned()] } else { audiences };
    let (token, expires) =
        store.users().grant((namespace, name, uid_of(&account)), audiences.clone(), seconds);
    Ok(json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid_of(&account), "creationTimestamp": now(),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound},
        "status": {"token": token, "expirationTimestamp": at(expires)},
    }))
}
