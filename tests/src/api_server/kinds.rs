//! Which kinds there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::form::Form;

mod built_in;

/// A kind.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// API group; empty for the core.
    pub(super) group: String,
    /// Its plural, which paths name it by.
    pub(super) plural: String,
    pub(super) singular: String,
    /// Its name.
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    /// Whether objects are in namespaces.
    pub(super) namespaced: bool,
    pub(super) versions: Vec<Version>,
    pub(super) habits: Habits,
}

/// A version of a kind.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) served: bool,
    pub(super) storage: bool,
    /// What every answer warns of.
    pub(super) deprecated: Option<String>,
    /// Whether status is written apart.
    pub(super) has_status: bool,
    /// `openAPIV3Schema`.
    pub(super) schema: Option<Value>,
    /// `additionalPrinterColumns`.
    pub(super) columns: Vec<Value>,
    /// What is known of the fields; `None`: nothing, and all is taken.
    pub(super) form: Option<Form>,
}

/// In what kinds differ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// Whether a definition has made it.
    pub(super) is_custom: bool,
    /// Whether a PUT makes what is not there.
    pub(super) creates_on_update: bool,
    /// Whether a PUT needs no version.
    pub(super) updates_unconditionally: bool,
    /// Whether a deletion is answered with the object.
    pub(super) returns_deleted: bool,
    /// Whether there is no deletion of a collection.
    pub(super) has_no_collection: bool,
}

impl Kind {
    /// As errors name it.
    pub(super) fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name && version.served)
    }

    /// The version that objects are stored in.
    pub(super) fn stored(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.storage).or(self.versions.first())
    }

    /// A version, as it stands in an object.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// Group, plural as keys of the storage have them: the two kinds of events are one.
    pub(super) fn key(&self) -> (&str, &str) {
        storage_key(&self.group, &self.plural)
    }
}

/// Where a kind is stored.
pub(super) fn storage_key<'a>(group: &'a str, plural: &'a str) -> (&'a str, &'a str) {
    if (group, plural) == ("events.k8s.io", "events") { ("", plural) } else { (group, plural) }
}

/// A name with its group behind.
pub(super) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// All kinds.
#[derive(Debug)]
pub(super) struct Kinds {
    built_in: Vec<Arc<Kind>>,
    /// By the name of the definition.
    custom: BTreeMap<String, Arc<Kind>>,
}

impl Default for Kinds {
    fn default() -> Self {
        Self { built_in: built_in::all(), custom: BTreeMap::new() }
    }
}

impl Kinds {
    /// Those that are always there, then those of definitions.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.built_in.iter().chain(self.custom.values())
    }

    /// The kind of a path.
    pub(super) fn of(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.all().find(|kind| kind.group == group && kind.plural == plural)
    }

    /// The kind of a name.
    pub(super) fn named(&self, group: &str, name: &str) -> Option<&Arc<Kind>> {
        self.all().find(|kind| kind.group == group && kind.kind == name)
    }

    /// Whether anything of a group is defined.
    pub(super) fn has_custom_group(&self, group: &str) -> bool {
        self.custom.values().any(|kind| kind.group == group)
    }

    /// Serves what a definition defines, from now on.
    pub(super) fn define(&mut self, definition: &Value) {
        if let (Some(name), Some(kind)) =
            (definition.pointer("/metadata/name").and_then(Value::as_str), defined_by(definition))
        {
            self.custom.insert(name.to_owned(), Arc::new(kind));
        }
    }

    /// Ceases to serve it.
    pub(super) fn forget(&mut self, definition: &str) -> Option<Arc<Kind>> {
        self.custom.remove(definition)
    }

    pub(super) fn defined(&self, definition: &str) -> Option<&Arc<Kind>> {
        self.custom.get(definition)
    }
}

/// The kind that a CustomResourceDefinition defines.
fn defined_by(definition: &Value) -> Option<Kind> {
    let spec = definition.get("spec")?;
    let text = |pointer: &str| spec.pointer(pointer)?.as_str().map(str::to_owned);
    let texts = |pointer: &str| {
        let list = spec.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let kind = text("/names/kind")?;
    let (group, plural) = (text("/group")?, text("/names/plural")?);
    let version = |version: &Value| {
        let name = version.get("name")?.as_str()?.to_owned();
        let is = |key: &str| version.get(key).and_then(Value::as_bool).unwrap_or_default();
        let warning = version.get("deprecationWarning").and_then(Value::as_str).map(str::to_owned);
        let warning = warning.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated"));
        let columns = version.get("additionalPrinterColumns").and_then(Value::as_array);
        Some(Version {
            served: is("served"),
            storage: is("storage"),
            deprecated: is("deprecated").then_some(warning),
            has_status: version.pointer("/subresources/status").is_some(),
            schema: version.pointer("/schema/openAPIV3Schema").cloned(),
            columns: columns.cloned().unwrap_or_default(),
            form: Form::custom(definition, &name),
            name,
        })
    };
    Some(Kind {
        singular: text("/names/singular").unwrap_or_else(|| kind.to_lowercase()),
        list_kind: text("/names/listKind").unwrap_or_else(|| format!("{kind}List")),
        short_names: texts("/names/shortNames"),
        categories: texts("/names/categories"),
        namespaced: text("/scope")? == "Namespaced",
        versions: spec.get("versions")?.as_array()?.iter().filter_map(version).collect(),
        habits: Habits { is_custom: true, ..Habits::default() },
        group,
        plural,
        kind,
    })
}
