//! Definitions of the kinds, made from the types of `lb-api`, which read and write the same objects.

mod kinds;
mod structural;

pub use kinds::{KINDS, Kind, Version};
pub use structural::breaches;

use anyhow::Result;
use serde_json::{Value, json};

use crate::output::{self, Files};

/// First line of each file.
const HEAD: &str = "# Made by `cargo xtask crds` from the types in lb-api/src/objects.\n";

/// A file for each kind, and one that names them all; the chart has the same.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn files() -> Result<Files> {
    let mut files = Files::new();
    let mut list =
        String::from(HEAD) + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
    for kind in KINDS {
        let file = format!("{}_{}.yaml", kind.names.group, kind.names.plural);
        let text = HEAD.to_owned() + &output::yaml(&definition(kind))?;
        list += &format!("- {file}\n");
        files.insert(format!("chart/fairlead/crds/{file}").into(), text.clone());
        files.insert(format!("crds/{file}").into(), text);
    }
    files.insert("crds/kustomization.yaml".into(), list);
    Ok(files)
}

/// The definition of a kind.
pub fn definition(kind: &Kind) -> Value {
    let versions: Vec<Value> = kind.versions.iter().map(|version| self::version(kind, version)).collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.names.plural, kind.names.group)},
        "spec": {
            "group": kind.names.group,
            // Versions have the same fields, or some of them: nothing has to be converted.
            "conversion": {"strategy": "None"},
            "names": {
                "kind": kind.names.name, "listKind": format!("{}List", kind.names.name),
                "plural": kind.names.plural, "singular": kind.names.name.to_lowercase(),
            },
            "scope": "Namespaced",
            "versions": versions,
        },
    })
}

fn version(kind: &Kind, version: &Version) -> Value {
    let columns: Vec<Value> = kind
        .columns
        .iter()
        .map(|column| {
            let mut value = json!({"name": column.name, "type": column.r#type, "jsonPath": column.path});
            if column.priority > 0 {
                value["priority"] = column.priority.into();
            }
            value
        })
        .collect();
    let mut value = json!({
        "name": version.name,
        "served": true,
        "storage": version.successor.is_none(),
        "schema": {"openAPIV3Schema": schema(kind, version)},
        "subresources": {"status": {}},
    });
    // A server drops an empty list, and whoever applies it again has a conflict with itself.
    if !columns.is_empty() {
        value["additionalPrinterColumns"] = columns.into();
    }
    if let Some(successor) = version.successor {
        value["deprecated"] = true.into();
        value["deprecationWarning"] =
            format!("{} {} is deprecated; write {successor}", kind.names.name, version.name).into();
    }
    value
}

/// The schema of a whole object.
pub fn schema(kind: &Kind, version: &Version) -> Value {
    let mut required = Vec::new();
    if kind.needs_spec {
        required.push("spec");
    }
    let mut schema = json!({
        "type": "object",
        "description": kind.description,
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of the kind."},
            "kind": {"type": "string", "description": "The kind."},
            "metadata": {"type": "object"},
            "spec": structural::of((version.spec)()),
            "status": structural::of((kind.status)()),
        },
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}
