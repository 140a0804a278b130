//! Label and field selectors of lists and watches.

use serde_json::Value;

use super::kinds::ApiKind;

/// Parsed selectors.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In,
    NotIn,
    Above,
    Below,
}

impl Selectors {
    pub(super) fn parse(labels: &str, fields: &str, kind: &ApiKind) -> Result<Self, String> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(fields, kind)? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn select(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let field = |path: &str| match object.pointer(&format!("/{}", path.replace('.', "/"))) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(value)) => value.to_string(),
            _ if path == "spec.unschedulable" => "false".to_owned(),
            _ => String::new(),
        };
        self.labels.iter().all(|requirement| requirement.holds(label(&requirement.key)))
            && self.fields.iter().all(|(path, equal, value)| (field(path) == *value) == *equal)
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let is_among = value.is_some_and(|value| self.values.iter().any(|other| other == value));
        let order = || {
            let bound = self.values.first()?.parse::<i64>().ok()?;
            Some(value?.parse::<i64>().ok()?.cmp(&bound))
        };
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::In => is_among,
            Operator::NotIn => !is_among,
            Operator::Above => order().is_some_and(std::cmp::Ordering::is_gt),
            Operator::Below => order().is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

/// Returns whether a `LabelSelector` of an object selects labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let wanted = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let is_met = |expression: &Value| {
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let operator = match expression.get("operator").and_then(Value::as_str) {
            Some("In") => Operator::In,
            Some("NotIn") => Operator::NotIn,
            Some("DoesNotExist") => Operator::Absent,
            _ => Operator::Exists,
        };
        let values = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
        let key = expression.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        let value = label(&key);
        Requirement { key, operator, values }.holds(value)
    };
    let mut expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    wanted.into_iter().all(|(key, value)| label(key) == value.as_str()) && expressions.all(is_met)
}

/// The tokens of a selector: operators and words.
struct Words {
    words: Vec<String>,
    next: usize,
}

impl Words {
    fn of(text: &str) -> Self {
        const SPECIAL: &str = "()!,=<>";
        let mut words = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if rest.starts_with("!=") || rest.starts_with("==") => 2,
                _ if SPECIAL.contains(first) => 1,
                _ => rest.find(|c: char| SPECIAL.contains(c) || c.is_whitespace()).unwrap_or(rest.len()),
            };
            words.push(rest[..length].to_owned());
            rest = rest[length..].trim_start();
        }
        Self { words, next: 0 }
    }

    /// Returns the next token; empty at the end.
    fn peek(&self) -> &str {
        self.words.get(self.next).map_or("", String::as_str)
    }

    fn take(&mut self) -> String {
        let word = self.peek().to_owned();
        self.next += 1;
        word
    }

    fn is_name(&self) -> bool {
        !matches!(self.peek(), "" | "(" | ")" | "!" | "," | "=" | "==" | "!=" | "<" | ">")
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let mut words = Words::of(text);
    let mut requirements = Vec::new();
    loop {
        if words.peek().is_empty() {
            return Ok(requirements);
        }
        if !words.is_name() && words.peek() != "!" {
            return Err(format!("found '{}', expected: !, identifier, or 'end of string'", words.peek()));
        }
        let requirement = requirement(&mut words);
        requirements.push(requirement.map_err(|error| format!("unable to parse requirement: {error}"))?);
        match words.take().as_str() {
            "" => return Ok(requirements),
            "," if words.is_name() || words.peek() == "!" => {}
            "," => return Err(format!("found '{}', expected: identifier after ','", words.peek())),
            other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
        }
    }
}

fn requirement(words: &mut Words) -> Result<Requirement, String> {
    let is_absent = words.peek() == "!";
    if is_absent {
        words.take();
    }
    if !words.is_name() {
        return Err(format!("found '{}', expected: identifier", words.peek()));
    }
    let key = words.take();
    check_key(&key)?;
    let with = |operator, values| Ok(Requirement { key: key.clone(), operator, values });
    if is_absent {
        return with(Operator::Absent, Vec::new());
    }
    let (operator, values) = match words.peek() {
        "" | "," => return with(Operator::Exists, Vec::new()),
        "in" | "notin" => {
            let operator = if words.take() == "in" { Operator::In } else { Operator::NotIn };
            (operator, list(words)?)
        }
        "=" | "==" | "!=" | ">" | "<" => {
            let operator = match words.take().as_str() {
                "!=" => Operator::NotIn,
                ">" => Operator::Above,
                "<" => Operator::Below,
                _ => Operator::In,
            };
            let value = match words.peek() {
                "" | "," => String::new(),
                _ if words.is_name() => words.take(),
                other => return Err(format!("found '{other}', expected: identifier")),
            };
            (operator, vec![value])
        }
        other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
    };
    for (index, value) in values.iter().enumerate() {
        check_value(&format!("values[{index}][{key}]"), value)?;
    }
    with(operator, values)
}

/// Parses values in parentheses.
fn list(words: &mut Words) -> Result<Vec<String>, String> {
    if words.peek() != "(" {
        return Err(format!("found '{}' expected: '('", words.peek()));
    }
    words.take();
    let mut values = Vec::new();
    loop {
        match words.peek() {
            ")" => {
                words.take();
                if values.is_empty() {
                    values.push(String::new());
                }
                return Ok(values);
            }
            "," => {
                words.take();
            }
            _ if words.is_name() => values.push(words.take()),
            other => return Err(format!("found '{other}', expected: ',', ')' or identifier")),
        }
    }
}

/// Checks for alphanumeric characters at both ends, and also `-`, `_` and `.` between.
fn is_name(text: &str) -> bool {
    let mut ends = text.chars().next().into_iter().chain(text.chars().last());
    ends.all(|c| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn check_key(key: &str) -> Result<(), String> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    if !name.is_empty() && name.len() <= 63 && is_name(name) {
        return Ok(());
    }
    Err(format!(
        "<nil>: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    ))
}

fn check_value(path: &str, value: &str) -> Result<(), String> {
    if value.len() <= 63 && is_name(value) {
        return Ok(());
    }
    Err(format!(
        "{path}: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric \
         characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ))
}

fn parse_fields(text: &str, kind: &ApiKind) -> Result<Vec<(String, bool, String)>, String> {
    let terms = text.split(',').filter(|term| !term.is_empty());
    let read = |term: &str| {
        let operators = [("!=", false), ("==", true), ("=", true)];
        let split = operators.iter().find_map(|(operator, equal)| {
            term.split_once(operator).map(|(path, value)| (path.to_owned(), *equal, value.to_owned()))
        });
        let split = split.ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
        if kind.group == "events.k8s.io" && is_selectable(kind, &split.0) {
            // Events are stored in the core group.
            let path = split.0.replace("regarding.", "involvedObject.");
            return Ok((path.replace("reportingController", "reportingComponent"), split.1, split.2));
        }
        if is_selectable(kind, &split.0) { Ok(split) } else { Err(unsupported(kind, &split.0)) }
    };
    terms.map(read).collect()
}

/// Returns the selectable fields of a kind, besides name and namespace.
fn fields_of(kind: &ApiKind) -> &'static [&'static str] {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "secrets") => &["type"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "pods") => &["spec.nodeName", "spec.restartPolicy", "status.phase", "status.podIP"],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
        ],
        ("batch", "jobs") => &["status.successful"],
        ("events.k8s.io", "events") => &[
            "reason",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.uid",
            "reportingController",
            "type",
        ],
        _ => &[],
    }
}

fn is_selectable(kind: &ApiKind, path: &str) -> bool {
    path == "metadata.name"
        || (path == "metadata.namespace" && kind.namespaced)
        || fields_of(kind).contains(&path)
}

fn unsupported(kind: &ApiKind, path: &str) -> String {
    if kind.traits.is_custom || !fields_of(kind).is_empty() {
        format!("field label not supported: {path}")
    } else {
        format!("\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }
}
