//! The Helm chart, rendered by Helm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::output;

/// Begins the line in which Helm names the template of an object.
const SOURCE: &str = "# Source: fairlead/templates/";

/// An object, and the file name of the template that it is from.
pub type Rendered = (String, Value);

/// The directory of the chart.
#[must_use]
pub fn directory() -> PathBuf {
    output::root().join("chart/fairlead")
}

/// What `helm template` makes of the chart, in Helm's order.
///
/// # Errors
/// When Helm cannot be started, or refuses the values: then what it says.
pub fn render(helm: &Path, release: &str, namespace: &str, values: &Value) -> Result<Vec<Rendered>> {
    let mut command = Command::new(helm);
    command.args(["template", release]).arg(directory());
    command.args(["--namespace", namespace, "--values", "-"]);
    let text = answer(&mut command, &values.to_string())?;
    let mut objects = Vec::new();
    for document in text.split("\n---\n") {
        let name = document.lines().find_map(|line| line.strip_prefix(SOURCE));
        let object: Value =
            serde_saphyr::from_str(document).with_context(|| format!("not YAML:\n{document}"))?;
        if !object.is_null() {
            objects.push((name.context("no template is named")?.to_owned(), object));
        }
    }
    Ok(objects)
}

/// Runs a command to its end, with this input. Returns what it printed.
fn answer(command: &mut Command, input: &str) -> Result<String> {
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

/// The objects of a YAML text.
///
/// # Errors
/// When it is no YAML.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    let mut objects = serde_saphyr::from_multiple::<Value>(text)?;
    objects.retain(|object| !object.is_null());
    Ok(objects)
}
