//! A request and its answer.

use std::sync::Arc;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::Access;
use super::error::Failure;
use super::kinds::Kind;
use super::request::{Query, Target};
use super::store::{Store, Write};
use super::watch::Watch;

/// Longest body: more than any object may have.
const LONGEST: usize = 8 << 20;

pub(super) async fn respond(store: Arc<Store>, request: Request) -> Response {
    if let Some(status) = store.faults().meet().await {
        return Failure::Injected(status).into_response();
    }
    let (parts, body) = request.into_parts();
    let query = Query::parse(&parts.uri);
    let Some(target) = Target::parse(parts.uri.path()) else {
        return other(parts.uri.path());
    };
    let kind = match store.kind(&target) {
        Ok(kind) => kind,
        Err(failure) => return failure.into_response(),
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default();
    let is_new = || target.name.is_some() && store.read(&target).is_err();
    let is_apply_of_new = content_type.starts_with("application/apply-patch") && is_new();
    store.note(Access::of(&parts.method, &target, &query, is_apply_of_new));
    if query.is_set("sendInitialEvents") && !store.streams() {
        return Failure::Invalid("sendInitialEvents is forbidden for watch".to_owned()).into_response();
    }
    if parts.method == Method::GET && query.is_set("watch") {
        return Watch { store, target, kind, query }.respond();
    }
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return Failure::BadRequest("the body cannot be read".to_owned()).into_response();
    };
    if parts.method != Method::GET && store.fails_now() {
        return Failure::Broken.into_response();
    }
    let asked = Asked { store: &store, target: &target, kind: &kind, query: &query };
    match asked.answer(&parts.method, content_type, &body) {
        Ok((status, value)) => (status, Json(value)).into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// What is about no object.
fn other(path: &str) -> Response {
    match path {
        "/version" => Json(json!({
            "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        }))
        .into_response(),
        "/healthz" | "/readyz" | "/livez" => "ok".into_response(),
        path => Failure::NotFound(path.to_owned()).into_response(),
    }
}

struct Asked<'a> {
    store: &'a Store,
    target: &'a Target,
    kind: &'a Kind,
    query: &'a Query,
}

impl Asked<'_> {
    fn answer(
        &self,
        method: &Method,
        content_type: &str,
        body: &Bytes,
    ) -> Result<(StatusCode, Value), Failure> {
        let named = self.target.name.is_some();
        let ok = |value| Ok((StatusCode::OK, value));
        match (method.as_str(), named) {
            ("GET", true) => ok(self.store.read(self.target)?),
            ("GET", false) => ok(self.list()),
            ("POST", false) => Ok((StatusCode::CREATED, self.store.create(self.target, parse(body)?)?)),
            ("PUT", true) => ok(self.store.write(self.target, Write::Replace(parse(body)?))?),
            ("PATCH", true) => ok(self.store.write(self.target, self.patch(content_type, body)?)?),
            ("DELETE", true) => ok(self.store.delete(self.target)?),
            _ => Err(Failure::NotAllowed),
        }
    }

    fn list(&self) -> Value {
        let (mut items, version) = self.store.list(self.target);
        items.retain(|item| self.query.selects(item));
        json!({
            "apiVersion": self.target.api_version(),
            "kind": format!("{}List", self.kind.kind),
            "metadata": {"resourceVersion": version.to_string()},
            "items": items,
        })
    }

    /// What an apply makes is named in its body as well.
    fn named(&self, fields: &Value) -> Result<(), Failure> {
        let is_named = fields.pointer("/metadata/name").is_some_and(Value::is_string);
        if is_named || self.store.read(self.target).is_ok() {
            return Ok(());
        }
        let name = self.target.name.as_deref().unwrap_or_default();
        Err(Failure::BadRequest(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )))
    }

    fn patch(&self, content_type: &str, body: &Bytes) -> Result<Write<'_>, Failure> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind {
            // A strategic merge differs in lists only, which are replaced whole here.
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
                Ok(Write::Merge(parse(body)?))
            }
            "application/json-patch+json" => {
                let patch =
                    serde_json::from_slice(body).map_err(|error| Failure::BadRequest(error.to_string()))?;
                Ok(Write::Json(patch))
            }
            "application/apply-patch+yaml" => {
                let fields =
                    serde_saphyr::from_slice(body).map_err(|error| Failure::BadRequest(error.to_string()))?;
                let manager = self.query.get("fieldManager");
                let manager =
                    manager.ok_or_else(|| Failure::BadRequest("an apply needs a fieldManager".to_owned()))?;
                self.named(&fields)?;
                Ok(Write::Apply { manager, fields })
            }
            other => Err(Failure::BadRequest(format!("unknown kind of patch {other:?}"))),
        }
    }
}

fn parse(body: &Bytes) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::BadRequest(error.to_string()))
}
