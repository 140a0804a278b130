//! Server-set metadata of objects: times, UIDs and names.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Letters of generated names: no vowels, so that they form no words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Number of letters appended to `generateName`, and the longest prefix before them.
const SUFFIX: usize = 5;
const LONGEST_BASE: usize = 63 - SUFFIX;

/// Returns the present time, in seconds.
pub(super) fn now() -> String {
    at(Timestamp::now())
}

/// Formats a time as in objects.
pub(super) fn at(time: Timestamp) -> String {
    time.strftime("%FT%TZ").to_string()
}

/// Draws an unpredictable number.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

pub(super) fn uid() -> String {
    let (high, low) = (random(), random());
    let variant = 0x8000 | (low >> 48 & 0x3fff);
    let (first, second) = (high >> 32, high >> 16 & 0xffff);
    format!("{first:08x}-{second:04x}-4{:03x}-{variant:04x}-{:012x}", high & 0xfff, low & 0xffff_ffff_ffff)
}

/// Generates a name with this prefix.
pub(super) fn generated_name(base: &str) -> String {
    let base: String = base.chars().take(LONGEST_BASE).collect();
    let mut random = random();
    let letters = (0..SUFFIX).map(|_| {
        let letter = LETTERS[(random % LETTERS.len() as u64) as usize];
        random /= LETTERS.len() as u64;
        char::from(letter)
    });
    format!("{base}{}", letters.collect::<String>())
}

/// Returns a string field of an object; empty if missing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn uid_of(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Returns the resource version of an object.
pub(super) fn version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

/// Sets or removes a field.
pub(super) fn set(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            fields.insert(name.to_owned(), value);
        }
        None => {
            fields.remove(name);
        }
    }
}

/// Removes a field of `metadata`.
pub(super) fn unset(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

pub(super) fn is_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

pub(super) fn has_finalizers(object: &Value) -> bool {
    let of =
        |pointer: &str| object.pointer(pointer).and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    of("/metadata/finalizers") || (object["kind"] == "Namespace" && of("/spec/finalizers"))
}
