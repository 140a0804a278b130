//! The Helm chart, rendered by Helm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::output;

/// The start of the line in which Helm names the template of an object.
const SOURCE: &str = "# Source: fairlead/templates/";

/// An object, and the file name of its template.
pub type Rendered = (String, Value);

/// Returns the directory of the chart.
#[must_use]
pub fn directory() -> PathBuf {
    output::root().join("chart/fairlead")
}

/// Renders the chart with `helm template`; returns the objects in Helm's order.
///
/// # Errors
/// When Helm cannot be started, or refuses the values: then its message.
pub fn render(helm: &Path, release: &str, namespace: &str, values: &Value) -> Result<Vec<Rendered>> {
    let mut command = Command::new(helm);
    command.args(["template", release]).arg(directory());
    command.args(["--namespace", namespace, "--values", "-"]);
    let text = run(&mut command, &values.to_string())?;
    let mut objects = Vec::new();
    for document in text.split("\n---\n") {
        let name = document.lines().find_map(|line| line.strip_prefix(SOURCE));
        let object: Value =
            serde_saphyr::from_str(document).with_context(|| format!("not YAML:\n{document}"))?;
        if !object.is_null() {
            objects.push((name.context("an object without the name of its template")?.to_owned(), object));
        }
    }
    Ok(objects)
}

/// Runs a command with this input. Returns its output.
fn run(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    if let Some(mut stdin) = child.stdin.take() {
        std::io::Write::write_all(&mut stdin, input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Parses the objects of a YAML text.
///
/// # Errors
/// When it is not YAML.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    let mut objects = serde_saphyr::from_multiple::<Value>(text)?;
    objects.retain(|object| !object.is_null());
    Ok(objects)
}
