//! Who wrote which fields: `metadata.managedFields`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::encode::{decode, encode};
use super::set::FieldSet;
use super::typed::same;

/// Name of a manager as one that writes: what it applies is one entry, what it updates one for each version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) applies: bool,
    /// Only of those that update.
    pub(super) version: String,
    pub(super) subresource: String,
}

impl Manager {
    /// As conflicts name it.
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

/// What a manager owns.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) fields: FieldSet,
    pub(super) version: String,
    pub(super) time: Option<String>,
}

/// All managers of an object.
pub(super) type Managers = BTreeMap<Manager, Owned>;

/// What an object says of its managers; `None` when it makes no sense.
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
        found.insert(manager, Owned { fields, version, time });
    }
    Some(found)
}

/// Writes the managers into an object, in the order of the real server.
pub(super) fn write_managers(object: &mut Value, managers: &Managers) {
    let mut entries: Vec<(&Manager, &Owned)> = managers.iter().collect();
    entries.sort_by(|(left, owned), (right, theirs)| {
        let key =
            |manager: &Manager, owned: &Owned| (!manager.applies, owned.time.clone().unwrap_or_default());
        let rest = |manager: &Manager, owned: &Owned| {
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

fn entry(manager: &Manager, owned: &Owned) -> Value {
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

/// Takes the managers out of an object.
pub(super) fn forget_managers(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
}

/// Takes over the times of the old object where nothing else differs: a write that changes nothing is none.
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
