//! Changes of objects: replacements and patches.

use std::sync::Arc;

use serde_json::{Value, json};

use super::create::check_size;
use super::options::WriteOptions;
use crate::api_server::admission::{self, AdmissionOperation};
use crate::api_server::answer::StatusAndBody;
use crate::api_server::builtin;
use crate::api_server::call::Call;
use crate::api_server::conversion::{self, KindVersions};
use crate::api_server::error;
use crate::api_server::merge;
use crate::api_server::objects::{has_finalizers, is_deleted, name, now, text, uid_of, unset, version};
use crate::api_server::patch;
use crate::api_server::rbac::AccessRequest;
use crate::api_server::status_error::{StatusCause, StatusError};
use crate::api_server::strategy::Strictness;

const PATCHES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// How often a patch is retried after a conflict.
const TRIES: usize = 10;

/// Metadata that clients cannot change.
const KEPT: [&str; 5] =
    ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/// A change of an object.
enum ObjectChange {
    Put(Value),
    Merge(Value),
    Json(String),
    Strategic(String),
    Apply { fields: Value, force: bool },
}

/// The result of a change.
struct Changed {
    object: Value,
    /// Whether it is a new object.
    is_new: bool,
}

impl Call {
    pub(super) async fn replace(&self, body: &[u8]) -> Result<StatusAndBody, StatusError> {
        let options = self.options("UpdateOptions", false)?;
        let mut object = self.read(body, options.strictness)?;
        self.place(&mut object)?;
        self.check_name(&object)?;
        self.change(&ObjectChange::Put(object), &options).await
    }

    pub(super) async fn patch(&self, body: &[u8]) -> Result<StatusAndBody, StatusError> {
        let media = self.media_type();
        let is_custom = self.kind.traits.is_custom;
        let is_apply = media == "application/apply-patch+yaml";
        let is_known = match media {
            "application/json-patch+json" | "application/merge-patch+json" => true,
            STRATEGIC => !is_custom,
            _ => is_apply,
        };
        if !is_known {
            let strategic = if is_custom { String::new() } else { format!(", {STRATEGIC}") };
            let (first, rest) = PATCHES.rsplit_once(", ").unwrap_or_default();
            let mut error_status = error::unsupported_media(&format!("{first}{strategic}, {rest}"));
            if !is_custom {
                error_status.details = Some(json!({}));
                error_status.message = "415: Unsupported Media Type".to_owned();
            }
            return Err(error_status);
        }
        let options = self.options("PatchOptions", is_apply)?;
        let text = String::from_utf8_lossy(body);
        let change = match media {
            "application/json-patch+json" => ObjectChange::Json(text.into_owned()),
            "application/merge-patch+json" => ObjectChange::Merge(patch::read_merge(&text)?),
            STRATEGIC => ObjectChange::Strategic(text.into_owned()),
            _ => ObjectChange::Apply {
                fields: self.read_applied(&text, &options)?,
                force: self.query.is_set("force"),
            },
        };
        self.change(&change, &options).await
    }

    fn read_applied(&self, text: &str, options: &WriteOptions) -> Result<Value, StatusError> {
        let Some(strategy) = &self.version.strategy else {
            return crate::api_server::text::yaml(text)
                .map(|read| read.value)
                .map_err(|error| StatusError::bad_request(error.to_string()));
        };
        let (fields, warnings) = strategy.read_applied(text, options.strictness)?;
        let (api_version, kind) = (text_of(&fields, "apiVersion"), text_of(&fields, "kind"));
        if api_version != self.api_version || kind != self.kind.kind {
            let shown = match api_version.contains('/') {
                true => api_version.to_owned(),
                false => format!("/{api_version}"),
            };
            return Err(StatusError::bad_request(format!("invalid object type: {shown}, Kind={kind}")));
        }
        self.warn(warnings);
        Ok(fields)
    }

    async fn change(
        &self,
        change: &ObjectChange,
        options: &WriteOptions,
    ) -> Result<StatusAndBody, StatusError> {
        for _ in 0..TRIES {
            let old = self.store.object(&self.key());
            let Some(old) = old else { return self.change_missing(change, options).await };
            let Changed { object, is_new } = self.changed(change, &old, options)?;
            let shown_old = self.shown(&old);
            admission::ask(self, AdmissionOperation::Update, Some(&object), Some(&shown_old), options.is_dry)
                .await?;
            match self.commit(&old, object, is_new, options)? {
                Some(shown) => return Ok((200, shown)),
                None if matches!(change, ObjectChange::Put(object) if !version(object).is_empty()) => break,
                None => {}
            }
        }
        Err(error::modified(&self.kind, self.name()))
    }

    /// Creates a missing object, for an apply, or for a replacement of some kinds.
    async fn change_missing(
        &self,
        change: &ObjectChange,
        options: &WriteOptions,
    ) -> Result<StatusAndBody, StatusError> {
        let not_found = || error::not_found(&self.kind, self.name());
        let is_apply = matches!(change, ObjectChange::Apply { .. });
        // The real server creates such an object, if it is valid without the rest.
        if self.target.subresource.is_some() && !(is_apply && self.kind.traits.creates_on_update) {
            return Err(not_found());
        }
        let mut object = match change {
            ObjectChange::Put(object) if self.kind.traits.creates_on_update => {
                self.authorize_create()?;
                let mut object = object.clone();
                unset(&mut object, "resourceVersion");
                merge::track(None, object, &self.writer(options, &now()), &KindVersions(&self.kind))
            }
            ObjectChange::Apply { fields, force } => {
                self.authorize_create()?;
                let (writer, now) = (self.kind.as_ref(), now());
                merge::apply(None, fields, &self.writer(options, &now), &KindVersions(writer), *force)?
            }
            _ => return Err(not_found()),
        };
        if matches!(change, ObjectChange::Apply { .. }) {
            if let Some(strategy) = &self.version.strategy {
                strategy.default(&mut object);
            }
            self.place(&mut object)?;
            self.check_name(&object)?;
            if !uid_of(&object).is_empty() {
                let why = format!(
                    "uid mismatch: the provided object specified uid {}, and no existing object was found",
                    uid_of(&object)
                );
                return Err(error::conflict(&self.kind.group, &self.kind.plural, self.name(), &why));
            }
            unset(&mut object, "resourceVersion");
        }
        Ok((201, self.insert(object, options).await?))
    }

    fn authorize_create(&self) -> Result<(), StatusError> {
        let access = AccessRequest {
            verb: "create",
            group: &self.target.group,
            resource: &self.target.plural,
            namespace: self.target.namespace.as_deref().unwrap_or_default(),
            name: self.name(),
        };
        let is_allowed = self.user.may(&self.store.lock(), &access).is_some();
        let refuse = || error::forbidden(&self.target, "create", self.name(), &self.user.name);
        if is_allowed { Ok(()) } else { Err(refuse()) }
    }

    fn uid_conflict(&self, expected: &str, found: &str) -> StatusError {
        let namespace = self.target.namespace.as_ref().map(|namespace| format!("{namespace}/"));
        let group = if self.kind.traits.is_custom { self.kind.group.as_str() } else { "" };
        let key = format!(
            "/registry/{}/{}/{}{}",
            group,
            self.kind.plural,
            namespace.unwrap_or_default(),
            self.name()
        );
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {expected}, UID in object meta: {found}",
            key.replace("/registry//", "/registry/")
        );
        error::conflict(&self.kind.group, &self.kind.plural, self.name(), &why)
    }

    /// Applies a change to an object.
    fn changed(
        &self,
        change: &ObjectChange,
        stored: &Arc<Value>,
        options: &WriteOptions,
    ) -> Result<Changed, StatusError> {
        let old = self.shown(stored);
        let (kind, strategy, time) = (&*self.kind, self.version.strategy.as_ref(), now());
        let (versions, writer) = (KindVersions(kind), self.writer(options, &time));
        let mut patched = old.clone();
        let mut object = match change {
            ObjectChange::Put(object) => {
                let (expected, found) = (uid_of(object), uid_of(&old));
                if !expected.is_empty() && expected != found {
                    return Err(self.uid_conflict(expected, found));
                }
                merge::track(Some(&old), object.clone(), &writer, &versions)
            }
            ObjectChange::Apply { fields, force } => {
                let mut object = merge::apply(Some(&old), fields, &writer, &versions, *force)?;
                if let Some(strategy) = strategy {
                    strategy.default(&mut object);
                }
                object
            }
            ObjectChange::Merge(fields) => {
                patch::merge(&mut patched, fields);
                self.read_patched(patched, &old, options.strictness, &writer)?
            }
            ObjectChange::Json(text) => {
                patch::json(&mut patched, text)?;
                self.read_patched(patched, &old, options.strictness, &writer)?
            }
            ObjectChange::Strategic(fields) => {
                let patched = match strategy {
                    Some(strategy) => patch::strategic(strategy.types(), &old, fields)?,
                    None => old.clone(),
                };
                self.read_patched(patched, &old, options.strictness, &writer)?
            }
        };
        self.place(&mut object)?;
        self.check_name(&object)?;
        self.check_version(&mut object, &old)?;
        if strategy.is_some() && object["kind"] != kind.kind {
            return Err(self.wrong_kind(&object));
        }
        keep(&mut object, &old);
        let subresource = self.target.subresource.as_deref();
        if let Some(strategy) = strategy {
            strategy.prepare(&mut object, Some(&old), subresource);
            self.check_change(&mut object, &old)?;
            merge::settle(&old, &mut object);
        }
        let is_new = object != old;
        Ok(Changed { object, is_new })
    }

    fn read_patched(
        &self,
        mut patched: Value,
        old: &Value,
        strictness: Strictness,
        writer: &merge::FieldWriter<'_>,
    ) -> Result<Value, StatusError> {
        let Some(strategy) = &self.version.strategy else { return Ok(patched) };
        if patched["kind"] != self.kind.kind {
            return Err(self.wrong_kind(&patched));
        }
        if self.kind.traits.is_custom && patched["apiVersion"] != self.api_version {
            self.warn_of_version(text_of(&patched, "apiVersion"));
            let why = format!("must be {}", self.api_version);
            let cause = StatusCause::invalid("apiVersion", &patched["apiVersion"], why);
            return Err(strategy.invalid(name(&patched), &[cause]));
        }
        patched["apiVersion"] = json!(self.api_version);
        let (object, warnings) = strategy.read_patched(patched, strictness)?;
        self.warn(warnings);
        Ok(merge::track(Some(old), object, writer, &KindVersions(&self.kind)))
    }

    /// Rejects a write to an object that has changed meanwhile.
    fn check_version(&self, object: &mut Value, old: &Value) -> Result<(), StatusError> {
        let expected = version(object).to_owned();
        let number = match expected.as_str() {
            "" => 0,
            text => text.parse::<u64>().map_err(|_| {
                StatusError::internal(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
            })?,
        };
        if number == 0 {
            if !self.kind.traits.updates_unconditionally {
                let cause = StatusCause::invalid(
                    "metadata.resourceVersion",
                    &json!(0),
                    "must be specified for an update",
                );
                return Err(StatusError::invalid(&self.kind.group, &self.kind.plural, self.name(), &[cause]));
            }
        } else if expected != version(old) {
            return Err(error::modified(&self.kind, self.name()));
        }
        object["metadata"]["resourceVersion"] = json!(version(old));
        Ok(())
    }

    fn check_change(&self, object: &mut Value, old: &Value) -> Result<(), StatusError> {
        let kind = &*self.kind;
        let Some(strategy) = &self.version.strategy else { return Ok(()) };
        let subresource = self.target.subresource.as_deref();
        let mut causes = Vec::new();
        if uid_of(object) != uid_of(old) {
            let cause = || StatusCause::invalid("metadata.uid", &json!(uid_of(object)), "field is immutable");
            // The real server validates twice.
            causes.extend([cause(), cause()]);
        }
        // The real server validates twice.
        causes.extend(new_finalizers(object, old));
        causes.extend(new_finalizers(object, old));
        causes.extend(strategy.validate(object, Some(old), subresource));
        if !causes.is_empty() {
            return Err(strategy.invalid(name(object), &causes));
        }
        if kind.group.is_empty() && kind.plural == "services" && subresource.is_none() {
            let others = self.store.lock().list(kind, None);
            let others = others.iter().filter(|other| uid_of(other) != uid_of(old));
            let others: Vec<Value> = others.map(|service| (**service).clone()).collect();
            builtin::allocate(object, Some(old), &others)
                .map_err(|causes| strategy.invalid(name(object), &causes))?;
        }
        self.warn(strategy.warnings(object, Some(old)));
        Ok(())
    }

    /// Stores a changed object; returns `None` if it has changed meanwhile.
    fn commit(
        &self,
        old: &Arc<Value>,
        object: Value,
        is_new: bool,
        options: &WriteOptions,
    ) -> Result<Option<Value>, StatusError> {
        let key = self.key();
        let mut inner = self.store.lock();
        if inner.objects.get(&key).map(|there| version(there)) != Some(version(old)) {
            return Ok(None);
        }
        if !is_new || options.is_dry {
            return Ok(Some(object));
        }
        let is_over = is_deleted(&object) && !has_finalizers(&object);
        let stored = conversion::to_storage(&self.kind, object);
        check_size(&stored)?;
        let stored = if is_over { inner.remove_with_last(&key, stored) } else { inner.put(&key, stored) };
        self.store.notify(inner);
        Ok(Some(self.shown(&stored)))
    }
}

fn text_of<'a>(object: &'a Value, field: &str) -> &'a str {
    text(object, &format!("/{field}"))
}

/// Rejects finalizers added to a terminating object.
fn new_finalizers(object: &Value, old: &Value) -> Option<StatusCause> {
    let list = |object: &Value| {
        object.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let before = list(old);
    let news: Vec<String> =
        list(object).iter().filter(|finalizer| !before.contains(finalizer)).map(Value::to_string).collect();
    (is_deleted(old) && !news.is_empty()).then(|| {
        let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
        StatusCause::forbidden("metadata.finalizers", &format!("{why} []string{{{}}}", news.join(", ")))
    })
}

/// Keeps metadata that clients cannot change.
fn keep(object: &mut Value, old: &Value) {
    for field in KEPT {
        match old["metadata"].get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => unset(object, field),
        }
    }
    if uid_of(object).is_empty() {
        object["metadata"]["uid"] = old["metadata"]["uid"].clone();
    }
}
