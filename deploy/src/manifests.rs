//! Plain manifests: what the chart makes of its own values.

use anyhow::Result;
use serde_json::{Value, json};

use crate::chart::{self, Chart};
use crate::output::{self, Files};

/// Where the objects go that MetalLB's users have: so their pools and peers are found where they are.
pub const NAMESPACE: &str = "metallb-system";
/// What a release is called that Helm has not made.
const RELEASE: &str = "fairlead";
/// First line of each file.
const HEAD: &str = "# Made by `cargo xtask manifests` from deploy/chart/fairlead.\n";

/// A file for each template of the chart that makes objects, one for the namespace, and one that names them all.
///
/// # Errors
/// When the chart cannot be rendered.
pub fn files() -> Result<Files> {
    let chart = Chart::read(&output::root().join("chart/fairlead"))?;
    let values = chart.values(&json!({}));
    let mut files = Files::new();
    files.insert("manifests/namespace.yaml".into(), file(&[namespace()])?);
    for (name, text) in chart.render(RELEASE, NAMESPACE, &values)? {
        let objects = if name.ends_with(".yaml") { chart::objects(&text)? } else { Vec::new() };
        if !objects.is_empty() {
            files.insert(format!("manifests/{name}").into(), file(&objects)?);
        }
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
