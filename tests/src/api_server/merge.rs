//! Server-side apply and field managers.
//!
//! Each manager owns the fields that it applies, or has changed by any other write. A field that an apply
//! omits is removed if no other manager owns it; changing other managers' fields is a conflict, unless it is
//! forced. Lists and maps are atomic or merged by item, depending on the object's type.

mod change;
mod encode;
mod managers;
#[cfg(test)]
mod tests;
mod typed;
mod walk;

pub(super) use managers::settle;

use serde_json::{Value, json};

use super::field_set::{Element, FieldSet};
use super::status_error::StatusError;
use super::strategy::Strategy;
use super::types::ValueType;
use change::{MergeWrite, type_of};
use managers::{Manager, Managers, OwnedFields, forget_managers, managers_of, write_managers};
use typed::violations;

/// The manager of fields that existed before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Maximum number of managers with updates.
const MOST_UPDATERS: usize = 10;
/// The manager that inherits the fields of the oldest ones.
const ANCIENT: &str = "ancient-changes";

/// The writer of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldWriter<'a> {
    /// Name of the manager.
    pub(super) manager: &'a str,
    /// The subresource, if any.
    pub(super) subresource: Option<&'a str>,
    /// Version of the request, with its group.
    pub(super) api_version: &'a str,
    /// The time in seconds, as in managedFields.
    pub(super) now: &'a str,
}

impl FieldWriter<'_> {
    fn identity(&self, applies: bool) -> Manager {
        Manager {
            name: self.manager.to_owned(),
            applies,
            version: if applies { String::new() } else { self.api_version.to_owned() },
            subresource: self.subresource.unwrap_or_default().to_owned(),
        }
    }
}

/// Access to the versions of the written kind.
pub(super) trait VersionConverter {
    /// Returns the strategy of a version; `None` if there is no such version.
    fn strategy(&self, api_version: &str) -> Option<Strategy>;

    /// Converts an object to another version; `None` if there is no such version.
    ///
    /// # Errors
    /// When the object cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String>;
}

/// Returns the object with a manager's fields applied, not yet defaulted. The live object is in the version
/// of the request, or `None` if the apply creates it.
///
/// # Errors
/// When the applied object is not of its kind, or changes fields of other managers.
pub(super) fn apply(
    live: Option<&Value>,
    applied: &Value,
    writer: &FieldWriter,
    versions: &dyn VersionConverter,
    force: bool,
) -> Result<Value, StatusError> {
    let of = type_of(versions, writer.api_version)?;
    if applied.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(StatusError::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(words) = in_one(violations(&of, applied, false)) {
        let subject = subject(applied);
        return Err(StatusError::internal(format!(
            "failed to create typed patch object ({subject}): {words}"
        )));
    }
    let blank = || json!({"apiVersion": applied["apiVersion"], "kind": applied["kind"]});
    let mut there = live.cloned().unwrap_or_else(blank);
    let mut managers = managers_of(&there)
        .ok_or_else(|| StatusError::internal("failed to decode managed fields: they make no sense"))?;
    forget_managers(&mut there);
    if managers.is_empty() && live.is_some() {
        let before = FieldWriter { manager: BEFORE_FIRST_APPLY, ..*writer };
        let strategy = versions.strategy(writer.api_version);
        let blank = strategy.map_or_else(blank, |strategy| strategy.blank());
        take(&of, &blank, &there, &mut managers, &before, versions);
    }
    let change = MergeWrite { of: &of, there: &there, versions, writer };
    let before = managers.clone();
    let forced = force || (writer.manager == "kubectl" && change.was_applied_by_client(applied, &managers));
    let (object, same) = change.apply(applied, &mut managers, forced)?;
    let me = writer.identity(true);
    if let Some(mine) = managers.get_mut(&me) {
        // The time of an entry is that of its manager's last change of the object.
        let last = before.get(&me).and_then(|owned| owned.time.clone());
        mine.time = if same { last } else { Some(writer.now.to_owned()) };
    }
    strip(&mut managers, &me);
    let mut object = if same { there.clone() } else { object };
    write_managers(&mut object, &managers);
    Ok(object)
}

/// Returns the object of a create, a replacement or another patch, with the changed fields owned by its
/// writer.
pub(super) fn track(
    live: Option<&Value>,
    mut new: Value,
    writer: &FieldWriter,
    versions: &dyn VersionConverter,
) -> Value {
    let Some(strategy) = versions.strategy(writer.api_version) else { return new };
    let written = new.pointer("/metadata/managedFields").cloned().unwrap_or_default();
    let reset = written == json!([{}]);
    let of_live = || live.and_then(managers_of).unwrap_or_default();
    let mut managers = match managers_of(&new) {
        _ if reset => Managers::new(),
        Some(managers) if !managers.is_empty() && writer.subresource.is_none() => managers,
        _ => of_live(),
    };
    forget_managers(&mut new);
    // Without any known manager, the remaining fields cannot be assigned to one.
    if managers.is_empty() && live.is_some() {
        return new;
    }
    let mut there = live.cloned().unwrap_or_else(|| strategy.blank());
    forget_managers(&mut there);
    take(strategy.types(), &there, &new, &mut managers, writer, versions);
    cap(&mut managers, writer);
    write_managers(&mut new, &managers);
    new
}

/// Makes a writer the owner of the fields it has changed.
fn take(
    of: &ValueType,
    there: &Value,
    new: &Value,
    managers: &mut Managers,
    writer: &FieldWriter,
    versions: &dyn VersionConverter,
) {
    if !violations(of, there, true).is_empty() || !violations(of, new, true).is_empty() {
        return;
    }
    let change = MergeWrite { of, there, versions, writer };
    let me = writer.identity(false);
    // An update is forced on all other managers.
    let Ok(difference) = change.spread(new, managers, &me, true) else { return };
    let mine = managers.get(&me).map(|owned| owned.fields.clone()).unwrap_or_default();
    let taken = difference.modified.union(&difference.added);
    let fields = mine.difference(&difference.removed).union(&taken);
    let last = managers.get(&me).and_then(|owned| owned.time.clone());
    let time = if taken.is_empty() { last } else { Some(writer.now.to_owned()) };
    let owned = OwnedFields { fields, version: writer.api_version.to_owned(), time };
    managers.insert(me.clone(), owned);
    strip(managers, &me);
}

/// Merges the managers with the oldest updates if there are too many.
fn cap(managers: &mut Managers, writer: &FieldWriter) {
    let mut updaters: Vec<(String, Manager)> = managers
        .iter()
        .filter(|(manager, _)| !manager.applies && manager.subresource.is_empty())
        .map(|(manager, owned)| (owned.time.clone().unwrap_or_default(), manager.clone()))
        .collect();
    if updaters.len() <= MOST_UPDATERS {
        return;
    }
    updaters.sort();
    let mut old: Option<OwnedFields> = None;
    for (_, manager) in updaters.iter().take(updaters.len() - MOST_UPDATERS + 1) {
        let Some(owned) = managers.remove(manager) else { continue };
        let fields = old.map_or_else(|| owned.fields.clone(), |old| old.fields.union(&owned.fields));
        old = Some(OwnedFields { fields, ..owned });
    }
    if let Some(old) = old {
        let ancient = FieldWriter { manager: ANCIENT, api_version: &old.version.clone(), ..*writer };
        managers.insert(ancient.identity(false), old);
    }
}

/// Returns an object's name in errors.
fn subject(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    format!("{namespace}/{name}; {slash}{version}, Kind={}", text("/kind"))
}

fn in_one(found: Vec<String>) -> Option<String> {
    match found.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        all => Some(format!(
            "errors:\n{}",
            all.iter().map(|one| format!("  {one}")).collect::<Vec<_>>().join("\n")
        )),
    }
}

/// Removes fields without owners: those that identify an object, and those of the server.
fn strip(managers: &mut Managers, me: &Manager) {
    const NAMES: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let Some(mine) = managers.get_mut(me) else { return };
    let mut stripped = FieldSet::of(&[&["apiVersion"], &["kind"], &["metadata"]]);
    for name in NAMES {
        stripped.insert(&[Element::Field("metadata".to_owned()), Element::Field(name.to_owned())]);
    }
    mine.fields = mine.fields.difference(&stripped);
    if mine.fields.is_empty() {
        managers.remove(me);
    }
}
