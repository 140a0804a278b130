//! The format of recorded requests and answers in `tests/data/api_server`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A sequence of requests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Recording {
    #[serde(skip)]
    pub(super) name: String,
    /// A namespace that exists, empty, before the first step.
    pub(super) namespace: Option<String>,
    /// A special configuration of the server.
    pub(super) server: Option<String>,
    pub(super) before: Option<ServiceAccount>,
    /// The webhook's answers by path.
    #[serde(default)]
    webhook_answers: Map<String, Value>,
    pub(super) steps: Vec<RecordedStep>,
}

/// A service account and its role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ServiceAccount {
    pub(super) service_account: String,
    pub(super) role: Option<Value>,
    #[serde(default)]
    pub(super) token: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RecordedStep {
    /// Seconds since the step before.
    #[serde(default)]
    pub(super) pause: f64,
    /// Path of an object of an earlier step to delete, because this step creates it again.
    pub(super) clear: Option<String>,
    pub(super) request: Option<RecordedRequest>,
    pub(super) response: Option<RecordedResponse>,
    /// Name of the watch that this step begins.
    pub(super) watch: Option<String>,
    /// Name of the watch whose events this step checks.
    pub(super) events_of: Option<String>,
    #[serde(default)]
    pub(super) events: Vec<Value>,
    pub(super) end: Option<WatchEnd>,
    /// Values that later steps refer to: name, and path in the body.
    #[serde(default)]
    pub(super) save: BTreeMap<String, String>,
    /// The reviews that the webhook received meanwhile.
    pub(super) reviews: Option<Vec<Value>>,
}

/// Which side ended a watch.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum WatchEnd {
    Server,
    Client,
    Open,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RecordedRequest {
    pub(super) method: String,
    pub(super) path: String,
    /// The headers; a JSON content type if absent.
    headers: Option<BTreeMap<String, Option<String>>>,
    body: Option<Value>,
    body_text: Option<String>,
    /// `anonymous`: without credentials.
    pub(super) client: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RecordedResponse {
    pub(super) status: u16,
    /// The compared headers; only a JSON content type if absent.
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) body: Option<Value>,
    pub(super) body_text: Option<String>,
    /// Which part of the answer the body shows: one pointer or several; `""`: all of it, but only some
    /// fields.
    pub(super) shown: Option<Value>,
}

/// Reads all recordings, sorted by name.
pub(super) fn all() -> Result<Vec<Recording>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/api_server");
    let mut all = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let mut recording: Recording =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        recording.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        all.push(recording);
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

impl Recording {
    /// Returns the webhook's answers, expanded.
    pub(super) fn webhook_answers(&self) -> Map<String, Value> {
        self.webhook_answers.iter().map(|(path, answer)| (path.clone(), expand(answer))).collect()
    }
}

impl RecordedRequest {
    /// Returns the body before saved values are filled in.
    pub(super) fn body(&self) -> String {
        match (&self.body, &self.body_text) {
            (Some(body), _) => nest(expand(body).to_string()),
            (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
        }
    }

    /// Returns the headers, with those that every request has.
    pub(super) fn headers(&self) -> BTreeMap<String, String> {
        let is_plain = self.headers.is_none() && self.body.is_some();
        let defaults = [
            ("Accept", Some("application/json")),
            ("User-Agent", Some("conformance/1")),
            ("Content-Type", is_plain.then_some("application/json")),
        ];
        let mut headers: BTreeMap<String, Option<String>> =
            defaults.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).into();
        headers.extend(self.headers.clone().unwrap_or_default());
        headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Expands abbreviations of values that are too long for a file: `<x*9>` and `<[*9>` are a text and nested
/// arrays of that length and depth, `{"<repeat>": [9, …]}` is a list of that many items.
fn expand(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
            Some(short) if short.starts_with("x*") => json!("x".repeat(number(&short[2..]))),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(expand).collect(),
        Value::Object(fields) => match fields.get("<repeat>").and_then(Value::as_array).map(Vec::as_slice) {
            Some([times, item]) => (0..times.as_u64().unwrap_or_default()).map(|_| item.clone()).collect(),
            _ => fields.iter().map(|(key, value)| (key.clone(), expand(value))).collect(),
        },
        other => other.clone(),
    }
}

/// Expands nested arrays, which are too deep for a value.
fn nest(text: String) -> String {
    let Some((before, rest)) = text.split_once("\"<[*") else { return text };
    let Some((depth, after)) = rest.split_once(">\"") else { return text };
    let depth = number(depth);
    format!("{before}{}{}{after}", "[".repeat(depth), "]".repeat(depth))
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}

/// Resolves a pointer: `*` is all items of a list, `#` is their number, or the keys of a map.
pub(super) fn at(value: &Value, pointer: &str) -> Value {
    if let Some((list, rest)) = pointer.split_once("/*") {
        let items = value.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        return items.iter().map(|item| at(item, rest)).collect();
    }
    match pointer.strip_suffix("/#").map(|of| value.pointer(of)) {
        Some(Some(Value::Array(items))) => json!(items.len()),
        Some(Some(Value::Object(fields))) => fields.keys().cloned().collect(),
        Some(_) => Value::Null,
        None => value.pointer(pointer).cloned().unwrap_or_default(),
    }
}
