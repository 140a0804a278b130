//! Changes of objects: replacements and patches.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Call;
use super::create::check_size;
use super::options::Options;
use crate::api_server::admission::{self, Operation};
use crate::api_server::builtin;
use crate::api_server::error;
use crate::api_server::form::Strictness;
use crate::api_server::merge;
use crate::api_server::objects::{has_finalizers, is_deleted, name, now, text, uid_of, unset, version};
use crate::api_server::patch;
use crate::api_server::refusal::{Cause, Refusal};
use crate::api_server::respond::Shown;
use crate::api_server::shape::{self, OfKind};
use crate::api_server::users::Deed;

const PATCHES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// How often a patch is tried again that others were faster than.
const TRIES: usize = 10;

/// Metadata that no client changes.
const KEPT: [&str; 5] =
    ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/// How an object is to change.
enum Change {
    Put(Value),
    Merge(Value),
    Json(String),
    Strategic(String),
    Apply { fields: Value, force: bool },
}

/// An object as it is to be.
struct Changed {
    object: Value,
    /// How it came to be: nothing is stored where nothing has changed.
    is_new: bool,
}

impl Call {
    pub(super) async fn replace(&self, body: &[u8]) -> Result<Shown, Refusal> {
        let options = self.options("UpdateOptions", false)?;
        let mut object = self.read(body, options.strictness)?;
        self.place(&mut object)?;
        self.check_name(&object)?;
        self.change(&Change::Put(object), &options).await
    }

    pub(super) async fn patch(&self, body: &[u8]) -> Result<Shown, Refusal> {
        let media = self.media_type();
        let is_custom = self.kind.habits.is_custom;
        let is_apply = media == "application/apply-patch+yaml";
        let is_known = match media {
            "application/json-patch+json" | "application/merge-patch+json" => true,
            STRATEGIC => !is_custom,
            _ => is_apply,
        };
        if !is_known {
            let strategic = if is_custom { String::new() } else { format!(", {STRATEGIC}") };
            let (first, rest) = PATCHES.rsplit_once(", ").unwrap_or_default();
            let mut refusal = error::unsupported_media(&format!("{first}{strategic}, {rest}"));
            if !is_custom {
                refusal.details = Some(json!({}));
                refusal.message = "415: Unsupported Media Type".to_owned();
            }
            return Err(refusal);
        }
        let options = self.options("PatchOptions", is_apply)?;
        let text = String::from_utf8_lossy(body);
        let change = match media {
            "application/json-patch+json" => Change::Json(text.into_owned()),
            "application/merge-patch+json" => Change::Merge(patch::read_merge(&text)?),
            STRATEGIC => Change::Strategic(text.into_owned()),
            _ => Change::Apply {
                fields: self.read_applied(&text, &options)?,
                force: self.query.is_set("force"),
            },
        };
        self.change(&change, &options).await
    }

    fn read_applied(&self, text: &str, options: &Options) -> Result<Value, Refusal> {
        let Some(form) = &self.version.form else {
            return crate::api_server::text::yaml(text)
                .map(|read| read.value)
                .map_err(|error| Refusal::bad_request(error.to_string()));
        };
        let (fields, warnings) = form.read_applied(text, options.strictness)?;
        let (api_version, kind) = (text_of(&fields, "apiVersion"), text_of(&fields, "kind"));
        if api_version != self.api_version || kind != self.kind.kind {
            let shown = match api_version.contains('/') {
                true => api_version.to_owned(),
                false => format!("/{api_version}"),
            };
            return Err(Refusal::bad_request(format!("invalid object type: {shown}, Kind={kind}")));
        }
        self.warn(warnings);
        Ok(fields)
    }

    async fn change(&self, change: &Change, options: &Options) -> Result<Shown, Refusal> {
        for _ in 0..TRIES {
            let old = self.store.object(&self.key());
            let Some(old) = old else { return self.change_missing(change, options).await };
            let Changed { object, is_new } = self.changed(change, &old, options)?;
            let shown_old = self.shown(&old);
            admission::ask(self, Operation::Update, Some(&object), Some(&shown_old), options.is_dry).await?;
            match self.commit(&old, object, is_new, options)? {
                Some(shown) => return Ok((200, shown)),
                None if matches!(change, Change::Put(object) if !version(object).is_empty()) => break,
                None => {}
            }
        }
        Err(error::modified(&self.kind, self.name()))
    }

    /// What is not there is made by an apply, and by a replacement of some kinds.
    async fn change_missing(&self, change: &Change, options: &Options) -> Result<Shown, Refusal> {
        let not_found = || error::not_found(&self.kind, self.name());
        let is_apply = matches!(change, Change::Apply { .. });
        // The real server makes such an object, if it can be without the rest.
        if self.target.subresource.is_some() && !(is_apply && self.kind.habits.creates_on_update) {
            return Err(not_found());
        }
        let mut object = match change {
            Change::Put(object) if self.kind.habits.creates_on_update => {
                self.authorize_create()?;
                let mut object = object.clone();
                unset(&mut object, "resourceVersion");
                merge::track(None, object, &self.writer(options, &now()), &OfKind(&self.kind))
            }
            Change::Apply { fields, force } => {
                self.authorize_create()?;
                let (writer, now) = (self.kind.as_ref(), now());
                merge::apply(None, fields, &self.writer(options, &now), &OfKind(writer), *force)?
            }
            _ => return Err(not_found()),
        };
        if matches!(change, Change::Apply { .. }) {
            if let Some(form) = &self.version.form {
                form.default(&mut object);
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

    fn authorize_create(&self) -> Result<(), Refusal> {
        let deed = Deed {
            verb: "create",
            group: &self.target.group,
            resource: &self.target.plural,
            namespace: self.target.namespace.as_deref().unwrap_or_default(),
            name: self.name(),
        };
        let is_allowed = self.user.may(&self.store.lock(), &deed).is_some();
        let refuse = || error::forbidden(&self.target, "create", self.name(), &self.user.name);
        if is_allowed { Ok(()) } else { Err(refuse()) }
    }

    fn uid_conflict(&self, wanted: &str, found: &str) -> Refusal {
        let namespace = self.target.namespace.as_ref().map(|namespace| format!("{namespace}/"));
        let group = if self.kind.habits.is_custom { self.kind.group.as_str() } else { "" };
        let key = format!(
            "/registry/{}/{}/{}{}",
            group,
            self.kind.plural,
            namespace.unwrap_or_default(),
            self.name()
        );
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
            key.replace("/registry//", "/registry/")
        );
        error::conflict(&self.kind.group, &self.kind.plural, self.name(), &why)
    }

    /// What a change makes of an object.
    fn changed(&self, change: &Change, stored: &Arc<Value>, options: &Options) -> Result<Changed, Refusal> {
        let old = self.shown(stored);
        let (kind, form, time) = (&*self.kind, self.version.form.as_ref(), now());
        let (versions, writer) = (OfKind(kind), self.writer(options, &time));
        let mut patched = old.clone();
        let mut object = match change {
            Change::Put(object) => {
                let (wanted, found) = (uid_of(object), uid_of(&old));
                if !wanted.is_empty() && wanted != found {
                    return Err(self.uid_conflict(wanted, found));
                }
                merge::track(Some(&old), object.clone(), &writer, &versions)
            }
            Change::Apply { fields, force } => {
                let mut object = merge::apply(Some(&old), fields, &writer, &versions, *force)?;
                if let Some(form) = form {
                    form.default(&mut object);
                }
                object
            }
            Change::Merge(fields) => {
                patch::merge(&mut patched, fields);
                self.read_patched(patched, &old, options.strictness, &writer)?
            }
            Change::Json(text) => {
                patch::json(&mut patched, text)?;
                self.read_patched(patched, &old, options.strictness, &writer)?
            }
            Change::Strategic(fields) => {
                let patched = match form {
                    Some(form) => patch::strategic(form.types(), &old, fields)?,
                    None => old.clone(),
                };
                self.read_patched(patched, &old, options.strictness, &writer)?
            }
        };
        self.place(&mut object)?;
        self.check_name(&object)?;
        self.check_version(&mut object, &old)?;
        if form.is_some() && object["kind"] != kind.kind {
            return Err(self.wrong_kind(&object));
        }
        keep(&mut object, &old);
        let subresource = self.target.subresource.as_deref();
        if let Some(form) = form {
            form.prepare(&mut object, Some(&old), subresource);
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
        writer: &merge::Writer<'_>,
    ) -> Result<Value, Refusal> {
        let Some(form) = &self.version.form else { return Ok(patched) };
        if patched["kind"] != self.kind.kind {
            return Err(self.wrong_kind(&patched));
        }
        if self.kind.habits.is_custom && patched["apiVersion"] != self.api_version {
            self.warn_of_version(text_of(&patched, "apiVersion"));
            let why = format!("must be {}", self.api_version);
            let cause = Cause::invalid("apiVersion", &patched["apiVersion"], why);
            return Err(form.invalid(name(&patched), &[cause]));
        }
        patched["apiVersion"] = json!(self.api_version);
        let (object, warnings) = form.read_patched(patched, strictness)?;
        self.warn(warnings);
        Ok(merge::track(Some(old), object, writer, &OfKind(&self.kind)))
    }

    /// A write of what has changed meanwhile is refused.
    fn check_version(&self, object: &mut Value, old: &Value) -> Result<(), Refusal> {
        let wanted = version(object).to_owned();
        let number = match wanted.as_str() {
            "" => 0,
            text => text.parse::<u64>().map_err(|_| {
                Refusal::internal(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
            })?,
        };
        if number == 0 {
            if !self.kind.habits.updates_unconditionally {
                let cause =
                    Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
                return Err(Refusal::invalid(&self.kind.group, &self.kind.plural, self.name(), &[cause]));
            }
        } else if wanted != version(old) {
            return Err(error::modified(&self.kind, self.name()));
        }
        object["metadata"]["resourceVersion"] = json!(version(old));
        Ok(())
    }

    fn check_change(&self, object: &mut Value, old: &Value) -> Result<(), Refusal> {
        let kind = &*self.kind;
        let Some(form) = &self.version.form else { return Ok(()) };
        let subresource = self.target.subresource.as_deref();
        let mut causes = Vec::new();
        if uid_of(object) != uid_of(old) {
            let cause = || Cause::invalid("metadata.uid", &json!(uid_of(object)), "field is immutable");
            // The real server looks twice.
            causes.extend([cause(), cause()]);
        }
        // The real server looks twice.
        causes.extend(new_finalizers(object, old));
        causes.extend(new_finalizers(object, old));
        causes.extend(form.validate(object, Some(old), subresource));
        if !causes.is_empty() {
            return Err(form.invalid(name(object), &causes));
        }
        if kind.group.is_empty() && kind.plural == "services" && subresource.is_none() {
            let others = self.store.lock().list(kind, None);
            let others = others.iter().filter(|other| uid_of(other) != uid_of(old));
            let others: Vec<Value> = others.map(|service| (**service).clone()).collect();
            builtin::allocate(object, Some(old), &others)
                .map_err(|causes| form.invalid(name(object), &causes))?;
        }
        self.warn(form.warnings(object, Some(old)));
        Ok(())
    }

    /// Stores what an object has become; nothing, where it has changed meanwhile.
    fn commit(
        &self,
        old: &Arc<Value>,
        object: Value,
        is_new: bool,
        options: &Options,
    ) -> Result<Option<Value>, Refusal> {
        let key = self.key();
        let mut inner = self.store.lock();
        if inner.objects.get(&key).map(|there| version(there)) != Some(version(old)) {
            return Ok(None);
        }
        if !is_new || options.is_dry {
            return Ok(Some(object));
        }
        let is_over = is_deleted(&object) && !has_finalizers(&object);
        let stored = shape::to_storage(&self.kind, object);
        check_size(&stored)?;
        let stored = if is_over { inner.vanish(&key, stored) } else { inner.put(&key, stored) };
        self.store.tell(inner);
        Ok(Some(self.shown(&stored)))
    }
}

fn text_of<'a>(object: &'a Value, field: &str) -> &'a str {
    text(object, &format!("/{field}"))
}

/// Finalizers that come too late.
fn new_finalizers(object: &Value, old: &Value) -> Option<Cause> {
    let list = |object: &Value| {
        object.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let before = list(old);
    let news: Vec<String> =
        list(object).iter().filter(|finalizer| !before.contains(finalizer)).map(Value::to_string).collect();
    (is_deleted(old) && !news.is_empty()).then(|| {
        let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
        Cause::forbidden("metadata.finalizers", &format!("{why} []string{{{}}}", news.join(", ")))
    })
}

/// What no client changes.
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
