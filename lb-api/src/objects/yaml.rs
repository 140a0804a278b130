//! A YAML parser with bounded cost: linear in the length of the text.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Error, Options, Spanned, with_deserializer_from_str_with_options};

use super::path::Step;

/// Maximum nesting; no supported object has half as much.
const MAX_DEPTH: usize = 64;
/// Maximum number of values in a document. A `List` may contain a whole cluster.
const MAX_NODES: usize = 10_000_000;

/// A text that is not YAML, or exceeds a limit.
pub(super) struct InvalidYaml {
    /// Line of the text, from 1, if the parser reports it.
    pub(super) line: Option<usize>,
    /// The parser's message.
    pub(super) words: String,
}

/// Aliases may extend a document by this much plus its own length.
const MAX_REPEATED: usize = 200;

fn options(text: &str) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: 3 * MAX_NODES,
            max_nodes: MAX_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPEATED + text.len() },
        // As kubectl reads YAML: `yes`, `no`, `on`, `off`, `y` and `n` are booleans, and `010` is eight.
        strict_booleans: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Value, InvalidYaml> {
    let parsed = with_deserializer_from_str_with_options(text, options(text), |it| Value::deserialize(it));
    parsed.map_err(|error| InvalidYaml {
        line: error.location().map(|at| at.line() as usize),
        words: error.to_string(),
    })
}

/// Returns the line, from 1, of the value at this path in a text that parses.
pub(super) fn line_of(text: &str, path: &[Step]) -> Option<usize> {
    let find = |it: serde_saphyr::Deserializer<'_, '_>| Find(path).deserialize(it);
    let found: Result<Option<usize>, Error> =
        with_deserializer_from_str_with_options(text, options(text), find);
    found.ok().flatten()
}

/// Finds the line of the value at a path below the current value.
struct Find<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            let value = Spanned::<IgnoredAny>::deserialize(deserializer)?;
            return Ok(Some(value.referenced.line() as usize));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the path goes through")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            match self.0.split_first() {
                Some((Step::Field(key), rest)) if *key == name => found = map.next_value_seed(Find(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for number in 0.. {
            let is_next = match self.0.split_first() {
                Some((Step::Item(index), rest)) if *index == number => {
                    let line = items.next_element_seed(Find(rest))?;
                    found = line.flatten().or(found);
                    line.is_some()
                }
                _ => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_next {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn repetition_is_bounded_by_the_length() {
        let few = "a: &a {b: c}\nd: [*a, *a]\ne: {<<: *a, f: g}\n";
        let value = parse(few).ok().unwrap();
        assert_eq!(value["d"][1]["b"], "c");
        assert_eq!(value["e"], serde_json::json!({"b": "c", "f": "g"}));
        let doubled: String = (1..20).map(|i| format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1)).collect();
        assert!(parse(&format!("a0: &a0 x\n{doubled}")).is_err());
    }

    #[test]
    fn booleans_and_numbers_are_read_as_kubectl_reads_them() {
        let value = parse("a: [yes, Off, y, NO, 'no', 0x10, 010, 1_000]").ok().unwrap();
        assert_eq!(value["a"], serde_json::json!([true, false, true, false, "no", 16, 8, 1000]));
    }

    #[test]
    fn excessive_nesting_is_reported() {
        for text in ["{a: ".repeat(70) + &"}".repeat(70), "[".repeat(70) + &"]".repeat(70)] {
            let invalid = parse(&text).err().unwrap();
            assert!(invalid.words.contains("limit exceeded"), "{}", invalid.words);
        }
        assert!(parse(&("{a: ".repeat(60) + &"}".repeat(60))).is_ok());
    }
}
