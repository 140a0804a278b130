//! What is known of one kind in one version: how bodies are read, what is filled in, and what is refused.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::builtin;
use super::merge::FieldSet;
use super::refusal::{Cause, Refusal};
use super::schema::{Schema, unknown_metadata};
use super::text;
use super::types::Type;

/// A kind in one version.
#[derive(Clone, Debug)]
pub(super) struct Form(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    group: String,
    version: String,
    kind: String,
    types: Type,
    source: Source,
}

#[derive(Debug)]
enum Source {
    BuiltIn,
    Custom { schema: Schema, has_status: bool },
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Json,
    Yaml,
}

/// What becomes of fields that nobody knows or that come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The request is refused.
    Strict,
    /// The client is warned.
    Warn,
    /// Nothing.
    Ignore,
}

/// An object that was read, and what the client is warned of.
pub(super) type Read = (Value, Vec<String>);

impl Form {
    /// A version of a kind that a CustomResourceDefinition defines.
    pub(super) fn custom(definition: &Value, version: &str) -> Option<Self> {
        let spec = definition.get("spec")?;
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let of_version = spec.get("versions")?.as_array()?.iter().find(|other| other["name"] == version)?;
        let schema = Schema::new(of_version);
        let has_status = of_version.pointer("/subresources/status").is_some();
        Some(Self(Arc::new(Inner {
            group: text("/group")?,
            version: version.to_owned(),
            kind: text("/names/kind")?,
            types: schema.types(),
            source: Source::Custom { schema, has_status },
        })))
    }

    /// A kind that is always there.
    pub(super) fn built_in(group: &str, version: &str, kind: &str) -> Option<Self> {
        Some(Self(Arc::new(Inner {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            types: builtin::root(group, kind)?,
            source: Source::BuiltIn,
        })))
    }

    /// What its fields are.
    pub(super) fn types(&self) -> &Type {
        &self.0.types
    }

    /// Its version, with its group.
    pub(super) fn api_version(&self) -> String {
        match self.0.group.as_str() {
            "" => self.0.version.clone(),
            group => format!("{group}/{}", self.0.version),
        }
    }

    /// An object without anything, as the fields of a new one are compared with.
    pub(super) fn blank(&self) -> Value {
        let mut blank = json!({"apiVersion": self.api_version(), "kind": self.0.kind});
        if matches!(self.0.source, Source::BuiltIn) {
            builtin::write(&self.0.types, &mut blank);
        }
        blank
    }

    /// Fields that a path leaves as they are, and that nobody owns by a write there.
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
    /// When it is no object of the kind.
    pub(super) fn read(
        &self,
        body: &str,
        notation: Notation,
        strictness: Strictness,
    ) -> Result<Read, Refusal> {
        let mut read = match notation {
            Notation::Json => text::json(body).map_err(|error| self.unread(&error.to_string()))?,
            Notation::Yaml => text::yaml(body).map_err(|error| self.unread(&error.to_string()))?,
        };
        let twice = |path: &String| match notation {
            Notation::Json => format!("duplicate field \"{path}\""),
            Notation::Yaml => text::yaml_duplicate(body, path),
        };
        let mut complaints: Vec<String> = read.duplicates.iter().map(twice).collect();
        let mut unknown = self.fit(&mut read.value).map_err(|words| self.unread(&words))?;
        if matches!(self.0.source, Source::BuiltIn) {
            // The real server meets them in the order of the body.
            unknown.sort_by_key(|path| place_in(body, path));
        }
        complaints.extend(unknown.iter().map(|path| unknown_field(path)));
        if strictness == Strictness::Strict && !complaints.is_empty() {
            return Err(self.unread(&format!("strict decoding error: {}", complaints.join(", "))));
        }
        Ok((read.value, warned(complaints, strictness)))
    }

    /// Reads what a patch has made of an object.
    ///
    /// # Errors
    /// When it is no object of the kind any more.
    pub(super) fn read_patched(&self, mut object: Value, strictness: Strictness) -> Result<Read, Refusal> {
        let patched = object.clone();
        let unknown = self.fit(&mut object).map_err(|words| invalid_patch(&patched, &words))?;
        let complaints: Vec<String> = unknown.iter().map(|path| unknown_field(path)).collect();
        if strictness == Strictness::Strict && !complaints.is_empty() {
            let words = format!("strict decoding error: {}", complaints.join(", "));
            return Err(invalid_patch(&patched, &words));
        }
        Ok((object, warned(complaints, strictness)))
    }

    /// Reads the body of an apply, which is taken as it is.
    ///
    /// # Errors
    /// When it is no object.
    pub(super) fn read_applied(&self, body: &str, strictness: Strictness) -> Result<Read, Refusal> {
        let refuse = |words: &str| Refusal::bad_request(format!("error decoding YAML: {words}"));
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
            return Err(Refusal::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
                complaints.join("\n  ")
            )));
        }
        Ok((value, warned(complaints, strictness)))
    }

    fn unread(&self, words: &str) -> Refusal {
        let Inner { version, kind, .. } = &*self.0;
        Refusal::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {words}"
        ))
    }

    /// Makes an object one of the kind: what nobody knows goes, defaults come. The paths of what went.
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
        whole_numbers(object);
        if let Some(metadata) = object.get_mut("metadata") {
            if let Some(fields) = metadata.as_object_mut() {
                unknown.extend(unknown_metadata(fields));
            }
            builtin::read(&Type::Named("meta.ObjectMeta"), metadata, "metadata")?;
            builtin::write(&Type::Named("meta.ObjectMeta"), metadata);
        }
        // Of another kind or version nothing is known here.
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

    /// Puts in what is not there and has a default; an object of a built-in kind is then as it is written.
    pub(super) fn default(&self, object: &mut Value) {
        match &self.0.source {
            Source::BuiltIn => {
                builtin::write(&self.0.types, object);
                builtin::default(&self.0.kind, object);
            }
            Source::Custom { schema, .. } => {
                if let Some(metadata) = object.get_mut("metadata") {
                    builtin::write(&Type::Named("meta.ObjectMeta"), metadata);
                }
                schema.default(object);
            }
        }
    }

    /// Makes what is stored what is shown.
    pub(super) fn show(&self, object: &mut Value) {
        if let Source::Custom { schema, .. } = &self.0.source {
            schema.prune(object);
            schema.default(object);
        }
    }

    /// Does what the kind does with each write before it is looked at.
    pub(super) fn prepare(&self, new: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
        match &self.0.source {
            Source::BuiltIn => builtin::prepare(&self.0.kind, new, old, subresource),
            Source::Custom { has_status, .. } => prepare_custom(*has_status, new, old, subresource),
        }
    }

    /// What is wrong with an object.
    pub(super) fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<Cause> {
        let Inner { group, kind, .. } = &*self.0;
        let mut causes = builtin::check_metadata(group, kind, new, old);
        match &self.0.source {
            Source::BuiltIn => causes.extend(builtin::check(group, kind, new, old, subresource)),
            Source::Custom { schema, .. } => {
                causes.extend(schema.mistakes(new, old, subresource == Some("status")));
            }
        }
        causes
    }

    /// The refusal of an object with these mistakes.
    pub(super) fn invalid(&self, name: &str, causes: &[Cause]) -> Refusal {
        let Inner { group, kind, .. } = &*self.0;
        // Events have been of the core, and the real server still says so.
        let group = if group == "events.k8s.io" { "" } else { group };
        Refusal::invalid(group, kind, name, causes)
    }

    /// What the client is warned of in an object that is taken.
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

/// Where the last key of a path is first met in a body.
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

/// The words of the real server's reader of YAML, for the mistakes that we know of.
fn yaml_words(body: &str, error: &serde_saphyr::Error) -> String {
    let lines = body.trim_end().lines().count().max(1);
    let line = error.location().map_or(1, |location| location.line() as usize).min(lines);
    let last = body.trim_end().chars().last();
    match last {
        Some(':' | '{' | '[' | ',') => format!("line {line}: did not find expected node content"),
        _ => format!("line {line}: {error}"),
    }
}

fn invalid_patch(patched: &Value, words: &str) -> Refusal {
    let cause = Cause::invalid("patch", &json!(patched.to_string()), words);
    Refusal::invalid("", "", "", &[cause])
}

/// Writes numbers without a fraction as whole ones.
fn whole_numbers(value: &mut Value) {
    const MOST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < MOST);
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *value = json!(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn prepare_custom(has_status: bool, new: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    let Some(fields) = new.as_object_mut() else { return };
    match (subresource, old) {
        (Some("status"), Some(old)) => {
            let status = fields.remove("status");
            let managers = fields.get("metadata").and_then(|metadata| metadata.get("managedFields")).cloned();
            let mut kept = old.as_object().cloned().unwrap_or_default();
            kept.remove("status");
            kept.extend(status.map(|status| ("status".to_owned(), status)));
            if let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) {
                set(metadata, "managedFields", managers);
            }
            *fields = kept;
        }
        (None, old) if has_status => set(fields, "status", old.and_then(|old| old.get("status")).cloned()),
        _ => {}
    }
    let generation = match old {
        None => 1,
        Some(old) => {
            let content = |object: &Map<String, Value>| {
                let mut content = object.clone();
                let apart = ["apiVersion", "metadata"].into_iter().chain(has_status.then_some("status"));
                apart.for_each(|name| {
                    content.remove(name);
                });
                content
            };
            let changed = old.as_object().is_none_or(|old| content(old) != content(fields));
            let deleted = |metadata: Option<&Value>| {
                metadata.is_some_and(|metadata| metadata.get("deletionTimestamp").is_some())
            };
            let dying = deleted(fields.get("metadata")) && !deleted(old.get("metadata"));
            let last = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
            last + i64::from(changed || dying)
        }
    };
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("generation".to_owned(), json!(generation));
    }
}

/// Sets a field, or takes it away.
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
