//! A first pass over request bodies: syntax and type metadata, with the real server's error messages.

use serde_json::Value;

use super::objects::text;
use super::status_error::StatusError;
use super::text::BodyEncoding;

/// How deep JSON may be nested, and how much of a body an error shows.
const DEEPEST: usize = 10_000;
const SHOWN: usize = 30;
pub(super) const TYPE_META: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
    \"json:\\\"kind,omitempty\\\"\" }";

/// A body's version and kind.
#[derive(Debug, Default)]
pub(super) struct TypeMeta {
    pub(super) api_version: String,
    pub(super) kind: String,
}

/// Reads kind and version of a body; custom resources must have them.
pub(super) fn identify(
    body: &[u8],
    encoding: BodyEncoding,
    kind: &str,
    is_custom: bool,
) -> Result<(String, TypeMeta), StatusError> {
    let refuse = |why: &str| {
        let message = format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({})",
            summary(body)
        );
        StatusError::bad_request(message)
    };
    let text = paired(&String::from_utf8_lossy(body));
    if encoding == BodyEncoding::Json {
        check(&text)
            .map_err(|error| refuse(&format!("couldn't get version/kind; json parse error: {error}")))?;
    }
    let read = match encoding {
        BodyEncoding::Json => super::text::json(&text).map(|read| read.value).unwrap_or_default(),
        BodyEncoding::Yaml => super::text::yaml(&text).map(|read| read.value).unwrap_or_default(),
    };
    if let Some(found) = not_an_object(&read) {
        let error = format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}");
        return Err(refuse(&format!("couldn't get version/kind; json parse error: {error}")));
    }
    let (api_version, kind) =
        (self::text(&read, "/apiVersion").to_owned(), self::text(&read, "/kind").to_owned());
    if is_custom && kind.is_empty() {
        return Err(refuse(&format!("Object 'Kind' is missing in '{text}'")));
    }
    if is_custom && api_version.is_empty() {
        return Err(refuse(&format!("Object 'apiVersion' is missing in '{text}'")));
    }
    Ok((text, TypeMeta { api_version, kind }))
}

/// Replaces lone surrogates by the replacement character.
fn paired(text: &str) -> String {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u").and_then(|rest| rest.get(..4));
        digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    let (mut paired, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("\\") {
        paired.push_str(&rest[..start]);
        rest = &rest[start..];
        let taken = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                paired.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            _ => rest.char_indices().nth(2).map_or(rest.len(), |(index, _)| index),
        };
        paired.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    paired.push_str(rest);
    paired
}

fn not_an_object(value: &Value) -> Option<&'static str> {
    match value {
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
        Value::Object(_) | Value::Null => None,
    }
}

/// Returns the error for a body of another kind than that of the path.
pub(super) fn mismatch(found: &TypeMeta, group: &str, version: &str, kind: &str) -> StatusError {
    let short = found.api_version.rsplit('/').next().unwrap_or_default();
    let internal = match group.split('.').next().unwrap_or_default() {
        "" => "core",
        name => name,
    };
    let wanted = if version == short { found.api_version.clone() } else { version.to_owned() };
    StatusError::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {kind}: converting ({short}.{}) to ({internal}.{kind}): unknown \
         conversion",
        found.kind,
        wanted.rsplit('/').next().unwrap_or_default(),
        found.kind
    ))
}

/// Reads a body of a kind whose fields are not known.
pub(super) fn plain(text: &str, encoding: BodyEncoding) -> Result<Value, StatusError> {
    let read = match encoding {
        BodyEncoding::Json => {
            super::text::json(text).map(|read| read.value).map_err(|error| error.to_string())
        }
        BodyEncoding::Yaml => {
            super::text::yaml(text).map(|read| read.value).map_err(|error| error.to_string())
        }
    };
    read.map_err(StatusError::bad_request)
}

/// Reads the body of a deletion.
pub(super) fn delete_options(body: &[u8]) -> Result<Value, StatusError> {
    let text = String::from_utf8_lossy(body);
    check(&text).map_err(|error| {
        StatusError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let (kind, api_version) = (self::text(&value, "/kind"), self::text(&value, "/apiVersion"));
    if !kind.is_empty() && kind != "DeleteOptions" {
        return Err(StatusError::bad_request(format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \
             \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
        )));
    }
    Ok(value)
}

/// Returns the beginning of a body as errors show it.
fn summary(body: &[u8]) -> String {
    let more = if body.len() > SHOWN { " ..." } else { "" };
    let start = &body[..body.len().min(SHOWN)];
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", start.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// Checks the syntax of JSON.
fn check(text: &str) -> Result<(), String> {
    check_depth(text)?;
    let mut scan = Scan { rest: text };
    scan.value()?;
    scan.space();
    match scan.rest.chars().next() {
        None => Ok(()),
        Some(other) => Err(format!("invalid character {other:?} after top-level value")),
    }
}

/// Checks the nesting depth, before anything recurses.
fn check_depth(text: &str) -> Result<(), String> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(format!("invalid character '{}' exceeded max depth", char::from(byte)));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

struct Scan<'a> {
    rest: &'a str,
}

impl Scan<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn next(&mut self) -> Result<char, String> {
        self.rest.chars().next().ok_or_else(|| "unexpected end of JSON input".to_owned())
    }

    fn take(&mut self) -> Result<char, String> {
        let next = self.next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Ok(next)
    }

    fn value(&mut self) -> Result<(), String> {
        self.space();
        match self.next()? {
            open @ ('{' | '[') => {
                self.take()?;
                if open == '{' { self.fields() } else { self.items() }
            }
            '"' => self.string(),
            't' => self.literal("true"),
            'f' => self.literal("false"),
            'n' => self.literal("null"),
            '-' | '0'..='9' => {
                self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit() || "+-.eE".contains(c));
                Ok(())
            }
            other => Err(format!("invalid character {other:?} looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.chars() {
            let found = self.take()?;
            if found != expected {
                return Err(format!(
                    "invalid character {found:?} in literal {word} (expecting {expected:?})"
                ));
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.take()?;
        loop {
            match self.take()? {
                '"' => return Ok(()),
                '\\' => {
                    self.take()?;
                }
                control if control < ' ' => {
                    return Err(format!("invalid character {control:?} in string literal"));
                }
                _ => {}
            }
        }
    }

    fn items(&mut self) -> Result<(), String> {
        self.space();
        if self.next()? == ']' {
            return self.take().map(|_| ());
        }
        loop {
            self.value()?;
            self.space();
            match self.take()? {
                ']' => return Ok(()),
                ',' => {}
                other => return Err(format!("invalid character {other:?} after array element")),
            }
        }
    }

    fn fields(&mut self) -> Result<(), String> {
        self.space();
        if self.next()? == '}' {
            return self.take().map(|_| ());
        }
        loop {
            self.space();
            match self.next()? {
                '"' => self.string()?,
                other => {
                    return Err(format!(
                        "invalid character {other:?} looking for beginning of object key string"
                    ));
                }
            }
            self.space();
            match self.take()? {
                ':' => {}
                other => return Err(format!("invalid character {other:?} after object key")),
            }
            self.value()?;
            self.space();
            match self.take()? {
                '}' => return Ok(()),
                ',' => {}
                other => return Err(format!("invalid character {other:?} after object key:value pair")),
            }
        }
    }
}
