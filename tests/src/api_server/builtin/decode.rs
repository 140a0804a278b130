//! Reading and writing of built-in kinds as Go does.

use serde_json::{Map, Value, json};

use crate::api_server::types::{FieldType, RecordType, ResolvedType, ScalarType, ValueType};

/// String fields that are kept if empty: struct and field.
const KEPT_TEXTS: [(&str, &str); 14] = [
    ("LeaseSpec", "holderIdentity"),
    ("LeaseSpec", "strategy"),
    ("LeaseSpec", "preferredHolder"),
    ("ServiceSpec", "loadBalancerClass"),
    ("ServiceSpec", "ipFamilyPolicy"),
    ("ServiceSpec", "trafficDistribution"),
    ("ServiceSpec", "internalTrafficPolicy"),
    ("ServicePort", "appProtocol"),
    ("EndpointPort", "name"),
    ("EndpointPort", "protocol"),
    ("EndpointPort", "appProtocol"),
    ("Endpoint", "hostname"),
    ("Endpoint", "nodeName"),
    ("Endpoint", "zone"),
];

/// Number and flag fields that are dropped if zero or false: struct and field.
const DROPPED_ZEROS: [(&str, &str); 28] = [
    ("ServicePort", "nodePort"),
    ("ServiceSpec", "healthCheckNodePort"),
    ("ServiceSpec", "publishNotReadyAddresses"),
    ("ContainerPort", "hostPort"),
    ("Event", "count"),
    ("EventSeries", "count"),
    ("Event", "deprecatedCount"),
    ("NodeSpec", "unschedulable"),
    ("PodSpec", "hostNetwork"),
    ("PodSpec", "hostPID"),
    ("PodSpec", "hostIPC"),
    ("Container", "stdin"),
    ("Container", "stdinOnce"),
    ("Container", "tty"),
    ("VolumeMount", "readOnly"),
    ("DeploymentSpec", "paused"),
    ("DeploymentSpec", "minReadySeconds"),
    ("DaemonSetSpec", "minReadySeconds"),
    ("Probe", "initialDelaySeconds"),
    ("JSONSchemaProps", "nullable"),
    ("JSONSchemaProps", "uniqueItems"),
    ("JSONSchemaProps", "exclusiveMaximum"),
    ("JSONSchemaProps", "exclusiveMinimum"),
    ("CustomResourceDefinitionVersion", "deprecated"),
    ("CustomResourceDefinitionSpec", "preserveUnknownFields"),
    ("CustomResourceColumnDefinition", "priority"),
    ("ObjectMeta", "generation"),
    ("DaemonEndpoint", "Port"),
];

/// The findings of reading: unknown fields, which are dropped, and the first error.
#[derive(Debug, Default)]
pub(in crate::api_server) struct Reading {
    unknown: Vec<String>,
    mistake: Option<String>,
}

/// Reads an object; drops unknown fields and returns their paths.
///
/// # Errors
/// The first value of a wrong type, in Go's words.
pub(in crate::api_server) fn read(
    of: &ValueType,
    value: &mut Value,
    root: &str,
) -> Result<Vec<String>, String> {
    let mut reading = Reading::default();
    reading.visit(of, value, &Place { of: "", path: root.to_owned(), shown: root.to_owned() });
    reading.mistake.map_or(Ok(reading.unknown), Err)
}

struct Place<'a> {
    /// The struct that the field is in.
    of: &'a str,
    /// Path as in Go's errors, without list indices.
    path: String,
    /// Path as shown to users.
    shown: String,
}

impl Reading {
    fn visit(&mut self, of: &ValueType, value: &mut Value, place: &Place) {
        if value.is_null() || matches!(of, ValueType::Any) {
            return;
        }
        match (of.shape(value), value) {
            (ResolvedType::Record(record), Value::Object(fields)) => {
                self.visit_fields(&record, fields, place)
            }
            (ResolvedType::List(list), Value::Array(items)) => {
                for (number, item) in items.iter_mut().enumerate() {
                    let shown = format!("{}[{number}]", place.shown);
                    self.visit(&list.element, item, &Place { of: place.of, path: place.path.clone(), shown });
                }
            }
            (
                ResolvedType::Scalar(Some(scalar @ (ScalarType::Time | ScalarType::MicroTime))),
                Value::String(text),
            ) => {
                if let Some(mistake) = mistimed(text, scalar == ScalarType::MicroTime) {
                    self.mistake.get_or_insert(mistake);
                }
            }
            (ResolvedType::Scalar(Some(ScalarType::Bytes)), Value::String(text)) => {
                if let Some(place) = no_base64(text) {
                    let mistake = format!("illegal base64 data at input byte {place}");
                    self.mistake.get_or_insert(mistake);
                }
            }
            (ResolvedType::Scalar(Some(scalar)), value) => {
                if let Some((found, wanted)) = unread(scalar, value) {
                    self.refuse(&found, wanted, place);
                }
            }
            (ResolvedType::Scalar(None), _) => {}
            (ResolvedType::Record(record), value) => {
                let wanted = if record.name.is_empty() {
                    "map[string]string".to_owned()
                } else {
                    format!("v1.{}", record.name)
                };
                self.refuse(&kind_of(value), &wanted, place);
            }
            (ResolvedType::List(list), value) => {
                let element = match &list.element {
                    ValueType::Named(name) => format!("v1.{}", name.rsplit('.').next().unwrap_or(name)),
                    _ => "string".to_owned(),
                };
                self.refuse(&kind_of(value), &format!("[]{element}"), place);
            }
        }
    }

    fn visit_fields(&mut self, record: &RecordType, fields: &mut Map<String, Value>, place: &Place) {
        let holder = if record.name.is_empty() { place.of } else { &record.name };
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            let below = |path: &str| if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            // Go's path lacks the keys of a map.
            let path = if record.rest.is_some() { place.path.clone() } else { below(&place.path) };
            let shown = below(&place.shown);
            match (record.field(&name), fields.get_mut(&name)) {
                (Some(of), Some(value)) => self.visit(of, value, &Place { of: holder, path, shown }),
                _ => {
                    fields.remove(&name);
                    self.unknown.push(shown);
                }
            }
        }
    }

    fn refuse(&mut self, found: &str, wanted: &str, place: &Place) {
        let Place { of, path, .. } = place;
        let mistake =
            format!("json: cannot unmarshal {found} into Go struct field {of}.{path} of type {wanted}");
        self.mistake.get_or_insert(mistake);
    }
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    }
    .to_owned()
}

/// Returns the found JSON type and the expected Go type, if they differ.
fn unread(scalar: ScalarType, value: &Value) -> Option<(String, &'static str)> {
    let whole = |wanted, fits: bool| match value {
        Value::Number(_) if fits => None,
        Value::Number(number) => Some((format!("number {number}"), wanted)),
        value => Some((kind_of(value), wanted)),
    };
    let number = value.as_i64();
    match scalar {
        ScalarType::String | ScalarType::Bytes if !value.is_string() => Some((kind_of(value), "string")),
        ScalarType::Time | ScalarType::MicroTime if !value.is_string() => Some((kind_of(value), "string")),
        ScalarType::Boolean if !value.is_boolean() => Some((kind_of(value), "bool")),
        ScalarType::Int32 => whole("int32", number.is_some_and(|number| i32::try_from(number).is_ok())),
        ScalarType::Int64 => whole("int64", number.is_some()),
        ScalarType::Float | ScalarType::Number if !value.is_number() => Some((kind_of(value), "float64")),
        ScalarType::IntOrString if !value.is_string() => {
            whole("int32", number.is_some_and(|number| i32::try_from(number).is_ok()))
        }
        _ => None,
    }
}

/// Returns the position at which a string is not base64.
fn no_base64(text: &str) -> Option<usize> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let body = text.trim_end_matches('=');
    match body.bytes().position(|byte| !fits(byte)) {
        Some(place) => Some(place),
        None if !text.len().is_multiple_of(4) || text.len() - body.len() > 2 => Some(body.len()),
        None => None,
    }
}

/// Returns why a string is not a time.
fn mistimed(text: &str, micro: bool) -> Option<String> {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let refuse = |rest: &str, wanted: &str| {
        Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {wanted:?}"))
    };
    if text.parse::<jiff::Timestamp>().is_err() {
        return refuse(text, "2006");
    }
    let rest = text.get(19..).unwrap_or_default();
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if micro && digits < 6 { refuse(rest, ".000000") } else { None }
}

/// Writes an object as Go does: empty fields are dropped, unless they are always written.
pub(in crate::api_server) fn write(of: &ValueType, value: &mut Value) {
    match (of.shape(value), &mut *value) {
        (ResolvedType::Record(record), Value::Object(fields)) => {
            write_fields(&record, fields);
            for (name, field) in &record.fields {
                if let Some(part) = empty(field).filter(|_| !fields.contains_key(name)) {
                    fields.insert(name.clone(), part);
                }
            }
        }
        (ResolvedType::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| write(&list.element, item))
        }
        _ => {}
    }
}

/// Returns the value written for a missing field.
fn empty(field: &FieldType) -> Option<Value> {
    if field.embedded {
        let mut part = json!({});
        write(&field.of, &mut part);
        return Some(part);
    }
    match (&field.of, field.required) {
        (_, false) => None,
        (ValueType::Scalar(ScalarType::String), _) => Some(json!("")),
        (ValueType::Scalar(ScalarType::Int32 | ScalarType::Int64), _) => Some(json!(0)),
        (ValueType::Scalar(ScalarType::Boolean), _) => Some(json!(false)),
        _ => Some(Value::Null),
    }
}

fn write_fields(record: &RecordType, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| {
        let Some(of) = record.field(name) else { return true };
        if matches!(of, ValueType::Any) {
            // Kept even if empty.
            return !value.is_null();
        }
        if let ValueType::Scalar(ScalarType::MicroTime) = of {
            micro(value);
        }
        let field = record.fields.get(name);
        if value.is_null() && record.rest.is_some() {
            // A string in a map is never null in Go.
            *value =
                if matches!(of, ValueType::Scalar(ScalarType::String)) { json!("") } else { Value::Null };
            return true;
        }
        if value.is_null() && field.is_some_and(|field| field.embedded) {
            *value = json!({});
        }
        write(of, value);
        let always = field.is_none_or(|field| field.required || field.embedded);
        let place = (record.name.as_str(), name.as_str());
        match value {
            Value::Null => always,
            Value::String(text) if text.is_empty() => always || KEPT_TEXTS.contains(&place),
            Value::Array(items) if items.is_empty() => always,
            Value::Object(fields) if fields.is_empty() => {
                let pointer = field.is_some_and(|field| matches!(field.of, ValueType::Named(_)));
                always || pointer
            }
            Value::Bool(false) => always || !DROPPED_ZEROS.contains(&place),
            Value::Number(number) if number.as_i64() == Some(0) => always || !DROPPED_ZEROS.contains(&place),
            _ => true,
        }
    });
}

/// Formats a time with microseconds, always with six digits.
fn micro(value: &mut Value) {
    let Some(time) = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) else { return };
    *value = json!(format!("{time:.6}"));
}
