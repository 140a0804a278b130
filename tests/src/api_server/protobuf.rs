//! Protobuf bodies, in which Helm writes its releases: Secrets and their deletion. The tested clients send
//! all other kinds as JSON.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};

const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The prefix of each body.
const MAGIC: &[u8] = b"k8s\0";

/// Converts body and headers to JSON; unchanged if the kind is not supported here.
pub(super) fn as_json(headers: &HeaderMap, body: Bytes) -> (HeaderMap, Bytes) {
    let mut headers = headers.clone();
    let is_protobuf =
        headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == MEDIA_TYPE.as_bytes());
    let Some(object) = is_protobuf.then(|| object(&body)).flatten() else { return (headers, body) };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, Bytes::from(object.to_string()))
}

/// Reads `Unknown` of Kubernetes' runtime: kind and version, and the object as bytes.
fn object(body: &[u8]) -> Option<Value> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), Vec::new());
    for (number, field) in fields(body.strip_prefix(MAGIC)?)? {
        match number {
            1 => {
                for (number, field) in fields(field.bytes()?)? {
                    match number {
                        1 => api_version = field.text()?,
                        2 => kind = field.text()?,
                        _ => {}
                    }
                }
            }
            2 => raw = field.bytes()?.to_vec(),
            _ => {}
        }
    }
    let mut object = match kind.as_str() {
        "Secret" => secret(&raw)?,
        "DeleteOptions" => delete_options(&raw)?,
        _ => return None,
    };
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    Some(object)
}

fn secret(bytes: &[u8]) -> Option<Value> {
    let mut secret = json!({});
    let mut data = Map::new();
    for (number, field) in fields(bytes)? {
        match number {
            1 => secret["metadata"] = metadata(field.bytes()?)?,
            2 => {
                let (key, value) = entry(field.bytes()?)?;
                data.insert(key, STANDARD.encode(value.bytes()?).into());
            }
            3 => secret["type"] = field.text()?.into(),
            5 => secret["immutable"] = (field.number()? != 0).into(),
            _ => return None,
        }
    }
    if !data.is_empty() {
        secret["data"] = data.into();
    }
    Some(secret)
}

fn metadata(bytes: &[u8]) -> Option<Value> {
    let mut metadata = json!({});
    for (number, field) in fields(bytes)? {
        let name = match number {
            1 => "name",
            2 => "generateName",
            3 => "namespace",
            5 => "uid",
            6 => "resourceVersion",
            11 => "labels",
            12 => "annotations",
            // Server-set fields are not needed in a request.
            _ => continue,
        };
        if number < 11 {
            metadata[name] = field.text()?.into();
        } else {
            let (key, value) = entry(field.bytes()?)?;
            metadata[name][key] = value.text()?.into();
        }
    }
    // Empty strings are the default.
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|_, value| value != "");
    }
    Some(metadata)
}

fn delete_options(bytes: &[u8]) -> Option<Value> {
    let mut options = json!({});
    for (number, field) in fields(bytes)? {
        match number {
            1 => options["gracePeriodSeconds"] = field.number()?.into(),
            4 => options["propagationPolicy"] = field.text()?.into(),
            _ => return None,
        }
    }
    Some(options)
}

/// A field's value.
enum WireValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> WireValue<'a> {
    fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }

    fn text(&self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Bytes(_) => None,
        }
    }
}

/// Returns an entry of a map.
fn entry(bytes: &[u8]) -> Option<(String, WireValue<'_>)> {
    let (mut key, mut value) = (String::new(), WireValue::Bytes(&[]));
    for (number, field) in fields(bytes)? {
        match number {
            1 => key = field.text()?,
            2 => value = field,
            _ => return None,
        }
    }
    Some((key, value))
}

/// Returns the fields of a message, in their order.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, WireValue<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => WireValue::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                WireValue::Bytes(value)
            }
            _ => return None,
        };
        fields.push((tag >> 3, field));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protobuf_secret_equals_its_json() {
        let mut body = MAGIC.to_vec();
        body.extend(b"\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x1d");
        body.extend(b"\x0a\x0d\x0a\x01s\x12\x00\x5a\x06\x0a\x01a\x12\x01b\x12\x08\x0a\x01k\x12\x03\x00\x01\xff\x1a\x02ty");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        let (headers, body) = as_json(&headers, body.into());
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        let object: Value = serde_json::from_slice(&body).unwrap();
        let wanted = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}},
                            "data": {"k": "AAH/"}, "type": "ty"});
        assert_eq!(object, wanted);
    }
}
