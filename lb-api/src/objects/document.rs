//! One YAML document of a text, or one item of a `List` in it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::null_default;
use super::yaml;
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
    name: Option<String>,
    namespace: Option<String>,
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
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone().unwrap_or_default(),
        })
    }
}

impl Document<'_> {
    /// Reads it as a `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Flaw> {
        let value = self.body.as_ref().map_err(|invalid| Flaw {
            line: invalid.line.map(|line| self.line + line.saturating_sub(1)),
            field: None,
            words: words(&invalid.words, ""),
        })?;
        serde_path_to_error::deserialize(value).map_err(|error| self.flaw(&error))
    }

    /// The items of a `List` as documents.
    pub(super) fn items(&self, list: List) -> impl Iterator<Item = Document<'static>> {
        let line = self.line;
        let prefix = if self.path.is_empty() { String::new() } else { format!("{}.", self.path) };
        list.items.into_iter().enumerate().map(move |(i, value)| Document {
            line,
            text: None,
            path: format!("{prefix}items[{i}]"),
            body: Ok(value),
        })
    }

    fn flaw(&self, error: &serde_path_to_error::Error<serde_json::Error>) -> Flaw {
        let path = error.path().to_string();
        let field = match (self.path.as_str(), path.as_str()) {
            ("", NO_PATH | UNKNOWN_PATH) => None,
            (prefix, NO_PATH | UNKNOWN_PATH) => Some(prefix.to_owned()),
            ("", path) => Some(path.to_owned()),
            (prefix, path) => Some(format!("{prefix}.{path}")),
        };
        let line = self.text.and_then(|text| yaml::line_of(text, error.path()));
        let line = line.map(|line| self.line + line.saturating_sub(1));
        Flaw { line, field, words: words(&error.inner().to_string(), &path) }
    }
}

/// Path of the document as a whole.
const NO_PATH: &str = ".";
/// Path of something that the parser could not make out.
const UNKNOWN_PATH: &str = "?";

/// The parser's words without the path and the line, which a problem tells itself; the parser counts lines
/// from the start of the document, which would mislead.
fn words(message: &str, path: &str) -> String {
    let message = message.strip_prefix(path).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message);
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// Cuts a text at the lines that separate documents, before anything is parsed, so that a broken document
/// costs only itself. Documents without content are left out.
///
/// A separator at the start of a line ends a document wherever it stands (YAML 1.2 section 9.1.2), so no
/// knowledge of the document's structure is needed.
pub(super) fn split(text: &str) -> impl Iterator<Item = Document<'_>> {
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
