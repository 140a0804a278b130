//! The strategy of a kind in one version: how bodies are read, defaulted and validated.

mod custom;

use std::sync::Arc;

use serde_json::{Value, json};

use super::builtin;
use super::field_set::FieldSet;
use super::schema::{Schema, unknown_metadata};
use super::status_error::{StatusCause, StatusError};
use super::text::{self, BodyEncoding};
use super::types::{self, ValueType};

/// The strategy of a kind in one version.
#[derive(Clone, Debug)]
pub(super) struct Strategy(Arc<Definition>);

#[derive(Debug)]
struct Definition {
    group: String,
    version: String,
    kind: String,
    types: ValueType,
    source: Source,
}

#[derive(Debug)]
enum Source {
    BuiltIn,
    Custom { schema: Schema, has_status: bool },
}

/// The treatment of unknown and duplicate fields (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The request is rejected.
    Strict,
    /// The client is warned.
    Warn,
    /// They are ignored.
    Ignore,
}

/// An object that was read, and warnings for the client.
pub(super) type ReadObject = (Value, Vec<String>);

impl Strategy {
    /// Creates the strategy of a version of a CustomResourceDefinition.
    pub(super) fn custom(definition: &Value, version: &str) -> Option<Self> {
        let spec = definition.get("spec")?;
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let of_version = spec.get("versions")?.as_array()?.iter().find(|other| other["name"] == version)?;
        let schema = Schema::new(of_version);
        let has_status = of_version.pointer("/subresources/status").is_some();
        Some(Self(Arc::new(Definition {
            group: text("/group")?,
            version: version.to_owned(),
            kind: text("/names/kind")?,
            types: schema.types(),
            source: Source::Custom { schema, has_status },
        })))
    }

    /// Creates the strategy of a built-in kind.
    pub(super) fn built_in(group: &str, version: &str, kind: &str) -> Option<Self> {
        Some(Self(Arc::new(Definition {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            types: types::root(group, kind)?,
            source: Source::BuiltIn,
        })))
    }

    /// Returns the types of its fields.
    pub(super) fn types(&self) -> &ValueType {
        &self.0.types
    }

    /// Returns its version with its group.
    pub(super) fn api_version(&self) -> String {
        match self.0.group.as_str() {
            "" => self.0.version.clone(),
            group => format!("{group}/{}", self.0.version),
        }
    }

    /// Returns an empty object, the baseline for the fields of a new one.
    pub(super) fn blank(&self) -> Value {
        let mut blank = json!({"apiVersion": self.api_version(), "kind": self.0.kind});
        if matches!(self.0.source, Source::BuiltIn) {
            builtin::write(&self.0.types, &mut blank);
        }
        blank
    }

    /// Returns the fields that a write to a subresource neither changes nor owns.
    pub(super) fn reset(&self, subresource: Option<&str>) -> FieldSet {
        match (&self.0.source, subresource) {
            (Source::Custom { has_status: true, .. }, None) => FieldSet::of(&[&["status"]]),
            (Source::Custom { .. }, Some("status")) => FieldSet::of(&[&["metadata"], &["spec"]]),
            (Source::Custom { .. }, _) => FieldSet::default(),
            (Source::BuiltIn, _) => builtin::reset(&self.0.kind, subresource),
        }
    }

    /// Reads the body of a create or a replacement.
    ///
    /// # Errors
    /// When it is not an object of the kind.
    pub(super) fn read(
        &self,
        body: &str,
        encoding: BodyEncoding,
        strictness: Strictness,
    ) -> Result<ReadObject, StatusError> {
        let mut read = match encoding {
            BodyEncoding::Json => text::json(body).map_err(|error| self.unread(&error.to_string()))?,
            BodyEncoding::Yaml => text::yaml(body).map_err(|error| self.unread(&error.to_string()))?,
        };
        let twice = |path: &String| match encoding {
            BodyEncoding::Json => format!("duplicate field \"{path}\""),
            BodyEncoding::Yaml => text::yaml_duplicate(body, path),
        };
        let mut complaints: Vec<String> = read.duplicates.iter().map(twice).collect();
        let mut unknown = self.fit(&mut read.value).map_err(|words| self.unread(&words))?;
        if matches!(self.0.source, Source::BuiltIn) {
            // The real server finds them in the order of the body.
            unknown.sort_by_key(|path| place_in(body, path));
        }
        complaints.extend(unknown.iter().map(|path| unknown_field(path)));
        if strictness == Strictness::Strict && !complaints.is_empty() {
            return Err(self.unread(&format!("strict decoding error: {}", complaints.join(", "))));
        }
        Ok((read.value, warned(complaints, strictness)))
    }

    /// Reads the result of a patch.
    ///
    /// # Errors
    /// When it is no longer an object of the kind.
    pub(super) fn read_patched(
        &self,
        mut object: Value,
        strictness: Strictness,
    ) -> Result<ReadObject, StatusError> {
        let patched = object.clone();
        let unknown = self.fit(&mut object).map_err(|words| invalid_patch(&patched, &words))?;
        let complaints: Vec<String> = unknown.iter().map(|path| unknown_field(path)).collect();
        if strictness == Strictness::Strict && !complaints.is_empty() {
            let words = format!("strict decoding error: {}", complaints.join(", "));
            return Err(invalid_patch(&patched, &words));
        }
        Ok((object, warned(complaints, strictness)))
    }

    /// Reads the body of an apply without changes.
    ///
    /// # Errors
    /// When it is not an object.
    pub(super) fn read_applied(&self, body: &str, strictness: Strictness) -> Result<ReadObject, StatusError> {
        let refuse = |words: &str| StatusError::bad_request(format!("error decoding YAML: {words}"));
        let read = text::yaml(body).map_err(|error| {
            refuse(&format!("error converting YAML to JSON: yaml: {}", yaml_words(body, &error)))
        })?;
        let value = match read.value {
            Value::Null => json!({}),
            value @ Value::Object(_) => value,
            other => {
                let found = match other {
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Bool(_) => "bool",
                    _ => "number",
                };
                return Err(refuse(&format!(
                    "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
                )));
            }
        };
        let complaints: Vec<String> =
            read.duplicates.iter().map(|path| text::yaml_duplicate(body, path)).collect();
        if strictness == Strictness::Strict && !complaints.is_empty() {
            return Err(StatusError::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
                complaints.join("\n  ")
            )));
        }
        Ok((value, warned(complaints, strictness)))
    }

    fn unread(&self, words: &str) -> StatusError {
        let Definition { version, kind, .. } = &*self.0;
        StatusError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {words}"
        ))
    }

    /// Converts an object to the kind: drops unknown fields, sets defaults. Returns the paths of dropped
    /// fields.
    fn fit(&self, object: &mut Value) -> Result<Vec<String>, String> {
        let unknown = match &self.0.source {
            Source::BuiltIn => {
                let unknown = builtin::read(&self.0.types, object, "")?;
                builtin::write(&self.0.types, object);
                unknown
            }
            Source::Custom { schema, .. } => self.fit_custom(schema, object)?,
        };
        self.default(object);
        Ok(unknown)
    }

    fn fit_custom(&self, schema: &Schema, object: &mut Value) -> Result<Vec<String>, String> {
        let mut unknown = Vec::new();
        custom::whole_numbers(object);
        if let Some(metadata) = object.get_mut("metadata") {
            if let Some(fields) = metadata.as_object_mut() {
                unknown.extend(unknown_metadata(fields));
            }
            builtin::read(&ValueType::Named("meta.ObjectMeta"), metadata, "metadata")?;
            builtin::write(&ValueType::Named("meta.ObjectMeta"), metadata);
        }
        // Fields of another kind or version are not known here.
        if object["apiVersion"] == self.api_version() {
            unknown.extend(schema.prune(object));
            schema.drop_nulls(object);
        } else if let Some(fields) = object.as_object_mut() {
            let own = |name: &String| ["apiVersion", "kind", "metadata"].contains(&name.as_str());
            unknown.extend(fields.keys().filter(|name| !own(name)).cloned());
            fields.retain(|name, _| own(name));
        }
        Ok(unknown)
    }

    /// Sets defaults; an object of a built-in kind gets its stored form.
    pub(super) fn default(&self, object: &mut Value) {
        match &self.0.source {
            Source::BuiltIn => {
                builtin::write(&self.0.types, object);
                builtin::default(&self.0.kind, object);
            }
            Source::Custom { schema, .. } => {
                if let Some(metadata) = object.get_mut("metadata") {
                    builtin::write(&ValueType::Named("meta.ObjectMeta"), metadata);
                }
                schema.default(object);
            }
        }
    }

    /// Converts a stored object for a response.
    pub(super) fn show(&self, object: &mut Value) {
        if let Source::Custom { schema, .. } = &self.0.source {
            schema.prune(object);
            schema.default(object);
        }
    }

    /// Prepares an object for a write, before validation.
    pub(super) fn prepare(&self, new: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
        match &self.0.source {
            Source::BuiltIn => builtin::prepare(&self.0.kind, new, old, subresource),
            Source::Custom { has_status, .. } => custom::prepare(*has_status, new, old, subresource),
        }
    }

    /// Validates an object.
    pub(super) fn validate(
        &self,
        new: &Value,
        old: Option<&Value>,
        subresource: Option<&str>,
    ) -> Vec<StatusCause> {
        let Definition { group, kind, .. } = &*self.0;
        let mut causes = builtin::check_metadata(group, kind, new, old);
        match &self.0.source {
            Source::BuiltIn => causes.extend(builtin::check(group, kind, new, old, subresource)),
            Source::Custom { schema, .. } => {
                causes.extend(schema.violations(new, old, subresource == Some("status")));
            }
        }
        causes
    }

    /// Returns the error for an object with these causes.
    pub(super) fn invalid(&self, name: &str, causes: &[StatusCause]) -> StatusError {
        let Definition { group, kind, .. } = &*self.0;
        // Events were in the core group, which the real server still names.
        let group = if group == "events.k8s.io" { "" } else { group };
        StatusError::invalid(group, kind, name, causes)
    }

    /// Returns warnings about an accepted object.
    pub(super) fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        match &self.0.source {
            Source::BuiltIn => builtin::warnings(&self.0.kind, new, old),
            Source::Custom { .. } => builtin::finalizer_warnings(new),
        }
    }
}

fn unknown_field(path: &str) -> String {
    format!("unknown field \"{path}\"")
}

/// Returns the first position of the last key of a path in a body.
fn place_in(body: &str, path: &str) -> Option<usize> {
    let key = path.rsplit('.').next()?;
    let quoted = format!("\"{key}\"");
    let is_key = |place: &usize| body[place + quoted.len()..].trim_start().starts_with(':');
    let found = body.match_indices(&quoted).map(|(place, _)| place).find(is_key);
    found.or_else(|| body.find(&format!("{key}:")))
}

fn warned(complaints: Vec<String>, strictness: Strictness) -> Vec<String> {
    if strictness == Strictness::Ignore { Vec::new() } else { complaints }
}

/// Returns the message of the real server's YAML parser, for known errors.
fn yaml_words(body: &str, error: &serde_saphyr::Error) -> String {
    let lines = body.trim_end().lines().count().max(1);
    let line = error.location().map_or(1, |location| location.line() as usize).min(lines);
    let last = body.trim_end().chars().last();
    match last {
        Some(':' | '{' | '[' | ',') => format!("line {line}: did not find expected node content"),
        _ => format!("line {line}: {error}"),
    }
}

fn invalid_patch(patched: &Value, words: &str) -> StatusError {
    let cause = StatusCause::invalid("patch", &json!(patched.to_string()), words);
    StatusError::invalid("", "", "", &[cause])
}
