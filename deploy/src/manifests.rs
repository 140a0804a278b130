//! Plain manifests: what the chart makes of its own values.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::chart;
use crate::output::{self, Files};

/// Where the objects go that MetalLB's users have: so their pools and peers are found where they are.
pub const NAMESPACE: &str = "metallb-system";
/// The release that the chart is rendered for.
const RELEASE: &str = "fairlead";
/// First line of each file.
const HEAD: &str = "# Made by `cargo xtask manifests` from deploy/chart/fairlead.\n";

/// With this Helm, a file for each template of the chart that makes objects, one for the namespace, and one that names them all.
///
/// # Errors
/// When the chart cannot be rendered.
pub fn files(helm: &Path) -> Result<Files> {
    let mut files = Files::new();
    files.insert("manifests/namespace.yaml".into(), file(&[namespace()])?);
    let mut by_template: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (template, object) in chart::render(helm, RELEASE, NAMESPACE, &json!({}))? {
        by_template.entry(template).or_default().push(object);
    }
    for (template, objects) in by_template {
        files.insert(format!("manifests/{template}").into(), file(&objects)?);
    }
    let names = files.keys().filter_map(|path| path.file_name()?.to_str());
    let resources: Vec<&str> = std::iter::once("../crds").chain(names).collect();
    let list = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    });
    files.insert("manifests/kustomization.yaml".into(), file(&[list])?);
    Ok(files)
}

/// Agents are in the node's network and have capabilities, which only this level of pod security allows.
fn namespace() -> Value {
    let level = |mode: &str| (format!("pod-security.kubernetes.io/{mode}"), Value::from("privileged"));
    let labels: serde_json::Map<String, Value> =
        ["enforce", "audit", "warn"].map(level).into_iter().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
}

fn file(objects: &[Value]) -> Result<String> {
    let texts = objects.iter().map(output::yaml).collect::<Result<Vec<_>>>()?;
    Ok(HEAD.to_owned() + &texts.join("---\n"))
}
