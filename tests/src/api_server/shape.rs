//! How objects are stored, and how they are shown in the version that they are asked for in.

use serde_json::{Map, Value, json};

use super::form::Form;
use super::kinds::Kind;
use super::merge::Versions;

/// Names of an Event's fields: in `events.k8s.io/v1`, and in the core, as which it is stored.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("reportingController", "reportingComponent"),
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// An object as it is stored: without conversion, in the version of the kind that is for this.
pub(super) fn to_storage(kind: &Kind, mut object: Value) -> Value {
    if is_new_event(kind) {
        rename(&mut object, |(new, core)| (new, core));
        object["apiVersion"] = json!("v1");
    } else if let Some(stored) = kind.stored() {
        object["apiVersion"] = json!(kind.api_version(&stored.name));
    }
    object["kind"] = json!(kind.kind);
    object
}

/// A stored object as a version shows it.
pub(super) fn to_version(kind: &Kind, mut object: Value, version: &str) -> Value {
    if is_new_event(kind) {
        rename(&mut object, |(new, core)| (core, new));
    }
    object["apiVersion"] = json!(kind.api_version(version));
    object["kind"] = json!(kind.kind);
    match kind.version(version).and_then(|version| version.form.as_ref()) {
        Some(form) if kind.habits.is_custom => form.show(&mut object),
        _ if kind.plural == "events" => fill_event(&mut object, is_new_event(kind)),
        _ => {}
    }
    object
}

fn is_new_event(kind: &Kind) -> bool {
    kind.group == "events.k8s.io"
}

fn rename(event: &mut Value, pair: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    let Some(fields) = event.as_object_mut() else { return };
    for (from, to) in EVENT_FIELDS.map(pair) {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

/// Shows what Events hold without having been given it.
fn fill_event(event: &mut Value, is_new: bool) {
    let Some(fields) = event.as_object_mut() else { return };
    let mut set = |key: &str, value: Value| {
        fields.entry(key).or_insert(value);
    };
    set("eventTime", Value::Null);
    if is_new {
        set("regarding", json!({}));
        set("deprecatedSource", json!({}));
        set("deprecatedFirstTimestamp", Value::Null);
        set("deprecatedLastTimestamp", Value::Null);
        fields.retain(|key, value| key != "reportingController" || value != "");
        fields.retain(|key, value| key != "reportingInstance" || value != "");
    } else {
        set("involvedObject", json!({}));
        set("source", json!({}));
        set("firstTimestamp", Value::Null);
        set("lastTimestamp", Value::Null);
        set("reportingComponent", json!(""));
        set("reportingInstance", json!(""));
    }
}

/// The versions of a kind, for what is about fields of several.
pub(super) struct OfKind<'a>(pub(super) &'a Kind);

impl Versions for OfKind<'_> {
    fn form(&self, api_version: &str) -> Option<Form> {
        let version = api_version.rsplit('/').next()?;
        self.0.version(version)?.form.clone()
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String> {
        if object["apiVersion"] == api_version {
            return Ok(Some(object.clone()));
        }
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let is_own = self.0.api_version(version) == api_version;
        if self.0.version(version).is_none() || !is_own {
            return Ok(None);
        }
        let mut object = object.clone();
        object["apiVersion"] = json!(api_version);
        Ok(Some(object))
    }
}

/// Metadata alone, as `PartialObjectMetadata` shows it.
pub(super) fn partial(object: &Value) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}
