//! Field managers: `metadata.managedFields`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::encode::{decode, encode};
use super::typed::same;
use crate::api_server::field_set::FieldSet;

/// The identity of a manager: its applies are one entry, its updates one entry per version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) applies: bool,
    /// Only for updates.
    pub(super) version: String,
    pub(super) subresource: String,
}

impl Manager {
    /// Returns its name in conflicts.
    pub(super) fn in_words(&self) -> String {
        let mut words = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            words += &format!(" with subresource {:?}", self.subresource);
        }
        if !self.applies {
            words += &format!(" using {}", self.version);
        }
        words
    }
}

/// The fields that a manager owns.
#[derive(Clone, Debug)]
pub(super) struct OwnedFields {
    pub(super) fields: FieldSet,
    pub(super) version: String,
    pub(super) time: Option<String>,
}

/// All managers of an object.
pub(super) type Managers = BTreeMap<Manager, OwnedFields>;

/// Parses an object's managers; `None` if they are invalid.
pub(super) fn managers_of(object: &Value) -> Option<Managers> {
    let mut found = Managers::new();
    for entry in object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let applies = match text("operation").as_str() {
            "Apply" => true,
            "Update" => false,
            _ => return None,
        };
        let version = text("apiVersion");
        let manager = Manager {
            name: text("manager"),
            applies,
            version: if applies { String::new() } else { version.clone() },
            subresource: text("subresource"),
        };
        let fields = entry.get("fieldsV1").map_or(Some(FieldSet::default()), decode)?;
        let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
        found.insert(manager, OwnedFields { fields, version, time });
    }
    Some(found)
}

/// Writes the managers into an object, in the real server's order.
pub(super) fn write_managers(object: &mut Value, managers: &Managers) {
    let mut entries: Vec<(&Manager, &OwnedFields)> = managers.iter().collect();
    entries.sort_by(|(left, owned), (right, theirs)| {
        let key = |manager: &Manager, owned: &OwnedFields| {
            (!manager.applies, owned.time.clone().unwrap_or_default())
        };
        let rest = |manager: &Manager, owned: &OwnedFields| {
            (manager.name.clone(), owned.version.clone(), manager.subresource.clone())
        };
        key(left, owned).cmp(&key(right, theirs)).then_with(|| rest(left, owned).cmp(&rest(right, theirs)))
    });
    let entries: Vec<Value> = entries.into_iter().map(|(manager, owned)| entry(manager, owned)).collect();
    if entries.is_empty() {
        forget_managers(object);
    } else if let Some(metadata) = metadata(object) {
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

fn entry(manager: &Manager, owned: &OwnedFields) -> Value {
    let operation = if manager.applies { "Apply" } else { "Update" };
    let mut entry = json!({
        "manager": manager.name, "operation": operation, "apiVersion": owned.version,
        "fieldsType": "FieldsV1", "fieldsV1": encode(&owned.fields),
    });
    if let Some(time) = &owned.time {
        entry["time"] = json!(time);
    }
    if !manager.subresource.is_empty() {
        entry["subresource"] = json!(manager.subresource);
    }
    entry
}

/// Removes the managers from an object.
pub(super) fn forget_managers(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
}

/// Keeps the old object's times if nothing else differs, so that a write without a change is none.
pub(in crate::api_server) fn settle(old: &Value, new: &mut Value) {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
            entries.sort_by_key(Value::to_string);
        }
        object
    };
    if same(&timeless(old), &timeless(new)) {
        *new = old.clone();
    }
}
