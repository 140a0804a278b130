//! Placeholders in recorded answers for values that differ from run to run.

use std::collections::BTreeMap;

use serde_json::Value;

/// Saved values, by their name in the recording.
#[derive(Clone, Debug, Default)]
pub(super) struct SavedValues(BTreeMap<String, String>);

impl SavedValues {
    pub(super) fn insert(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// Fills the saved values into a text.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    }

    /// Returns whether a text matches the pattern.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> bool {
        self.matches_part(pattern, text, pattern == "<rv>")
    }

    fn matches_part(&self, pattern: &str, text: &str, is_whole: bool) -> bool {
        let Some(start) = pattern.find('<') else { return pattern == text };
        let (literal, rest) = pattern.split_at(start);
        let Some(text) = text.strip_prefix(literal) else { return false };
        let placeholder = rest.find('>').map(|end| (&rest[1..end], &rest[end + 1..]));
        match placeholder {
            Some((name, rest)) if self.0.contains_key(name) => text
                .strip_prefix(self.0[name].as_str())
                .is_some_and(|text| self.matches_part(rest, text, is_whole)),
            Some((name, rest)) if is_form(name) => self.matches_form(name, rest, text, is_whole),
            _ => text.strip_prefix('<').is_some_and(|text| self.matches_part(&rest[1..], text, is_whole)),
        }
    }

    /// Tries the longest value of this format first.
    fn matches_form(&self, name: &str, rest: &str, text: &str, is_whole: bool) -> bool {
        let ends = text.char_indices().map(|(index, character)| index + character.len_utf8());
        let ends: Vec<usize> =
            ends.take_while(|end| text[..*end].chars().all(|c| belongs(name, c))).collect();
        let mut fitting = ends.into_iter().rev().filter(|end| self.has_form(name, &text[..*end], is_whole));
        fitting.any(|end| self.matches_part(rest, &text[end..], is_whole))
    }

    fn has_form(&self, name: &str, value: &str, is_whole: bool) -> bool {
        match name {
            // Any version that is not saved under a name of its own; within words, any version.
            "rv" => {
                let is_saved =
                    || self.0.iter().any(|(name, saved)| name.starts_with("rv-") && saved == value);
                value.parse::<u64>().is_ok() && !(is_whole && is_saved())
            }
            "uid" => value.len() == 36 && value.matches('-').count() == 4,
            "time" => value.len() == 20 && value.parse::<jiff::Timestamp>().is_ok(),
            "microtime" => value.contains('.') && value.parse::<jiff::Timestamp>().is_ok(),
            "ip" => value.parse::<std::net::Ipv4Addr>().is_ok(),
            "ip6" => value.parse::<std::net::Ipv6Addr>().is_ok(),
            "port" => value.parse::<u16>().is_ok(),
            _ => !value.is_empty(),
        }
    }
}

fn is_form(name: &str) -> bool {
    const FORMS: [&str; 12] =
        ["rv", "uid", "time", "microtime", "ip", "ip6", "port", "hash", "continue", "token", "age", "ca"];
    FORMS.contains(&name)
}

/// Returns whether a character can be part of such a value.
fn belongs(name: &str, character: char) -> bool {
    match name {
        "rv" | "port" => character.is_ascii_digit(),
        "uid" => character.is_ascii_hexdigit() || character == '-',
        "ip" => character.is_ascii_digit() || character == '.',
        "ip6" => character.is_ascii_hexdigit() || character == ':',
        "time" | "microtime" => character.is_ascii_digit() || "TZ:.-".contains(character),
        _ => character.is_ascii_alphanumeric() || "+/=_-.%".contains(character),
    }
}

/// A difference between an answer and the recorded one.
#[derive(Debug)]
pub(super) struct AnswerDifference {
    pub(super) at: String,
    pub(super) recorded: String,
    pub(super) seen: String,
}

impl AnswerDifference {
    pub(super) fn new(at: &str, recorded: impl ToString, seen: impl ToString) -> Self {
        Self { at: at.to_owned(), recorded: recorded.to_string(), seen: seen.to_string() }
    }
}

/// Whether an answer was recorded completely.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MatchMode {
    All,
    /// The answer may have further fields and items.
    Part,
}

/// Returns the first difference between the recorded and the actual value.
pub(super) fn compare(
    saved: &SavedValues,
    extent: MatchMode,
    at: &str,
    recorded: &Value,
    seen: &Value,
) -> Option<AnswerDifference> {
    let differs = || Some(AnswerDifference::new(at, recorded, seen));
    match (recorded, seen) {
        (Value::Object(recorded), Value::Object(fields)) => {
            for (key, value) in recorded {
                let at = format!("{at}/{key}");
                match fields.get(key).or_else(|| find(saved, key, fields)) {
                    Some(seen) => {
                        if let Some(difference) = compare(saved, extent, &at, value, seen) {
                            return Some(difference);
                        }
                    }
                    None => return Some(AnswerDifference::new(&at, value, "nothing")),
                }
            }
            let is_recorded = |key: &str| {
                recorded.contains_key(key) || recorded.keys().any(|other| saved.matches(other, key))
            };
            let more = fields.iter().find(|(key, _)| extent == MatchMode::All && !is_recorded(key));
            more.map(|(key, value)| AnswerDifference::new(&format!("{at}/{key}"), "nothing", value))
        }
        (Value::Array(recorded), Value::Array(items)) if recorded.len() == items.len() => {
            let pairs = recorded.iter().zip(items).enumerate();
            let first = pairs.into_iter().find_map(|(index, (recorded, seen))| {
                compare(saved, extent, &format!("{at}/{index}"), recorded, seen)
            });
            first.filter(|_| extent == MatchMode::All || !is_part(saved, recorded, items))
        }
        (Value::Array(recorded), Value::Array(items)) if extent == MatchMode::Part => {
            let missing = recorded.iter().find(|item| !is_part(saved, std::slice::from_ref(item), items));
            let closest = |item: &Value| items.iter().find(|other| same_name(item, other)).cloned();
            missing.and_then(|item| match closest(item) {
                Some(other) => compare(saved, extent, at, item, &other),
                None => Some(AnswerDifference::new(at, item, "no such item")),
            })
        }
        (Value::String(pattern), Value::String(text)) if saved.matches(pattern, text) => None,
        (Value::String(pattern), Value::Number(number))
            if pattern.starts_with('<') && saved.matches(pattern, &number.to_string()) =>
        {
            None
        }
        _ if recorded == seen => None,
        _ => differs(),
    }
}

/// Finds the field whose name matches a pattern.
fn find<'a>(
    saved: &SavedValues,
    pattern: &str,
    fields: &'a serde_json::Map<String, Value>,
) -> Option<&'a Value> {
    fields.iter().find(|(key, _)| saved.matches(pattern, key)).map(|(_, value)| value)
}

fn is_part(saved: &SavedValues, recorded: &[Value], items: &[Value]) -> bool {
    let is_there =
        |item: &Value| items.iter().any(|o| compare(saved, MatchMode::Part, "", item, o).is_none());
    recorded.iter().all(is_there)
}

fn same_name(one: &Value, other: &Value) -> bool {
    let keys = ["/name", "/resource", "/version", "/type", "/metadata/name", "/manager"];
    keys.iter().any(|key| one.pointer(key).is_some() && one.pointer(key) == other.pointer(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn saved() -> SavedValues {
        let mut saved = SavedValues::default();
        saved.insert("rv-a", "7".to_owned());
        saved
    }

    #[test]
    fn a_placeholder_matches_only_values_of_its_format() {
        let fits = |pattern: &str, text: &str| saved().matches(pattern, text);
        assert!(fits("too old: 2 (<rv>)", "too old: 2 (12)"));
        assert!(!fits("<rv>", "7"), "a saved version has a name of its own");
        assert!(fits("<rv-a>", "7") && !fits("<rv-a>", "8"));
        assert!(fits("<time>", "2026-01-01T00:00:00Z") && !fits("<time>", "2026-01-01T00:00:00.5Z"));
        assert!(
            fits("<nil> and <none>", "<nil> and <none>"),
            "other words in angle brackets match themselves"
        );
        assert!(fits("<ip>", "10.96.0.1") && !fits("<ip>", "fd00::1"));
    }

    #[test]
    fn a_complete_recording_allows_no_further_fields() {
        let differs = |extent, recorded, seen: Value| {
            compare(&saved(), extent, "", &recorded, &seen).map(|difference| difference.at)
        };
        assert_eq!(differs(MatchMode::All, json!({"a": 1}), json!({"a": 1, "b": 2})), Some("/b".to_owned()));
        assert_eq!(differs(MatchMode::Part, json!({"a": 1}), json!({"a": 1, "b": 2})), None);
        assert_eq!(differs(MatchMode::All, json!({"a": [1]}), json!({"a": [2]})), Some("/a/0".to_owned()));
        assert_eq!(
            differs(MatchMode::Part, json!([{"name": "b"}]), json!([{"name": "a"}, {"name": "b"}])),
            None
        );
        assert!(
            differs(MatchMode::Part, json!([{"name": "c"}]), json!([{"name": "a"}, {"name": "b"}])).is_some()
        );
    }
}
