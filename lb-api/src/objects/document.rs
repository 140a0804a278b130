//! One YAML document of a text, or one item of a `List` in it.

use std::fmt::Write;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::fields::{self, Pruned};
use super::null::null_default;
use super::path::Step;
use super::{parser_message, yaml};
use crate::problem::ObjectRef;

/// A parsed document, or its parse error.
pub(super) struct Document<'a> {
    /// Line of its first line in the text, from 1.
    pub(super) line: usize,
    /// The text, if it is a whole document.
    text: Option<&'a str>,
    /// Path of the item in the document.
    path: String,
    body: Result<Value, yaml::InvalidYaml>,
}

/// An error of reading a document.
pub(super) struct DocumentError {
    /// Line in the text, if known.
    pub(super) line: Option<usize>,
    /// Path of the field, as `spec.ports[0].port`; `None` if it concerns the whole document.
    pub(super) field: Option<String>,
    /// The parser's message.
    pub(super) words: String,
}

/// The minimum that identifies a document, parsed leniently: the type of its kind is strict.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    metadata: HeaderMetadata,
}

#[derive(Default, Deserialize)]
struct HeaderMetadata {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    namespace: Value,
}

/// `kind: List`.
#[derive(Deserialize)]
pub(super) struct List {
    #[serde(default, deserialize_with = "null_default")]
    items: Vec<Value>,
}

impl Header {
    /// Returns a reference to the object, as far as it is named.
    pub(super) fn reference(&self) -> Option<ObjectRef> {
        Some(ObjectRef {
            kind: self.kind.clone()?,
            namespace: self.metadata.namespace.as_str().map(str::to_owned),
            name: self.metadata.name.as_str().unwrap_or_default().to_owned(),
        })
    }
}

impl Document<'_> {
    /// Deserializes the document.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        let value = self.body.as_ref().map_err(|invalid| DocumentError {
            line: invalid.line.map(|line| self.line + line.saturating_sub(1)),
            field: None,
            words: parser_message::plain(&invalid.words, ""),
        })?;
        serde_path_to_error::deserialize(value).map_err(|error| self.error(&error))
    }

    /// Removes unknown fields of its kind.
    pub(super) fn prune(&mut self, api_version: &str, kind: &str) -> Pruned {
        let is_written = self.line > 0;
        match &mut self.body {
            Ok(value) => fields::prune(api_version, kind, is_written, value),
            Err(_) => Pruned::default(),
        }
    }

    /// Returns the items of a list as documents. Items of a list with a `kind` may omit their own.
    pub(super) fn items(
        &self,
        list: List,
        kind: Option<(&str, &str)>,
    ) -> impl Iterator<Item = Document<'static>> {
        let line = self.line;
        let prefix = if self.path.is_empty() { String::new() } else { format!("{}.", self.path) };
        list.items.into_iter().enumerate().map(move |(i, mut value)| {
            if let (Some((api_version, kind)), Value::Object(fields)) = (kind, &mut value) {
                fields.entry("apiVersion").or_insert_with(|| api_version.into());
                fields.entry("kind").or_insert_with(|| kind.into());
            }
            Document { line, text: None, path: format!("{prefix}items[{i}]"), body: Ok(value) }
        })
    }

    /// Returns the path of a field for problems, and its line in the text.
    pub(super) fn place(&self, path: &[Step]) -> (String, usize) {
        let mut field = self.path.clone();
        for step in path {
            match step {
                Step::Field(name) if field.is_empty() => field.push_str(name),
                // Writing to a String does not fail.
                Step::Field(name) => drop(write!(field, ".{name}")),
                Step::Item(i) => drop(write!(field, "[{i}]")),
            }
        }
        let line = self.text.and_then(|text| yaml::line_of(text, path));
        (field, line.map_or(self.line, |line| self.line + line.saturating_sub(1)))
    }

    fn error(&self, error: &serde_path_to_error::Error<serde_json::Error>) -> DocumentError {
        let path = error.path().to_string();
        let field = match (self.path.as_str(), path.as_str()) {
            ("", NO_PATH | UNKNOWN_PATH) => None,
            (prefix, NO_PATH | UNKNOWN_PATH) => Some(prefix.to_owned()),
            ("", path) => Some(path.to_owned()),
            (prefix, path) => Some(format!("{prefix}.{path}")),
        };
        let line = self.text.and_then(|text| yaml::line_of(text, &steps(error.path())));
        let line = line.map(|line| self.line + line.saturating_sub(1));
        DocumentError { line, field, words: parser_message::plain(&error.inner().to_string(), &path) }
    }
}

/// Converts a path tracked by a parser.
fn steps(path: &Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

/// Path of the document as a whole.
const NO_PATH: &str = ".";
/// An unknown path.
const UNKNOWN_PATH: &str = "?";

/// Splits a text at document separators before it is parsed, so that a broken document affects no other.
/// Documents without content are left out.
///
/// A separator at the start of a line ends a document anywhere (YAML 1.2 section 9.1.2), so the structure of
/// the document does not matter.
///
/// A byte order mark is not content (YAML 1.2 section 5.2).
pub(super) fn split(text: &str) -> impl Iterator<Item = Document<'_>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut line, mut at) = (0, 1, 0);
    for (number, row) in (1..).zip(text.split_inclusive('\n')) {
        if is_separator(row) {
            documents.push((line, &text[start..at]));
            // The rest of the separator's line belongs to the next document.
            (start, line) = (at + SEPARATOR_LENGTH, number);
        }
        at += row.len();
    }
    documents.push((line, &text[start..]));
    documents.into_iter().filter(|(_, text)| has_content(text)).map(|(line, text)| Document::of(line, text))
}

const BYTE_ORDER_MARK: char = '\u{feff}';
const SEPARATOR_LENGTH: usize = 3;

fn is_separator(row: &str) -> bool {
    (row.starts_with("---") || row.starts_with("..."))
        && row[SEPARATOR_LENGTH..].chars().next().is_none_or(char::is_whitespace)
}

fn has_content(text: &str) -> bool {
    // A line with `%` is a directive that precedes its document.
    text.lines().map(str::trim).any(|row| !(row.is_empty() || row.starts_with('#') || row.starts_with('%')))
}

impl<'a> Document<'a> {
    /// Wraps an object without a text.
    pub(super) fn json(value: Value) -> Self {
        Self { line: 0, text: None, path: String::new(), body: Ok(value) }
    }

    /// Wraps a document with its text, which may begin with empty lines: it starts at its first line with
    /// content.
    fn of(line: usize, text: &'a str) -> Self {
        let skipped: usize =
            text.split_inclusive('\n').take_while(|row| row.trim().is_empty()).map(str::len).sum();
        let line = line + text[..skipped].matches('\n').count();
        let text = &text[skipped..];
        Self { line, text: Some(text), path: String::new(), body: yaml::parse(text) }
    }
}
