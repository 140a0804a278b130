//! The request handler: authentication, routing and content negotiation.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;

use super::access::Access;
use super::answer::{ApiResponse, encode};
use super::call::Call;
use super::discovery;
use super::error;
use super::exec;
use super::kinds::ApiKind;
use super::negotiate::{AcceptedMedia, accept};
use super::rbac::AccessRequest;
use super::request::{Query, RequestTarget};
use super::status_error::StatusError;
use super::store::ObjectStore;
use super::users::User;
use super::watch::ServerWatch;

/// Longest body.
const LONGEST: usize = 3 << 20;

pub(super) async fn respond(store: Arc<ObjectStore>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut warnings = Vec::new();
    let answer = match store.faults().apply_fault().await {
        Some(status) => Err(error::injected(status)),
        None => answer(&store, &parts, body, &mut warnings).await,
    };
    encode(answer, &warnings, &parts.headers, &parts.method)
}

async fn answer(
    store: &Arc<ObjectStore>,
    parts: &Parts,
    body: Body,
    warnings: &mut Vec<String>,
) -> Result<ApiResponse, StatusError> {
    let path = parts.uri.path();
    let user = store.users().authenticate(&parts.headers).ok_or_else(error::unauthorized)?;
    let query = Query::parse(&parts.uri);
    let Some(target) = RequestTarget::parse(path) else {
        return other(store, &user, parts, &query);
    };
    let verb = verb(&parts.method, &target, &query);
    authorize(store, &user, verb, &target, &query)?;
    if exec::is_exec(&target) {
        return exec::answer(store, parts, &target);
    }
    if let Some(answer) = super::reviews::answer(store, &user, parts, &target) {
        return answer(body).await;
    }
    let Some(kind) = store.kind(&target.group, &target.plural) else {
        return no_kind(store, &target);
    };
    let Some(version) = kind.version(&target.version).cloned() else {
        return if kind.traits.is_custom { Ok(ApiResponse::no_page()) } else { Err(error::no_route()) };
    };
    warnings.extend(version.deprecated.clone());
    if let Some(answer) = route(&kind, &version, parts, &target, verb) {
        return answer;
    }
    let expected = AcceptedMedia::for_objects(accept(&parts.headers), kind.traits.is_custom)?;
    note(store, verb, &target, parts);
    if verb == "watch" {
        return ServerWatch::begin(store, kind, target, &query, &parts.headers).map(ApiResponse::Stream);
    }
    if parts.method != Method::GET && store.fails_now() {
        return Err(error::injected(500));
    }
    let body = read(&parts.headers, body).await?;
    let (headers, body) = super::protobuf::as_json(&parts.headers, body);
    let call = Call::new(Arc::clone(store), user, kind, version, target, query, headers);
    let result = call.run(&parts.method, body).await;
    warnings.extend(call.take_warnings());
    let (status, object) = result?;
    call.view(expected, object).map(|object| ApiResponse::Object(status, object))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, StatusError> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > LONGEST) {
        // Read the whole body, or the client does not receive the response.
        let _: Result<Bytes, axum::Error> = to_bytes(body, LONGEST << 2).await;
        return Err(error::too_large(LONGEST));
    }
    to_bytes(body, LONGEST).await.map_err(|_| error::too_large(LONGEST))
}

/// Returns the verb of a request.
fn verb(method: &Method, target: &RequestTarget, query: &Query) -> &'static str {
    match (method.as_str(), target.name.is_some()) {
        // Also by GET, as a WebSocket is opened: a user that may only read runs no commands.
        _ if exec::is_exec(target) => "create",
        ("GET" | "HEAD", _) if target.is_watch || query.is_set("watch") && target.subresource.is_none() => {
            "watch"
        }
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        ("POST", _) => "create",
        _ => "",
    }
}

fn authorize(
    store: &ObjectStore,
    user: &User,
    verb: &str,
    target: &RequestTarget,
    query: &Query,
) -> Result<(), StatusError> {
    let selected = query.get("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name="));
    let name = target.name.as_deref().or(selected.filter(|_| matches!(verb, "list" | "watch")));
    let resource = match &target.subresource {
        Some(subresource) => format!("{}/{subresource}", target.plural),
        None => target.plural.clone(),
    };
    // A namespace object counts as in its own namespace.
    let namespace = match (&target.namespace, &target.name) {
        (Some(namespace), _) => namespace,
        (None, Some(name)) if target.plural == "namespaces" && target.group.is_empty() => name,
        _ => "",
    };
    let name = name.unwrap_or_default();
    let access = AccessRequest { verb, group: &target.group, resource: &resource, namespace, name };
    let is_allowed = user.may(&store.lock(), &access).is_some();
    if is_allowed { Ok(()) } else { Err(error::forbidden(target, verb, name, &user.name)) }
}

/// Records the permissions that a request needs.
fn note(store: &ObjectStore, verb: &'static str, target: &RequestTarget, parts: &Parts) {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_apply = content_type.is_some_and(|kind| kind.starts_with("application/apply-patch"));
    let is_new = || {
        let kind = store.kind(&target.group, &target.plural);
        kind.is_some_and(|kind| store.object(&super::store::key_of(&kind, target)).is_none())
    };
    store.note(Access::of(verb, target, is_apply && target.name.is_some() && is_new()));
}

/// Returns the error for an unknown kind.
fn no_kind(store: &ObjectStore, target: &RequestTarget) -> Result<ApiResponse, StatusError> {
    let inner = store.lock();
    let mut built_in = inner.kinds.all().filter(|kind| !kind.traits.is_custom);
    if target.group.is_empty() || built_in.any(|kind| kind.group == target.group) {
        return Err(error::no_route());
    }
    Ok(ApiResponse::no_page())
}

/// Checks that the path supports the method.
fn route(
    kind: &ApiKind,
    version: &super::kinds::KindVersion,
    parts: &Parts,
    target: &RequestTarget,
    verb: &str,
) -> Option<Result<ApiResponse, StatusError>> {
    let has_scope = target.namespace.is_some() == kind.namespaced;
    let reads_all = !kind.namespaced || target.name.is_none() && matches!(verb, "list" | "watch");
    let subresource = target.subresource.as_deref();
    let is_status = subresource == Some("status") && version.has_status;
    if kind.traits.is_custom {
        let refused = match (target.name.as_deref(), subresource) {
            _ if !(has_scope || reads_all && kind.namespaced) => return Some(Ok(ApiResponse::no_page())),
            _ if verb.is_empty() => error::not_supported(kind, ""),
            (Some(name), Some(_)) if !is_status => error::not_found(kind, name),
            (_, Some(_)) if !matches!(verb, "get" | "update" | "patch") => error::not_supported(kind, verb),
            (None, _) if matches!(verb, "update" | "patch") => {
                StatusError::bad_request("name must be provided")
            }
            _ => return None,
        };
        return Some(Err(refused));
    }
    let is_known = match subresource {
        None => true,
        Some("finalize") => kind.kind == "Namespace",
        Some(_) => is_status,
    };
    if !target.is_regular && !parts.uri.path().ends_with('/')
        || !is_known
        || (!has_scope && !reads_all && target.name.is_some())
    {
        return Some(Err(error::no_route()));
    }
    let is_allowed = match (parts.method.as_str(), target.name.is_some(), subresource.is_some()) {
        ("GET" | "HEAD", ..) => true,
        ("PUT" | "PATCH", true, _) => true,
        ("DELETE", true, false) => true,
        ("POST", false, false) => has_scope,
        ("DELETE", false, false) => has_scope && !kind.traits.has_no_collection,
        _ => false,
    };
    (!is_allowed).then(|| Err(error::no_method()))
}

/// Answers a request that is not for objects.
fn other(store: &ObjectStore, user: &User, parts: &Parts, query: &Query) -> Result<ApiResponse, StatusError> {
    let path = parts.uri.path();
    let verb = match parts.method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "options",
    };
    if !user.may_see(path) {
        return Err(error::forbidden_path(verb, path, &user.name));
    }
    discovery::answer(store, parts, query)
}
