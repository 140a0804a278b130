//! Discovery: the server's version, health, kinds and schemas.

mod openapi;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::request::Parts;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::answer::ApiResponse;
use super::error;
use super::kinds::{ApiKind, KindRegistry, KindVersion};
use super::negotiate::{AcceptedMedia, ObjectView, accept, refuse_type};
use super::request::Query;
use super::status_error::StatusError;
use super::store::ObjectStore;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Order of verbs, of built-in kinds and of custom kinds.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// Answers a request that is not for objects.
pub(super) fn answer(store: &ObjectStore, parts: &Parts, _query: &Query) -> Result<ApiResponse, StatusError> {
    let path = parts.uri.path().trim_end_matches('/');
    let accepted = accept(&parts.headers);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is_get = parts.method == "GET" || parts.method == "HEAD";
    let inner = store.lock();
    let kinds = &inner.kinds;
    match segments.as_slice() {
        ["version"] if !is_get => Err(error::no_method()),
        ["version"] => {
            let takes_json =
                |accepted: &str| ["json", "*/*", "application/*"].iter().any(|t| accepted.contains(t));
            if accepted.is_some_and(|accepted| !takes_json(accepted)) {
                return Err(refuse_type("application/json"));
            }
            Ok(ApiResponse::Object(200, version()))
        }
        ["healthz" | "readyz" | "livez"] | ["healthz" | "readyz" | "livez", "ping" | "etcd"] => {
            Ok(ApiResponse::Text(200, "ok".to_owned()))
        }
        [] | [""] => Ok(ApiResponse::Object(
            200,
            json!({"paths": ["/api", "/apis", "/healthz", "/openapi", "/version"]}),
        )),
        ["api"] => groups(kinds, accepted, true),
        ["apis"] => groups(kinds, accepted, false),
        ["api", version] => match resources(kinds, "", version) {
            Some(list) => Ok(ApiResponse::Object(200, list)),
            None => Err(error::no_route()),
        },
        ["apis", group] => Ok(match group_of(kinds, group) {
            Some(found) => ApiResponse::Object(200, with_type(found)),
            None => ApiResponse::no_page(),
        }),
        ["apis", group, version] => Ok(resources(kinds, group, version)
            .map_or_else(ApiResponse::no_page, |list| ApiResponse::Object(200, list))),
        ["api", ..] => Err(error::no_route()),
        ["openapi", rest @ ..] => openapi::answer(kinds, rest, accepted),
        _ => Ok(ApiResponse::no_page()),
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35", "gitVersion": "v1.36.2", "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "gc",
        "platform": "linux/amd64",
    })
}

fn groups(kinds: &KindRegistry, accepted: Option<&str>, is_core: bool) -> Result<ApiResponse, StatusError> {
    if AcceptedMedia::for_discovery(accepted)?.view == ObjectView::Groups {
        let body = aggregated(kinds, is_core);
        return Ok(ApiResponse::Typed { content_type: AGGREGATED, vary: Some("Accept"), body });
    }
    let body = if is_core {
        json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    } else {
        let groups = by_group(kinds).into_keys().filter(|group| !group.is_empty());
        let groups: Vec<Value> = groups.filter_map(|group| group_of(kinds, &group)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    };
    Ok(ApiResponse::Object(200, body))
}

/// A kind and a version that it is served in.
type Served = (Arc<ApiKind>, KindVersion);

fn by_group(kinds: &KindRegistry) -> BTreeMap<String, BTreeMap<String, Vec<Served>>> {
    let mut groups: BTreeMap<String, BTreeMap<String, Vec<Served>>> = BTreeMap::new();
    for kind in kinds.all() {
        for version in kind.versions.iter().filter(|version| version.served) {
            let versions = groups.entry(kind.group.clone()).or_default();
            versions.entry(version.name.clone()).or_default().push((Arc::clone(kind), version.clone()));
        }
    }
    for kinds in groups.values_mut().flat_map(BTreeMap::values_mut) {
        kinds.sort_by(|one, other| one.0.plural.cmp(&other.0.plural));
    }
    groups
}

/// Returns the versions of a group by priority: stable before beta and alpha, later before earlier.
fn versions(kinds: &KindRegistry, group: &str) -> Vec<String> {
    let mut versions: Vec<String> = by_group(kinds).remove(group).unwrap_or_default().into_keys().collect();
    let rank = |version: &String| {
        let stage = if version.contains("alpha") { 0 } else { 1 + u8::from(!version.contains("beta")) };
        let numbers =
            version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u32>().ok());
        (stage, numbers.collect::<Vec<_>>())
    };
    versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
    versions
}

fn group_of(kinds: &KindRegistry, group: &str) -> Option<Value> {
    let named = |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<Value> = versions(kinds, group).iter().map(named).collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": group, "versions": versions, "preferredVersion": preferred}))
}

fn with_type(mut group: Value) -> Value {
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    group
}

fn verbs(kind: &ApiKind) -> Vec<&'static str> {
    let all = if kind.traits.is_custom { CUSTOM_VERBS } else { VERBS };
    all.into_iter().filter(|verb| *verb != "deletecollection" || !kind.traits.has_no_collection).collect()
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Returns the kinds of a version.
fn resources(kinds: &KindRegistry, group: &str, version: &str) -> Option<Value> {
    let served = by_group(kinds).remove(group)?.remove(version)?;
    let mut resources = Vec::new();
    for (kind, version) in &served {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": verbs(kind), "storageVersionHash": &hash(&kind.resource())[..11],
        });
        set_list(&mut resource, "shortNames", &kind.short_names);
        set_list(&mut resource, "categories", &kind.categories);
        resources.push(resource);
        if version.has_status {
            resources.push(json!({
                "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": STATUS_VERBS,
            }));
        }
        if kind.plural == "serviceaccounts" {
            resources.push(json!({
                "name": "serviceaccounts/token", "singularName": "", "namespaced": true,
                "group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest", "verbs": ["create"],
            }));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    Some(list)
}

fn set_list(object: &mut Value, field: &str, list: &[String]) {
    if !list.is_empty() {
        object[field] = json!(list);
    }
}

/// Returns all groups with all their kinds at once.
fn aggregated(kinds: &KindRegistry, is_core: bool) -> Value {
    let mut by_group = by_group(kinds);
    by_group.retain(|group, _| group.is_empty() == is_core);
    let mut items = Vec::new();
    for (group, mut of_group) in by_group {
        let entries = versions(kinds, &group).into_iter().map(|version| {
            let served = of_group.remove(&version).unwrap_or_default();
            let resources: Vec<Value> = served.iter().map(|(kind, version)| entry(kind, version)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        });
        let entries: Vec<Value> = entries.collect();
        let metadata = if group.is_empty() { Value::Object(Map::new()) } else { json!({"name": group}) };
        items.push(json!({"metadata": metadata, "versions": entries}));
    }
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn entry(kind: &ApiKind, version: &KindVersion) -> Value {
    // Built-in kinds inherit the enclosing group and version.
    let (group, named) =
        if kind.traits.is_custom { (kind.group.as_str(), version.name.as_str()) } else { ("", "") };
    let response = json!({"group": group, "version": named, "kind": kind.kind});
    let mut entry = json!({
        "resource": kind.plural, "responseKind": response, "verbs": verbs(kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.singular,
    });
    set_list(&mut entry, "shortNames", &kind.short_names);
    set_list(&mut entry, "categories", &kind.categories);
    let mut subresources = Vec::new();
    if version.has_status {
        subresources.push(json!({"subresource": "status", "responseKind": response, "verbs": STATUS_VERBS}));
    }
    if kind.plural == "serviceaccounts" {
        let token = json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"});
        subresources.push(json!({"subresource": "token", "responseKind": token, "verbs": ["create"]}));
    }
    if !subresources.is_empty() {
        entry["subresources"] = json!(subresources);
    }
    entry
}
