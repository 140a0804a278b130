//! Conversion of objects to the storage version and to the requested version.

use serde_json::{Map, Value, json};

use super::builtin;
use super::kinds::ApiKind;
use super::merge::VersionConverter;
use super::strategy::Strategy;

/// Converts an object to the storage version of its kind: only `apiVersion` changes.
pub(super) fn to_storage(kind: &ApiKind, mut object: Value) -> Value {
    if is_new_event(kind) {
        object = builtin::convert_event(&object, "v1");
    } else if let Some(stored) = kind.stored() {
        object["apiVersion"] = json!(kind.api_version(&stored.name));
    }
    object["kind"] = json!(kind.kind);
    object
}

/// Converts a stored object to a version.
pub(super) fn to_version(kind: &ApiKind, mut object: Value, version: &str) -> Value {
    if is_new_event(kind) {
        object = builtin::convert_event(&object, "events.k8s.io/v1");
    }
    object["kind"] = json!(kind.kind);
    let shown = kind.version(version);
    // First apply the storage version's schema.
    let stored = kind.stored().filter(|stored| kind.traits.is_custom && stored.name != version);
    for of in stored.into_iter().chain(shown) {
        object["apiVersion"] = json!(kind.api_version(&of.name));
        match &of.strategy {
            Some(strategy) if kind.traits.is_custom => strategy.show(&mut object),
            // Objects that a test put into the store may lack defaults.
            Some(strategy) if kind.plural == "events" => strategy.default(&mut object),
            _ => {}
        }
    }
    object["apiVersion"] = json!(kind.api_version(version));
    object
}

fn is_new_event(kind: &ApiKind) -> bool {
    kind.group == "events.k8s.io"
}

/// The versions of a kind, for field managers.
pub(super) struct KindVersions<'a>(pub(super) &'a ApiKind);

impl VersionConverter for KindVersions<'_> {
    fn strategy(&self, api_version: &str) -> Option<Strategy> {
        if self.0.plural == "events" && ["v1", "events.k8s.io/v1"].contains(&api_version) {
            let group = api_version.strip_suffix("/v1").unwrap_or_default();
            return Strategy::built_in(group, "v1", "Event");
        }
        let version = api_version.rsplit('/').next()?;
        self.0.version(version)?.strategy.clone()
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

/// Returns an object's `PartialObjectMetadata`.
pub(super) fn partial(object: &Value) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}
