//! OpenAPI documents, as far as kubectl and helm read them: the options of a path, and the fields of a custom
//! kind.

use serde_json::{Map, Value, json};

use super::{Served, by_group, hash};
use crate::api_server::answer::ApiResponse;
use crate::api_server::error;
use crate::api_server::kinds::{ApiKind, KindRegistry, KindVersion};
use crate::api_server::status_error::StatusError;

const OPTIONS: [&str; 5] = ["dryRun", "fieldManager", "fieldValidation", "force", "pretty"];

pub(super) fn answer(
    kinds: &KindRegistry,
    path: &[&str],
    accepted: Option<&str>,
) -> Result<ApiResponse, StatusError> {
    let takes_json = accepted.is_none_or(|accepted| accepted.contains("json") || accepted.contains("*/*"));
    match path {
        ["v3"] => Ok(ApiResponse::Text(200, index(kinds).to_string())),
        ["v3", "api", version] => Ok(document(kinds, "", version)),
        ["v3", "apis", group, version] => Ok(document(kinds, group, version)),
        ["v2"] if takes_json => {
            let body = swagger(kinds);
            Ok(ApiResponse::Typed {
                content_type: "application/json",
                vary: Some("Accept-Encoding, Accept"),
                body,
            })
        }
        ["v2"] => {
            Err(error::not_acceptable("only the following media types are accepted: application/json", None))
        }
        _ => Ok(ApiResponse::no_page()),
    }
}

/// Returns the index of the documents.
fn index(kinds: &KindRegistry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in by_group(kinds) {
        for (version, served) in versions {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let names: String =
                served.iter().map(|(kind, version)| schema(kind, version).to_string()).collect();
            let url = format!("/openapi/v3/{path}?hash={}", hash(&names));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn document(kinds: &KindRegistry, group: &str, version: &str) -> ApiResponse {
    let served = by_group(kinds).remove(group).and_then(|mut versions| versions.remove(version));
    let Some(served) = served else { return ApiResponse::Bare(404) };
    let schemas: Map<String, Value> =
        served.iter().map(|(kind, version)| (name(kind, version), schema(kind, version))).collect();
    let body = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths(&served),
        "components": {"schemas": schemas},
    });
    ApiResponse::Typed { content_type: "application/json", vary: Some("Accept"), body }
}

fn swagger(kinds: &KindRegistry) -> Value {
    let served: Vec<Served> = by_group(kinds).into_values().flat_map(|v| v.into_values().flatten()).collect();
    let definitions: Map<String, Value> =
        served.iter().map(|(kind, version)| (name(kind, version), schema(kind, version))).collect();
    json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths(&served),
        "definitions": definitions,
    })
}

fn paths(served: &[Served]) -> Map<String, Value> {
    let mut paths = Map::new();
    for (kind, version) in served {
        let base = match kind.group.as_str() {
            "" => format!("/api/{}", version.name),
            group => format!("/apis/{group}/{}", version.name),
        };
        let all = format!("{base}/{}", kind.plural);
        let within = match kind.namespaced {
            true => format!("{base}/namespaces/{{namespace}}/{}", kind.plural),
            false => all.clone(),
        };
        let operations = |verbs: &[&str]| {
            let each = verbs.iter().map(|verb| ((*verb).to_owned(), operation(kind, version)));
            Value::Object(each.collect())
        };
        paths.insert(all, operations(&["get"]));
        paths.insert(within.clone(), operations(&["get", "post", "delete"]));
        paths.insert(format!("{within}/{{name}}"), operations(&["get", "put", "patch", "delete"]));
        if version.has_status {
            paths.insert(format!("{within}/{{name}}/status"), operations(&["get", "put", "patch"]));
        }
    }
    paths
}

fn operation(kind: &ApiKind, version: &KindVersion) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    json!({
        "parameters": OPTIONS.map(parameter),
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": kind_of(kind, version),
    })
}

fn kind_of(kind: &ApiKind, version: &KindVersion) -> Value {
    json!({"group": kind.group, "version": version.name, "kind": kind.kind})
}

fn name(kind: &ApiKind, version: &KindVersion) -> String {
    let group = kind.group.rsplit('.').collect::<Vec<_>>().join(".");
    let group = if group.is_empty() { "io.k8s.api.core".to_owned() } else { group };
    format!("{group}.{}.{}", version.name, kind.kind)
}

/// Returns the schema of a definition; for other kinds, one that allows all fields.
fn schema(kind: &ApiKind, version: &KindVersion) -> Value {
    let mut schema = version
        .schema
        .clone()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let texts = ["apiVersion", "kind"].map(|field| (field, json!({"type": "string"})));
    for (field, of) in texts.into_iter().chain([("metadata", json!({"type": "object"}))]) {
        schema["properties"][field] = of;
    }
    schema["x-kubernetes-group-version-kind"] = json!([kind_of(kind, version)]);
    schema
}
