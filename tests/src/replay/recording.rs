//! Requests and the answers of a real API server, as `tests/data/api_server` holds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One sequence of requests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Recording {
    #[serde(skip)]
    pub(super) name: String,
    /// There before the first step, and empty.
    pub(super) namespace: Option<String>,
    /// What was different about the server.
    pub(super) server: Option<String>,
    pub(super) before: Option<ServiceAccount>,
    /// What the webhook says to the paths of its address.
    #[serde(default)]
    webhook_answers: Map<String, Value>,
    pub(super) steps: Vec<RecordedStep>,
}

/// A service account, and what it may do.
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
    /// Path of what an earlier step has made and this one makes again.
    pub(super) clear: Option<String>,
    pub(super) request: Option<RecordedRequest>,
    pub(super) response: Option<RecordedResponse>,
    /// The name of the watch that this step begins.
    pub(super) watch: Option<String>,
    /// The name of the watch that this step looks at.
    pub(super) events_of: Option<String>,
    #[serde(default)]
    pub(super) events: Vec<Value>,
    pub(super) end: Option<WatchEnd>,
    /// What later steps refer to: name, and where it is in the body.
    #[serde(default)]
    pub(super) save: BTreeMap<String, String>,
    /// What the webhook was sent meanwhile.
    pub(super) reviews: Option<Vec<Value>>,
}

/// Who has ended a watch.
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
    /// The media type of JSON, where there are none.
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
    /// JSON, and nothing else of note, where there are none.
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) body: Option<Value>,
    pub(super) body_text: Option<String>,
    /// What the body shows of the answer: a pointer, or several; `""`: all of it, but some fields only.
    pub(super) shown: Option<Value>,
}

/// All recordings, by name.
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
    /// What the webhook says, written out.
    pub(super) fn webhook_answers(&self) -> Map<String, Value> {
        self.webhook_answers.iter().map(|(path, answer)| (path.clone(), expand(answer))).collect()
    }
}

impl RecordedRequest {
    /// The body as it is sent, before saved values are filled in.
    pub(super) fn body(&self) -> String {
        match (&self.body, &self.body_text) {
            (Some(body), _) => nest(expand(body).to_string()),
            (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
        }
    }

    /// Headers with those that every request has.
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

/// Writes out what is written short, as it is too long for a file: `<x*9>` and `<[*9>` are a text and arrays of
/// that length and depth, `{"<repeat>": [9, …]}` a list of that many.
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

/// Writes out arrays within arrays, which are too deep for a value.
fn nest(text: String) -> String {
    let Some((before, rest)) = text.split_once("\"<[*") else { return text };
    let Some((depth, after)) = rest.split_once(">\"") else { return text };
    let depth = number(depth);
    format!("{before}{}{}{after}", "[".repeat(depth), "]".repeat(depth))
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}

/// What a pointer leads to: `*` stands for all items of a list, `#` for how many there are, or for the keys of a map.
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
