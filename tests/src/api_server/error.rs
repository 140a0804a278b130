//! Errors about requests, as opposed to the contents of objects.

use serde_json::{Map, Value, json};

use super::kinds::ApiKind;
use super::request::RequestTarget;
use super::status_error::{StatusCause, StatusError};

fn details(name: &str, group: &str, kind: &str) -> Value {
    let parts = [("name", name), ("group", group), ("kind", kind)];
    let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(parts.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>())
}

fn error_status(code: u16, reason: &str, message: impl Into<String>, details: Option<Value>) -> StatusError {
    StatusError { code, reason: reason.to_owned(), message: message.into(), details }
}

/// Object not found.
pub(super) fn not_found(kind: &ApiKind, name: &str) -> StatusError {
    let message = format!("{} \"{name}\" not found", kind.resource());
    error_status(404, "NotFound", message, Some(details(name, &kind.group, &kind.plural)))
}

/// Path not found.
pub(super) fn no_route() -> StatusError {
    error_status(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
}

/// Method not allowed on this route.
pub(super) fn no_method() -> StatusError {
    let message = "the server does not allow this method on the requested resource";
    error_status(405, "MethodNotAllowed", message, Some(json!({})))
}

/// Verb not supported by this kind.
pub(super) fn not_supported(kind: &ApiKind, verb: &str) -> StatusError {
    let message = format!("{verb} is not supported on resources of kind \"{}\"", kind.resource());
    error_status(405, "MethodNotAllowed", message, Some(details("", &kind.group, &kind.plural)))
}

pub(super) fn already_exists(kind: &ApiKind, name: &str, is_deleted: bool) -> StatusError {
    let deleted = if is_deleted { "object is being deleted: " } else { "" };
    let message = format!("{deleted}{} \"{name}\" already exists", kind.resource());
    error_status(409, "AlreadyExists", message, Some(details(name, &kind.group, &kind.plural)))
}

/// Conflict; `on` is the resource in the message.
pub(super) fn conflict(group: &str, on: &str, name: &str, why: &str) -> StatusError {
    let resource = super::kinds::qualified(on, group);
    let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
    error_status(409, "Conflict", message, Some(details(name, group, on)))
}

/// Object modified by another client.
pub(super) fn modified(kind: &ApiKind, name: &str) -> StatusError {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    conflict(&kind.group, &kind.plural, name, why)
}

/// Invalid options of a request.
pub(super) fn invalid_options(options: &str, causes: &[StatusCause]) -> StatusError {
    StatusError::invalid("meta.k8s.io", options, "", causes)
}

pub(super) fn unauthorized() -> StatusError {
    error_status(401, "Unauthorized", "Unauthorized", None)
}

/// User not permitted.
pub(super) fn forbidden(target: &RequestTarget, verb: &str, name: &str, user: &str) -> StatusError {
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
    error_status(403, "Forbidden", message, Some(details(name, &target.group, &target.plural)))
}

/// User not permitted to read a non-resource path.
pub(super) fn forbidden_path(verb: &str, path: &str, user: &str) -> StatusError {
    let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
    error_status(403, "Forbidden", message, Some(json!({})))
}

/// Namespace of a new object is terminating.
pub(super) fn terminating(kind: &ApiKind, name: &str, namespace: &str) -> StatusError {
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
    error_status(403, "Forbidden", message, Some(details))
}

/// Accepted media types not offered.
pub(super) fn not_acceptable(message: impl Into<String>, details: Option<Value>) -> StatusError {
    error_status(406, "NotAcceptable", message, details)
}

/// Media type of the body not supported.
pub(super) fn unsupported_media(accepted: &str) -> StatusError {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    error_status(415, "UnsupportedMediaType", message, None)
}

pub(super) fn too_large(limit: usize) -> StatusError {
    error_status(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"), None)
}

/// Resource version too old.
pub(super) fn expired(message: impl Into<String>) -> StatusError {
    error_status(410, "Expired", message, None)
}

/// Resource version in the future.
pub(super) fn too_new(wanted: u64, current: u64) -> StatusError {
    let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    let details = json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    });
    error_status(504, "Timeout", message, Some(details))
}

/// Webhook call failed.
pub(super) fn webhook_failed(message: &str) -> StatusError {
    let details = json!({"causes": [{"message": message}]});
    error_status(500, "InternalError", format!("Internal error occurred: {message}"), Some(details))
}

/// Injected failure with this status.
pub(super) fn injected(status: u16) -> StatusError {
    let (reason, message) = match status {
        410 => ("Expired", "The resourceVersion for the provided list is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    };
    let details = (status == 429).then(|| json!({"retryAfterSeconds": 1}));
    error_status(status, reason, message, details)
}
