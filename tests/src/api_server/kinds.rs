//! The registry of kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::strategy::Strategy;

mod built_in;

/// A kind.
#[derive(Clone, Debug)]
pub(super) struct ApiKind {
    /// API group; empty for the core.
    pub(super) group: String,
    /// Its plural, as in paths.
    pub(super) plural: String,
    pub(super) singular: String,
    /// Its name.
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    /// Whether it is namespaced.
    pub(super) namespaced: bool,
    pub(super) versions: Vec<KindVersion>,
    pub(super) traits: KindTraits,
}

/// A version of a kind.
#[derive(Clone, Debug)]
pub(super) struct KindVersion {
    pub(super) name: String,
    pub(super) served: bool,
    pub(super) storage: bool,
    /// The deprecation warning of every response.
    pub(super) deprecated: Option<String>,
    /// Whether it has a status subresource.
    pub(super) has_status: bool,
    /// `openAPIV3Schema`.
    pub(super) schema: Option<Value>,
    /// `additionalPrinterColumns`.
    pub(super) columns: Vec<Value>,
    /// How objects are read and validated; `None`: everything is accepted.
    pub(super) strategy: Option<Strategy>,
}

/// Behavior that differs between kinds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KindTraits {
    /// Whether it comes from a definition.
    pub(super) is_custom: bool,
    /// Whether a PUT creates a missing object.
    pub(super) creates_on_update: bool,
    /// Whether a PUT needs no resource version.
    pub(super) updates_unconditionally: bool,
    /// Whether a deletion returns the object.
    pub(super) returns_deleted: bool,
    /// Whether collections cannot be deleted.
    pub(super) has_no_collection: bool,
}

impl ApiKind {
    /// Returns its name in errors.
    pub(super) fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    pub(super) fn version(&self, name: &str) -> Option<&KindVersion> {
        self.versions.iter().find(|version| version.name == name && version.served)
    }

    /// Returns the storage version.
    pub(super) fn stored(&self) -> Option<&KindVersion> {
        self.versions.iter().find(|version| version.storage).or(self.versions.first())
    }

    /// Returns a version as in an object's `apiVersion`.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// Returns group and plural as in storage keys: the two kinds of events are one.
    pub(super) fn key(&self) -> (&str, &str) {
        storage_key(&self.group, &self.plural)
    }
}

/// Returns the storage key of a kind.
pub(super) fn storage_key<'a>(group: &'a str, plural: &'a str) -> (&'a str, &'a str) {
    if (group, plural) == ("events.k8s.io", "events") { ("", plural) } else { (group, plural) }
}

/// Returns a name with its group appended.
pub(super) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// All kinds.
#[derive(Debug)]
pub(super) struct KindRegistry {
    built_in: Vec<Arc<ApiKind>>,
    /// By the name of the definition.
    custom: BTreeMap<String, Arc<ApiKind>>,
}

impl Default for KindRegistry {
    fn default() -> Self {
        Self { built_in: built_in::all(), custom: BTreeMap::new() }
    }
}

impl KindRegistry {
    /// Iterates over the built-in kinds, then the custom kinds.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ApiKind>> {
        self.built_in.iter().chain(self.custom.values())
    }

    /// Returns the kind of a path.
    pub(super) fn of(&self, group: &str, plural: &str) -> Option<&Arc<ApiKind>> {
        self.all().find(|kind| kind.group == group && kind.plural == plural)
    }

    /// Returns the kind of a name.
    pub(super) fn named(&self, group: &str, name: &str) -> Option<&Arc<ApiKind>> {
        self.all().find(|kind| kind.group == group && kind.kind == name)
    }

    /// Adds the kind of a definition.
    pub(super) fn define(&mut self, definition: &Value) {
        if let (Some(name), Some(kind)) =
            (definition.pointer("/metadata/name").and_then(Value::as_str), defined_by(definition))
        {
            self.custom.insert(name.to_owned(), Arc::new(kind));
        }
    }

    /// Removes the kind of a definition.
    pub(super) fn remove(&mut self, definition: &str) -> Option<Arc<ApiKind>> {
        self.custom.remove(definition)
    }

    pub(super) fn defined(&self, definition: &str) -> Option<&Arc<ApiKind>> {
        self.custom.get(definition)
    }
}

/// Returns the kind of a CustomResourceDefinition.
fn defined_by(definition: &Value) -> Option<ApiKind> {
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
        Some(KindVersion {
            served: is("served"),
            storage: is("storage"),
            deprecated: is("deprecated").then_some(warning),
            has_status: version.pointer("/subresources/status").is_some(),
            schema: version.pointer("/schema/openAPIV3Schema").cloned(),
            columns: columns.cloned().unwrap_or_default(),
            strategy: Strategy::custom(definition, &name),
            name,
        })
    };
    Some(ApiKind {
        singular: text("/names/singular").unwrap_or_else(|| kind.to_lowercase()),
        list_kind: text("/names/listKind").unwrap_or_else(|| format!("{kind}List")),
        short_names: texts("/names/shortNames"),
        categories: texts("/names/categories"),
        namespaced: text("/scope")? == "Namespaced",
        versions: spec.get("versions")?.as_array()?.iter().filter_map(version).collect(),
        traits: KindTraits { is_custom: true, ..KindTraits::default() },
        group,
        plural,
        kind,
    })
}
