//! How objects are stored, and how they are shown in the version that they are asked for in.

use serde_json::{Map, Value, json};

use super::builtin;
use super::form::Form;
use super::kinds::Kind;
use super::merge::Versions;

/// An object as it is stored: without conversion, in the version of the kind that is for this.
pub(super) fn to_storage(kind: &Kind, mut object: Value) -> Value {
    if is_new_event(kind) {
        object = builtin::convert_event(&object, "v1");
    } else if let Some(stored) = kind.stored() {
        object["apiVersion"] = json!(kind.api_version(&stored.name));
    }
    object["kind"] = json!(kind.kind);
    object
}

/// A stored object as a version shows it.
pub(super) fn to_version(kind: &Kind, mut object: Value, version: &str) -> Value {
    if is_new_event(kind) {
        object = builtin::convert_event(&object, "events.k8s.io/v1");
    }
    object["kind"] = json!(kind.kind);
    let shown = kind.version(version);
    // What is stored is first seen as the stored version has it.
    let stored = kind.stored().filter(|stored| kind.habits.is_custom && stored.name != version);
    for of in stored.into_iter().chain(shown) {
        object["apiVersion"] = json!(kind.api_version(&of.name));
        match &of.form {
            Some(form) if kind.habits.is_custom => form.show(&mut object),
            // What was put behind the server's back may have been given less.
            Some(form) if kind.plural == "events" => form.default(&mut object),
            _ => {}
        }
    }
    object["apiVersion"] = json!(kind.api_version(version));
    object
}

fn is_new_event(kind: &Kind) -> bool {
    kind.group == "events.k8s.io"
}

/// The versions of a kind, for what is about fields of several.
pub(super) struct OfKind<'a>(pub(super) &'a Kind);

impl Versions for OfKind<'_> {
    fn form(&self, api_version: &str) -> Option<Form> {
        if self.0.plural == "events" && ["v1", "events.k8s.io/v1"].contains(&api_version) {
            let group = api_version.strip_suffix("/v1").unwrap_or_default();
            return Form::built_in(group, "v1", "Event");
        }
        let version = api_version.rsplit('/').next()?;
        self.0.version(version)?.form.clone()
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String> {
        if object["apiVersion"] == api_version {
            return Ok(Some(object.clone()));
        }
        if self.0.plural == "events" && ["v1", "events.k8s.io/v1"].contains(&api_version) {
            return Ok(Some(builtin::convert_event(object, api_version)));
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
