//! A parser of JSON and YAML bodies that detects duplicate keys.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The encoding of a body or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEncoding {
    Json,
    Yaml,
}

/// A value, and the paths of duplicate keys, of which the last one counts.
#[derive(Debug)]
pub(super) struct ParsedText {
    pub(super) value: Value,
    pub(super) duplicates: Vec<String>,
}

/// Maximum nesting depth; the real server accepts 10 000, for which our stack is too small.
const MOST_DEPTH: usize = 500;

/// Returns the nesting depth.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Replaces lone UTF-16 surrogates as Go does.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
    };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let next = rest.get(6..).unwrap_or_default();
        let length = match unit(rest) {
            Some(first) if first < 0xdc00 && unit(next).is_some_and(|second| second >= 0xdc00) => 12,
            Some(_) => 6,
            None if letter == '\\' => rest.chars().take(2).map(char::len_utf8).sum(),
            None => letter.len_utf8(),
        };
        let (taken, left) = rest.split_at(length);
        plain.push_str(if length == 6 && unit(rest).is_some() { "\\ufffd" } else { taken });
        rest = left;
    }
    Cow::Owned(plain)
}

/// Reads JSON.
///
/// # Errors
/// When it is invalid.
pub(super) fn json(text: &str) -> Result<ParsedText, serde_json::Error> {
    if depth(text) > MOST_DEPTH {
        return Err(serde::de::Error::custom("exceeded max depth"));
    }
    let text = without_lone_surrogates(text);
    let duplicates = RefCell::default();
    let mut reader = serde_json::Deserializer::from_str(&text);
    reader.disable_recursion_limit();
    let value = Seed { path: String::new(), duplicates: &duplicates }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(ParsedText { value, duplicates: duplicates.into_inner() })
}

/// Parses the first document of a YAML text.
///
/// # Errors
/// When it is invalid.
pub(super) fn yaml(text: &str) -> Result<ParsedText, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let duplicates = RefCell::default();
    let seed = Seed { path: String::new(), duplicates: &duplicates };
    let first = first_document(text);
    let value = if first.trim().is_empty() {
        Value::Null
    } else {
        serde_saphyr::with_deserializer_from_str_with_options(first, options, |it| seed.deserialize(it))?
    };
    Ok(ParsedText { value, duplicates: duplicates.into_inner() })
}

/// Returns a text up to its second document.
fn first_document(text: &str) -> &str {
    let begun = text.strip_prefix("---").map_or(0, |rest| text.len() - rest.len());
    text[begun..].find("\n---").map_or(text, |end| &text[..begun + end])
}

/// Returns the real server's message for a duplicate key in YAML.
pub(super) fn yaml_duplicate(text: &str, path: &str) -> String {
    let key = path.rsplit('.').next().unwrap_or(path);
    let name = format!("{key}:");
    let quoted = format!("\"{key}\":");
    let starts = |line: &str| {
        let places = line.match_indices(&name).map(|(place, _)| place);
        let alone = |place: &usize| {
            !line[..*place].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
        };
        places.filter(alone).count() + line.matches(&quoted).count()
    };
    let mut seen = 0;
    for (number, line) in text.lines().enumerate() {
        seen += starts(line);
        if seen >= 2 {
            return format!("line {}: key {key:?} already set in map", number + 1);
        }
    }
    format!("key {key:?} already set in map")
}

struct Seed<'a> {
    path: String,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        // The real server reads numbers beyond a signed integer as floats.
        Ok(i64::try_from(value).map_or_else(|_| Value::from(value as f64), Value::from))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, found.len());
            match items.next_element_seed(Seed { path, duplicates: self.duplicates })? {
                Some(item) => found.push(item),
                None => return Ok(Value::Array(found)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(MapKey(name)) = fields.next_key()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            let value = fields.next_value_seed(Seed { path: path.clone(), duplicates: self.duplicates })?;
            if found.insert(name, value).is_some() {
                self.duplicates.borrow_mut().push(path);
            }
        }
        Ok(Value::Object(found))
    }
}

/// A key, which may be a number in YAML.
struct MapKey(String);

impl<'de> Deserialize<'de> for MapKey {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let duplicates = RefCell::default();
        let key = Seed { path: String::new(), duplicates: &duplicates }.deserialize(reader)?;
        Ok(Self(key.as_str().map_or_else(|| key.to_string(), str::to_owned)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_key_is_detected_and_the_last_one_counts() {
        let text = json(r#"{"a": [{"b": 1, "b": 2.0}], "c": null}"#).unwrap();
        assert_eq!(
            (text.value, text.duplicates),
            (serde_json::json!({"a": [{"b": 2.0}], "c": null}), vec!["a[0].b".to_owned()])
        );
        let body = "a: 1\ndata: {k: one, k: two}\n---\nb: 2\n";
        let text = yaml(body).unwrap();
        assert_eq!(
            (text.value, text.duplicates.as_slice()),
            (serde_json::json!({"a": 1, "data": {"k": "two"}}), &["data.k".to_owned()][..])
        );
        assert_eq!(yaml_duplicate(body, "data.k"), "line 2: key \"k\" already set in map");
    }

    #[test]
    fn strings_and_depth_are_handled_as_in_go() {
        let text = json(r#"["\ud83d", "\ud83d\ude00", "\\ud83d", "\ude00x"]"#).unwrap();
        assert_eq!(text.value, serde_json::json!(["\u{fffd}", "😀", "\\ud83d", "\u{fffd}x"]));
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&deep(400)).is_ok());
        assert!(json(&deep(20_000)).is_err());
    }
}
