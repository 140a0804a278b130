//! The `Table` view of objects.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::conversion;
use super::kinds::{ApiKind, KindVersion};
use super::objects::text;
use super::request::Query;
use super::status_error::StatusError;

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
    resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
    intended for creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It \
    is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. \
    It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More \
    info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// A column and its cells.
struct Column {
    definition: Value,
    cell: Box<dyn Fn(&Value) -> Value>,
}

/// Returns the table of an object or a list.
pub(super) fn of(
    kind: &ApiKind,
    version: &KindVersion,
    query: &Query,
    object: &Value,
    is_list: bool,
    has_columns: bool,
) -> Result<Value, StatusError> {
    let included = query.get("includeObject").unwrap_or("Metadata");
    if !["None", "Metadata", "Object"].contains(&included) {
        return Err(StatusError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {included:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        )));
    }
    let is_bookmark = !is_list && text(object, "/metadata/name").is_empty();
    let objects: &[Value] = match object["items"].as_array() {
        Some(items) if is_list => items,
        _ if is_bookmark => &[],
        _ => std::slice::from_ref(object),
    };
    let columns = columns(kind, version);
    let row = |object: &Value| {
        let shown = match included {
            "None" => Value::Null,
            "Object" => object.clone(),
            _ => conversion::partial(object),
        };
        json!({"cells": columns.iter().map(|column| (column.cell)(object)).collect::<Vec<_>>(), "object": shown})
    };
    let mut metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    for field in ["continue", "remainingItemCount", "annotations"] {
        let value = object["metadata"].get(field).filter(|value| **value != "" && (is_list || is_bookmark));
        if let Some(value) = value {
            metadata[field] = value.clone();
        }
    }
    let definitions = columns.iter().map(|column| column.definition.clone()).collect::<Vec<_>>();
    Ok(json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": if has_columns { json!(definitions) } else { Value::Null },
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    }))
}

fn column(name: &str, kind: &str, cell: impl Fn(&Value) -> Value + 'static) -> Column {
    let definition = json!({"name": name, "type": kind, "format": "", "description": "", "priority": 0});
    Column { definition, cell: Box::new(cell) }
}

fn columns(kind: &ApiKind, version: &KindVersion) -> Vec<Column> {
    let mut columns = vec![column("Name", "string", |object| object["metadata"]["name"].clone())];
    columns[0].definition["format"] = json!("name");
    columns[0].definition["description"] = json!(NAME);
    if !kind.traits.is_custom {
        columns.extend(built_in(kind));
    }
    columns.extend(version.columns.iter().map(custom));
    if columns.len() == 1 && kind.traits.is_custom {
        columns
            .push(custom(&json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})));
        columns[1].definition["description"] = json!(CREATED);
    } else if columns.len() == 1 {
        columns.push(created());
    }
    columns
}

fn created() -> Column {
    let mut created = column("Created At", "date", |object| object["metadata"]["creationTimestamp"].clone());
    created.definition["description"] = json!(CREATED);
    created
}

/// Returns a column of a definition.
fn custom(given: &Value) -> Column {
    let (kind, path) = (text(given, "/type").to_owned(), text(given, "/jsonPath").to_owned());
    let description = match text(given, "/description") {
        "" => format!("Custom resource definition column (in JSONPath format): {path}"),
        own => own.to_owned(),
    };
    let definition = json!({
        "name": given["name"], "type": kind, "format": text(given, "/format"), "description": description,
        "priority": given.get("priority").cloned().unwrap_or(json!(0)),
    });
    let cell = move |object: &Value| match (kind.as_str(), find(object, &path)) {
        (_, None | Some(Value::Null)) => Value::Null,
        ("date", Some(time)) => json!(age(&time)),
        ("string", Some(Value::String(text))) => json!(text),
        ("string", Some(other)) => json!(other.to_string()),
        (_, Some(other)) => other,
    };
    Column { definition, cell: Box::new(cell) }
}

/// Resolves a column's path: fields, indices of items, and items selected by a field's value.
fn find(object: &Value, path: &str) -> Option<Value> {
    let mut found = object.clone();
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']')?;
            found = match inside.strip_prefix("?(@.").and_then(|test| test.strip_suffix(')')) {
                Some(test) => {
                    let (field, value) = test.split_once("==")?;
                    let value = value.trim_matches(['"', '\'']);
                    found.as_array()?.iter().find(|item| item[field] == value)?.clone()
                }
                None => found.get(inside.parse::<usize>().ok()?)?.clone(),
            };
            rest = after.trim_start_matches('.');
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            found = found.get(&rest[..end])?.clone();
            rest = rest[end..].trim_start_matches('.');
        }
    }
    Some(found)
}

/// Formats the age of a time.
fn age(time: &Value) -> String {
    let then = time.as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let seconds = then.map_or(0, |then| Timestamp::now().as_second() - then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn own_age(object: &Value) -> Value {
    json!(age(&object["metadata"]["creationTimestamp"]))
}

fn of_field(name: &str, pointer: &'static str) -> Column {
    column(name, "string", move |object| json!(text(object, pointer)))
}

/// Returns the columns after the name of built-in kinds.
fn built_in(kind: &ApiKind) -> Vec<Column> {
    let age = || column("Age", "string", own_age);
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "services") => services(),
        ("", "namespaces") => vec![of_field("Status", "/status/phase"), age()],
        ("", "nodes") => vec![
            column("Status", "string", |node| json!(node_status(node))),
            column("Roles", "string", |_| json!("<none>")),
            age(),
            of_field("Version", "/status/nodeInfo/kubeletVersion"),
        ],
        ("", "configmaps") => vec![column("Data", "string", count_data), age()],
        ("", "secrets") => vec![of_field("Type", "/type"), column("Data", "string", count_data), age()],
        ("coordination.k8s.io", "leases") => vec![of_field("Holder", "/spec/holderIdentity"), age()],
        ("apiextensions.k8s.io", _) | ("rbac.authorization.k8s.io", "roles" | "clusterroles") => {
            vec![created()]
        }
        ("events.k8s.io" | "", "events") => vec![
            column("Last Seen", "string", own_age),
            of_field("Type", "/type"),
            of_field("Reason", "/reason"),
            column("Object", "string", |event| json!(about(event))),
            column("Message", "string", |event| {
                json!(format!("{}{}", text(event, "/message"), text(event, "/note")))
            }),
        ],
        _ => vec![age()],
    }
}

fn services() -> Vec<Column> {
    let ports = |service: &Value| {
        let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
        let port = |port: &Value| {
            let node = port.get("nodePort").filter(|node| **node != 0).map(|node| format!(":{node}"));
            format!("{}{}/{}", port["port"], node.unwrap_or_default(), text(port, "/protocol"))
        };
        json!(ports.map(port).collect::<Vec<_>>().join(","))
    };
    let selector = |service: &Value| {
        let pairs = service.pointer("/spec/selector").and_then(Value::as_object);
        let pairs = pairs
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
        let pairs = pairs.collect::<Vec<_>>().join(",");
        json!(if pairs.is_empty() { "<none>".to_owned() } else { pairs })
    };
    let mut selector = column("Selector", "string", selector);
    selector.definition["priority"] = json!(1);
    vec![
        of_field("Type", "/spec/type"),
        of_field("Cluster-IP", "/spec/clusterIP"),
        column("External-IP", "string", |service| json!(external(service))),
        column("Port(s)", "string", ports),
        column("Age", "string", own_age),
        selector,
    ]
}

fn external(service: &Value) -> String {
    let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    let balanced = ingress.into_iter().flatten().map(|one| {
        let ip = text(one, "/ip");
        if ip.is_empty() { text(one, "/hostname") } else { ip }
    });
    let balanced = balanced.map(str::to_owned);
    let given = service.pointer("/spec/externalIPs").and_then(Value::as_array);
    let given = given.into_iter().flatten().filter_map(|ip| ip.as_str().map(str::to_owned));
    let all: Vec<String> = match text(service, "/spec/type") {
        "LoadBalancer" => balanced.chain(given).collect(),
        "ExternalName" => vec![text(service, "/spec/externalName").to_owned()],
        _ => given.collect(),
    };
    match (all.is_empty(), text(service, "/spec/type")) {
        (true, "LoadBalancer") => "<pending>".to_owned(),
        (true, _) => "<none>".to_owned(),
        (false, _) => all.join(","),
    }
}

fn count_data(object: &Value) -> Value {
    let count = |field: &str| object.get(field).and_then(Value::as_object).map_or(0, |data| data.len());
    json!(count("data") + count("binaryData"))
}

fn node_status(node: &Value) -> String {
    let ready = find(node, ".status.conditions[?(@.type==\"Ready\")].status");
    let ready = match ready.as_ref().and_then(Value::as_str) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let is_cordoned = node.pointer("/spec/unschedulable") == Some(&json!(true));
    format!("{ready}{}", if is_cordoned { ",SchedulingDisabled" } else { "" })
}

fn about(event: &Value) -> String {
    let object = event.get("involvedObject").or_else(|| event.get("regarding")).unwrap_or(&Value::Null);
    format!("{}/{}", text(object, "/kind").to_lowercase(), text(object, "/name"))
}
