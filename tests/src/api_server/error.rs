//! Refusals that are about requests and not about what objects hold.

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::refusal::{Cause, Refusal};
use super::request::Target;

fn details(name: &str, group: &str, kind: &str) -> Value {
    let parts = [("name", name), ("group", group), ("kind", kind)];
    let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(parts.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>())
}

fn refusal(code: u16, reason: &str, message: impl Into<String>, details: Option<Value>) -> Refusal {
    Refusal { code, reason: reason.to_owned(), message: message.into(), details }
}

/// There is no such object.
pub(super) fn not_found(kind: &Kind, name: &str) -> Refusal {
    let message = format!("{} \"{name}\" not found", kind.resource());
    refusal(404, "NotFound", message, Some(details(name, &kind.group, &kind.plural)))
}

/// There is no such path, where routes are known.
pub(super) fn no_route() -> Refusal {
    refusal(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
}

/// The route is not for this method.
pub(super) fn no_method() -> Refusal {
    let message = "the server does not allow this method on the requested resource";
    refusal(405, "MethodNotAllowed", message, Some(json!({})))
}

/// The verb is not for this kind.
pub(super) fn not_supported(kind: &Kind, verb: &str) -> Refusal {
    let message = format!("{verb} is not supported on resources of kind \"{}\"", kind.resource());
    refusal(405, "MethodNotAllowed", message, Some(details("", &kind.group, &kind.plural)))
}

pub(super) fn already_exists(kind: &Kind, name: &str, is_deleted: bool) -> Refusal {
    let deleted = if is_deleted { "object is being deleted: " } else { "" };
    let message = format!("{deleted}{} \"{name}\" already exists", kind.resource());
    refusal(409, "AlreadyExists", message, Some(details(name, &kind.group, &kind.plural)))
}

/// A write that cannot be as things are; `on` is what the message names.
pub(super) fn conflict(group: &str, on: &str, name: &str, why: &str) -> Refusal {
    let resource = super::kinds::qualified(on, group);
    let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
    refusal(409, "Conflict", message, Some(details(name, group, on)))
}

/// Somebody else was faster.
pub(super) fn modified(kind: &Kind, name: &str) -> Refusal {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    conflict(&kind.group, &kind.plural, name, why)
}

/// Options of a request that cannot be.
pub(super) fn invalid_options(options: &str, causes: &[Cause]) -> Refusal {
    Refusal::invalid("meta.k8s.io", options, "", causes)
}

pub(super) fn unauthorized() -> Refusal {
    refusal(401, "Unauthorized", "Unauthorized", None)
}

/// A user may not.
pub(super) fn forbidden(target: &Target, verb: &str, name: &str, user: &str) -> Refusal {
    let subresource = target.subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
    let scope = match &target.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let message = format!(
        "{}{named} is forbidden: User \"{user}\" cannot {verb} resource \"{}{subresource}\" in API group \"{}\" {scope}",
        target.resource(),
        target.plural,
        target.group
    );
    refusal(403, "Forbidden", message, Some(details(name, &target.group, &target.plural)))
}

/// A user may not see a path that is no object's.
pub(super) fn forbidden_path(verb: &str, path: &str, user: &str) -> Refusal {
    let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
    refusal(403, "Forbidden", message, Some(json!({})))
}

/// The namespace of a new object is about to go.
pub(super) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Refusal {
    let message = format!(
        "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
        kind.resource()
    );
    let mut details = details(name, &kind.group, &kind.plural);
    details["causes"] = json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }]);
    refusal(403, "Forbidden", message, Some(details))
}

/// What is asked for is not offered.
pub(super) fn not_acceptable(message: impl Into<String>, details: Option<Value>) -> Refusal {
    refusal(406, "NotAcceptable", message, details)
}

/// The body is of a type that is not read.
pub(super) fn unsupported_media(accepted: &str) -> Refusal {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    refusal(415, "UnsupportedMediaType", message, None)
}

pub(super) fn too_large(limit: usize) -> Refusal {
    refusal(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"), None)
}

/// A version is too old.
pub(super) fn expired(message: impl Into<String>) -> Refusal {
    refusal(410, "Expired", message, None)
}

/// A version is not yet.
pub(super) fn too_new(wanted: u64, current: u64) -> Refusal {
    let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    let details = json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    });
    refusal(504, "Timeout", message, Some(details))
}

/// A webhook could not be asked.
pub(super) fn webhook_failed(message: &str) -> Refusal {
    let details = json!({"causes": [{"message": message}]});
    refusal(500, "InternalError", format!("Internal error occurred: {message}"), Some(details))
}

/// What a server says that is too busy, or not well.
pub(super) fn injected(status: u16) -> Refusal {
    let (reason, message) = match status {
        410 => ("Expired", "The resourceVersion for the provided list is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    };
    let details = (status == 429).then(|| json!({"retryAfterSeconds": 1}));
    refusal(status, reason, message, details)
}
