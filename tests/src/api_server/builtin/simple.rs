//! Defaults and validation of simple kinds: Leases, Secrets, ConfigMaps, Namespaces, Nodes, EndpointSlices.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::address::{address, special};
use crate::api_server::objects::set;
use crate::api_server::status_error::StatusCause;

const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Maximum size of the values of a Secret or ConfigMap.
const MOST_DATA: usize = 1 << 20;

/// Sets defaults of a Secret; moves `stringData` to `data`.
pub(super) fn default_secret(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else { return };
    if fields.get("type").is_none_or(|kind| *kind == "") {
        fields.insert("type".to_owned(), json!("Opaque"));
    }
    if let Some(Value::Object(texts)) = fields.remove("stringData") {
        let data = fields.entry("data").or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                let bytes = STANDARD.encode(text.as_str().unwrap_or_default());
                data.insert(key, json!(bytes));
            }
        }
    }
}

/// Validates a Secret.
pub(super) fn check_secret(secret: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    check_keys(&secret["data"], "data", &mut causes);
    let bytes =
        |text: &Value| STANDARD.decode(text.as_str().unwrap_or_default()).map_or(0, |bytes| bytes.len());
    let size: usize = secret["data"].as_object().into_iter().flatten().map(|(_, text)| bytes(text)).sum();
    if size > MOST_DATA {
        causes.push(StatusCause::too_long("data", MOST_DATA));
    }
    if secret["type"] == "kubernetes.io/tls" {
        for key in ["tls.crt", "tls.key"] {
            if secret["data"].get(key).is_none() {
                causes.push(StatusCause::required(format!("data[{key}]"), ""));
            }
        }
    }
    if let Some(old) = old {
        if secret["type"] != old["type"] {
            causes.push(StatusCause::invalid("type", &secret["type"], "field is immutable"));
        }
        check_immutable(secret, old, &["data"], &mut causes);
    }
    causes
}

/// Validates a ConfigMap.
pub(super) fn check_config_map(map: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for field in ["data", "binaryData"] {
        check_keys(&map[field], field, &mut causes);
        let values = map[field].as_object().into_iter().flatten();
        size += values.map(|(_, text)| text.as_str().map_or(0, str::len)).sum::<usize>();
    }
    if size > MOST_DATA {
        causes.push(StatusCause::too_long("[]", MOST_DATA));
    }
    if let Some(old) = old {
        check_immutable(map, old, &["data", "binaryData"], &mut causes);
    }
    causes
}

fn check_keys(data: &Value, field: &str, causes: &mut Vec<StatusCause>) {
    const WORDS: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    for key in data.as_object().into_iter().flatten().map(|(key, _)| key) {
        if key.is_empty() || !key.bytes().all(fits) {
            causes.push(StatusCause::invalid(format!("{field}[{key}]"), &json!(key), WORDS));
        }
    }
}

fn check_immutable(new: &Value, old: &Value, fields: &[&str], causes: &mut Vec<StatusCause>) {
    let words = "field is immutable when `immutable` is set";
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        causes.push(StatusCause::forbidden("immutable", words));
    }
    for field in fields {
        if new.get(*field) != old.get(*field) {
            causes.push(StatusCause::forbidden(*field, words));
        }
    }
}

/// Returns warnings about a Secret.
pub(super) fn warn_secret(secret: &Value) -> Vec<String> {
    if secret["type"] != "kubernetes.io/tls" {
        return Vec::new();
    }
    let text = secret["data"]["tls.crt"].as_str().unwrap_or_default();
    let certificate = STANDARD.decode(text).unwrap_or_default();
    if String::from_utf8_lossy(&certificate).contains("-----BEGIN") {
        return Vec::new();
    }
    vec!["tls: failed to find any PEM data in certificate input".to_owned()]
}

/// Validates a Lease.
pub(super) fn check_lease(lease: &Value) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    let spec = &lease["spec"];
    let seconds = &spec["leaseDurationSeconds"];
    if seconds.as_i64().is_some_and(|seconds| seconds <= 0) {
        causes.push(StatusCause::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    let transitions = &spec["leaseTransitions"];
    if transitions.as_i64().is_some_and(|transitions| transitions < 0) {
        let words = "must be greater than or equal to 0";
        causes.push(StatusCause::invalid("spec.leaseTransitions", transitions, words));
    }
    causes
}

/// Drops a Lease's fields of a disabled feature.
pub(super) fn prepare_lease(lease: &mut Value) {
    if let Some(spec) = lease.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("strategy");
        spec.remove("preferredHolder");
    }
}

/// Sets a Namespace's label with its name.
pub(super) fn default_namespace(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].clone();
    if name.is_string() && !namespace["metadata"]["labels"].is_object() {
        namespace["metadata"]["labels"] = json!({});
    }
    if name.is_string() {
        namespace["metadata"]["labels"][NAME_LABEL] = name;
    }
}

/// Sets a Namespace's finalizers.
pub(super) fn prepare_namespace(namespace: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    if subresource.is_some() {
        return;
    }
    match old {
        None => {
            let finalizers = namespace["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
            let others = finalizers.into_iter().filter(|finalizer| *finalizer != "kubernetes");
            let all: Vec<Value> = others.chain([json!("kubernetes")]).collect();
            namespace["spec"] = json!({"finalizers": all});
            namespace["status"] = json!({"phase": "Active"});
        }
        Some(old) => {
            let finalizers = old["spec"].get("finalizers").cloned();
            if let Some(spec) = namespace.pointer_mut("/spec").and_then(Value::as_object_mut) {
                set(spec, "finalizers", finalizers);
            }
        }
    }
}

/// Synchronizes a Node's `podCIDR` with `podCIDRs`.
pub(super) fn default_node(node: &mut Value) {
    let Some(spec) = node.pointer_mut("/spec").and_then(Value::as_object_mut) else { return };
    let first = spec.get("podCIDR").cloned();
    match (first, spec.get_mut("podCIDRs").and_then(Value::as_array_mut)) {
        (Some(first), None) => {
            spec.insert("podCIDRs".to_owned(), json!([first]));
        }
        (Some(first), Some(all)) => {
            if let Some(place) = all.first_mut() {
                *place = first;
            }
        }
        (None, _) => {}
    }
}

/// Taints a new Node as not ready.
pub(super) fn prepare_node(node: &mut Value, old: Option<&Value>) {
    const TAINT: &str = "node.kubernetes.io/not-ready";
    if old.is_some() {
        return;
    }
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    if !taints.iter().any(|taint| taint["key"] == TAINT) {
        taints.push(json!({"key": TAINT, "effect": "NoSchedule"}));
    }
    node["spec"]["taints"] = json!(taints);
}

/// Validates a Node.
pub(super) fn check_node(node: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let Some(old) = old else { return Vec::new() };
    let (all, before) = (&node["spec"]["podCIDRs"], &old["spec"]["podCIDRs"]);
    if before.is_array() && all != before {
        let words = "node updates may not change podCIDR except from \"\" to valid";
        return vec![StatusCause::forbidden("spec.podCIDRs", words)];
    }
    Vec::new()
}

/// Sets defaults of an EndpointSlice.
pub(super) fn default_slice(slice: &mut Value) {
    for port in slice
        .pointer_mut("/ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        port.entry("name").or_insert_with(|| json!(""));
        port.entry("protocol").or_insert_with(|| json!("TCP"));
    }
}

/// Validates an EndpointSlice.
pub(super) fn check_slice(slice: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    let kind = slice["addressType"].as_str().unwrap_or_default();
    let types = ["FQDN", "IPv4", "IPv6"];
    if kind.is_empty() {
        causes.push(StatusCause::required("addressType", ""));
    } else if !types.contains(&kind) {
        causes.push(StatusCause::not_supported("addressType", &slice["addressType"], &types));
    }
    if old.is_some_and(|old| old["addressType"] != slice["addressType"]) {
        causes.push(StatusCause::invalid("addressType", &slice["addressType"], "field is immutable"));
        return causes;
    }
    for (number, endpoint) in slice["endpoints"].as_array().into_iter().flatten().enumerate() {
        check_endpoint(kind, endpoint, &format!("endpoints[{number}].addresses"), &mut causes);
    }
    for (number, port) in slice["ports"].as_array().into_iter().flatten().enumerate() {
        let protocols = ["SCTP", "TCP", "UDP"];
        if !protocols.iter().any(|known| port["protocol"] == *known) {
            let place = format!("ports[{number}].protocol");
            causes.push(StatusCause::not_supported(place, &port["protocol"], &protocols));
        }
    }
    causes
}

fn check_endpoint(kind: &str, endpoint: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let addresses = endpoint["addresses"].as_array().map_or(&[][..], Vec::as_slice);
    if addresses.is_empty() {
        causes.push(StatusCause::required(place, "must contain at least 1 address"));
    }
    for (number, value) in addresses.iter().enumerate().filter(|_| kind != "FQDN") {
        let text = value.as_str().unwrap_or_default();
        let item = format!("{place}[{number}]");
        match (kind, text.parse::<IpAddr>()) {
            (_, Err(_)) => causes.extend(address(text).map(|words| StatusCause::invalid(item, value, words))),
            ("IPv4", Ok(IpAddr::V6(_))) => {
                causes.push(StatusCause::invalid(place, value, "must be an IPv4 address"));
            }
            ("IPv6", Ok(IpAddr::V4(_))) => {
                causes.push(StatusCause::invalid(place, value, "must be an IPv6 address"));
            }
            (_, Ok(address)) => {
                causes.extend(special(address).map(|words| StatusCause::invalid(item, value, words)))
            }
        }
    }
}

/// Increments the generation if fields other than the metadata and `apart` have changed.
pub(super) fn count_generation(new: &mut Value, old: Option<&Value>, apart: &[&str]) {
    let content = |object: &Value| {
        let mut content: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
        content.remove("metadata");
        apart.iter().for_each(|field| {
            content.remove(*field);
        });
        content
    };
    let last = |old: &Value| old["metadata"]["generation"].as_i64().unwrap_or_default();
    let generation = old.map_or(1, |old| last(old) + i64::from(content(old) != content(new)));
    if new["metadata"].is_object() {
        new["metadata"]["generation"] = json!(generation);
    }
}
