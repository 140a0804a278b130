//! One YAML document of a text, or one item of a `List` in it.

use std::fmt::Write;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::fields::{self, Pruned};
use super::null::null_default;
use super::path::Step;
use super::{words, yaml};
use crate::problem::ObjectRef;

/// A document that has been parsed, or why it cannot be.
pub(super) struct Document<'a> {
    /// Line of its first line in the text, from 1.
    pub(super) line: usize,
    /// The text, where it is a document of one.
    text: Option<&'a str>,
    /// Path of the item in the document.
    path: String,
    body: Result<Value, yaml::Invalid>,
}

/// Why a document could not be read.
pub(super) struct Flaw {
    /// Line in the text, where it is known.
    pub(super) line: Option<usize>,
    /// Path of the field, as `spec.ports[0].port`; `None` if it is the document as a whole.
    pub(super) field: Option<String>,
    /// The parser's words.
    pub(super) words: String,
}

/// What is needed to know what a document is, as tolerant as can be: the kind's own type is strict.
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
    /// What a problem calls the object, as far as it is named.
    pub(super) fn reference(&self) -> Option<ObjectRef> {
        Some(ObjectRef {
            kind: self.kind.clone()?,
            namespace: self.metadata.namespace.as_str().map(str::to_owned),
            name: self.metadata.name.as_str().unwrap_or_default().to_owned(),
        })
    }
}

impl Document<'_> {
    /// Reads it as a `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Flaw> {
        let value = self.body.as_ref().map_err(|invalid| Flaw {
            line: invalid.line.map(|line| self.line + line.saturating_sub(1)),
            field: None,
            words: words::plain(&invalid.words, ""),
        })?;
        serde_path_to_error::deserialize(value).map_err(|error| self.flaw(&error))
    }

    /// Takes the fields away that its kind does not have.
    pub(super) fn prune(&mut self, api_version: &str, kind: &str) -> Pruned {
        let is_written = self.line > 0;
        match &mut self.body {
            Ok(value) => fields::prune(api_version, kind, is_written, value),
            Err(_) => Pruned::default(),
        }
    }

    /// The items of a list as documents. Those of one that names their `kind` need not name it themselves.
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

    /// A field as a problem names it, and its line in the text.
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

    fn flaw(&self, error: &serde_path_to_error::Error<serde_json::Error>) -> Flaw {
        let path = error.path().to_string();
        let field = match (self.path.as_str(), path.as_str()) {
            ("", NO_PATH | UNKNOWN_PATH) => None,
            (prefix, NO_PATH | UNKNOWN_PATH) => Some(prefix.to_owned()),
            ("", path) => Some(path.to_owned()),
            (prefix, path) => Some(format!("{prefix}.{path}")),
        };
        let line = self.text.and_then(|text| yaml::line_of(text, &steps(error.path())));
        let line = line.map(|line| self.line + line.saturating_sub(1));
        Flaw { line, field, words: words::plain(&error.inner().to_string(), &path) }
    }
}

/// The steps of a path that a parser has tracked.
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
/// Path of something that the parser could not make out.
const UNKNOWN_PATH: &str = "?";

/// Cuts a text at the lines that separate documents, before anything is parsed, so that a broken document
/// costs only itself. Documents without content are left out.
///
/// A separator at the start of a line ends a document wherever it stands (YAML 1.2 section 9.1.2), so no
/// knowledge of the document's structure is needed.
///
/// A byte order mark is no content (YAML 1.2 section 5.2).
pub(super) fn split(text: &str) -> impl Iterator<Item = Document<'_>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut line, mut at) = (0, 1, 0);
    for (number, row) in (1..).zip(text.split_inclusive('\n')) {
        if is_separator(row) {
            documents.push((line, &text[start..at]));
            // What follows on the line of the separator belongs to the next document.
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
    // A line with `%` is a directive to the parser, in front of the document that it is for.
    text.lines().map(str::trim).any(|row| !(row.is_empty() || row.starts_with('#') || row.starts_with('%')))
}

impl<'a> Document<'a> {
    /// An object that stands in no text.
    pub(super) fn json(value: Value) -> Self {
        Self { line: 0, text: None, path: String::new(), body: Ok(value) }
    }

    /// A document of its text, which may begin with empty lines: it counts from its first line with content.
    fn of(line: usize, text: &'a str) -> Self {
        let skipped: usize =
            text.split_inclusive('\n').take_while(|row| row.trim().is_empty()).map(str::len).sum();
        let line = line + text[..skipped].matches('\n').count();
        let text = &text[skipped..];
        Self { line, text: Some(text), path: String::new(), body: yaml::parse(text) }
    }
}
