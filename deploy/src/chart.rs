//! The Helm chart, rendered without Helm.
//!
//! Only the part of the template language that the chart uses is known, and everything else is an error: a chart that
//! can be rendered here is simple. Where Helm is more lenient than this (a field that is not there prints nothing), this
//! refuses.

mod expression;
mod function;
mod render;
mod template;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use render::Renderer;
use template::Definitions;

/// The chart.
pub struct Chart {
    /// `Chart.yaml`.
    about: Value,
    /// `values.yaml`.
    values: Value,
    /// Templates that make objects, by file name.
    templates: Vec<(String, template::Template)>,
    definitions: Definitions,
}

impl Chart {
    /// Reads a chart's directory.
    ///
    /// # Errors
    /// When a file cannot be read, or holds what is not known here.
    pub fn read(directory: &Path) -> Result<Self> {
        let mut chart = Self {
            about: yaml_file(&directory.join("Chart.yaml"))?,
            values: yaml_file(&directory.join("values.yaml"))?,
            templates: Vec::new(),
            definitions: Definitions::default(),
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory.join("templates"))? {
            paths.push(entry?.path());
        }
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            let template = template::parse(&text, &mut chart.definitions).with_context(|| name.clone())?;
            if !name.starts_with('_') {
                chart.templates.push((name, template));
            }
        }
        Ok(chart)
    }

    /// The values that stand in the chart, with others put over them: maps are joined, all else is replaced.
    pub fn values(&self, others: &Value) -> Value {
        let mut values = self.values.clone();
        put_over(&mut values, others);
        values
    }

    /// What each template becomes, by file name.
    ///
    /// # Errors
    /// When a template asks for what is not there.
    pub fn render(&self, release: &str, namespace: &str, values: &Value) -> Result<Vec<(String, String)>> {
        let about = [("Name", "name"), ("Version", "version"), ("AppVersion", "appVersion")];
        let about: Map<String, Value> =
            about.iter().map(|(name, field)| ((*name).to_owned(), self.about[*field].clone())).collect();
        let root = json!({
            "Chart": about,
            "Release": {"Name": release, "Namespace": namespace, "Service": "Helm"},
            "Values": values,
        });
        let renderer = Renderer { root: &root, definitions: &self.definitions };
        let each = self.templates.iter().map(|(name, template)| {
            let text = renderer.render(template, &root).with_context(|| name.clone())?;
            Ok((name.clone(), text))
        });
        each.collect()
    }
}

/// The objects of a rendered template.
///
/// # Errors
/// When it is no YAML.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for object in serde_saphyr::from_multiple::<Value>(text)? {
        if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}

fn yaml_file(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
}

fn put_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                put_over(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests;
