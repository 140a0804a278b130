//! Server-side apply, and who owns which field.
//!
//! Each manager owns the fields that it states (apply) or has changed (every other write). What an apply does not
//! state any more goes when nobody else owns it; what it changes of others' is a conflict, unless it is forced.
//! Lists and maps are one value or go by items, as the type of the object says.

mod encode;
mod managers;
mod set;
#[cfg(test)]
mod tests;
mod typed;
mod walk;

pub(super) use managers::settle;
pub(super) use set::FieldSet;

use serde_json::{Value, json};

use super::form::Form;
use super::refusal::Refusal;
use super::types::Type;
use managers::{Manager, Managers, Owned, forget_managers, managers_of, write_managers};
use set::{Element, path_text};
use typed::{field_set, mistakes, with_holders};
use walk::{Difference, merged, removed};

/// Who owns what was there before anybody applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// How many managers that update are told apart.
const MOST_UPDATERS: usize = 10;
/// Who owns what the others have owned.
const ANCIENT: &str = "ancient-changes";

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    /// Name of the manager.
    pub(super) manager: &'a str,
    /// The subresource that is written.
    pub(super) subresource: Option<&'a str>,
    /// Version of the request, with its group.
    pub(super) api_version: &'a str,
    /// The time, in seconds, as managedFields have it.
    pub(super) now: &'a str,
}

impl Writer<'_> {
    fn identity(&self, applies: bool) -> Manager {
        Manager {
            name: self.manager.to_owned(),
            applies,
            version: if applies { String::new() } else { self.api_version.to_owned() },
            subresource: self.subresource.unwrap_or_default().to_owned(),
        }
    }
}

/// The versions of the kind that is written.
pub(super) trait Versions {
    /// What the kind is in a version, with its group; `None` where that is not there.
    fn form(&self, api_version: &str) -> Option<Form>;

    /// An object in another version; `None` where that is not there.
    ///
    /// # Errors
    /// When the object cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String>;
}

/// The object after a manager has applied its fields, not yet defaulted. What is there is in the version of the
/// request, or nothing where the apply makes it.
///
/// # Errors
/// When what is applied is not of its kind, or others own fields that it changes.
pub(super) fn apply(
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer,
    versions: &dyn Versions,
    force: bool,
) -> Result<Value, Refusal> {
    let of = type_of(versions, writer.api_version)?;
    if applied.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(words) = in_one(mistakes(&of, applied, false)) {
        let subject = subject(applied);
        return Err(Refusal::internal(format!("failed to create typed patch object ({subject}): {words}")));
    }
    let blank = || json!({"apiVersion": applied["apiVersion"], "kind": applied["kind"]});
    let mut there = live.cloned().unwrap_or_else(blank);
    let mut managers = managers_of(&there)
        .ok_or_else(|| Refusal::internal("failed to decode managed fields: they make no sense"))?;
    forget_managers(&mut there);
    if managers.is_empty() && live.is_some() {
        let before = Writer { manager: BEFORE_FIRST_APPLY, ..*writer };
        let form = versions.form(writer.api_version);
        let blank = form.map_or_else(blank, |form| form.blank());
        take(&of, &blank, &there, &mut managers, &before, versions);
    }
    let change = Change { of: &of, there: &there, versions, writer };
    let before = managers.clone();
    let forced = force || (writer.manager == "kubectl" && change.was_applied_by_client(applied, &managers));
    let (object, same) = change.apply(applied, &mut managers, forced)?;
    let me = writer.identity(true);
    if let Some(mine) = managers.get_mut(&me) {
        // The time of an entry is that of the last change of the object by it.
        let last = before.get(&me).and_then(|owned| owned.time.clone());
        mine.time = if same { last } else { Some(writer.now.to_owned()) };
    }
    strip(&mut managers, &me);
    let mut object = if same { there.clone() } else { object };
    write_managers(&mut object, &managers);
    Ok(object)
}

/// The object of a create, a replacement or another patch, with the fields that it has changed owned by its writer.
pub(super) fn track(live: Option<&Value>, mut new: Value, writer: &Writer, versions: &dyn Versions) -> Value {
    let Some(form) = versions.form(writer.api_version) else { return new };
    let written = new.pointer("/metadata/managedFields").cloned().unwrap_or_default();
    let reset = written == json!([{}]);
    let of_live = || live.and_then(managers_of).unwrap_or_default();
    let mut managers = match managers_of(&new) {
        _ if reset => Managers::new(),
        Some(managers) if !managers.is_empty() && writer.subresource.is_none() => managers,
        _ => of_live(),
    };
    forget_managers(&mut new);
    // Where nobody is known to own anything, nobody can be told to own the rest.
    if managers.is_empty() && live.is_some() {
        return new;
    }
    let mut there = live.cloned().unwrap_or_else(|| form.blank());
    forget_managers(&mut there);
    take(form.types(), &there, &new, &mut managers, writer, versions);
    cap(&mut managers, writer);
    write_managers(&mut new, &managers);
    new
}

/// Lets a writer own what it has changed.
fn take(
    of: &Type,
    there: &Value,
    new: &Value,
    managers: &mut Managers,
    writer: &Writer,
    versions: &dyn Versions,
) {
    if !mistakes(of, there, true).is_empty() || !mistakes(of, new, true).is_empty() {
        return;
    }
    let change = Change { of, there, versions, writer };
    let me = writer.identity(false);
    // A change by an update is forced on all others.
    let Ok(difference) = change.spread(new, managers, &me, true) else { return };
    let mine = managers.get(&me).map(|owned| owned.fields.clone()).unwrap_or_default();
    let taken = difference.modified.union(&difference.added);
    let fields = mine.difference(&difference.removed).union(&taken);
    let last = managers.get(&me).and_then(|owned| owned.time.clone());
    let time = if taken.is_empty() { last } else { Some(writer.now.to_owned()) };
    let owned = Owned { fields, version: writer.api_version.to_owned(), time };
    managers.insert(me.clone(), owned);
    strip(managers, &me);
}

/// Forgets those that updated longest ago where there are too many.
fn cap(managers: &mut Managers, writer: &Writer) {
    let mut updaters: Vec<(String, Manager)> = managers
        .iter()
        .filter(|(manager, _)| !manager.applies && manager.subresource.is_empty())
        .map(|(manager, owned)| (owned.time.clone().unwrap_or_default(), manager.clone()))
        .collect();
    if updaters.len() <= MOST_UPDATERS {
        return;
    }
    updaters.sort();
    let mut old: Option<Owned> = None;
    for (_, manager) in updaters.iter().take(updaters.len() - MOST_UPDATERS + 1) {
        let Some(owned) = managers.remove(manager) else { continue };
        let fields = old.map_or_else(|| owned.fields.clone(), |old| old.fields.union(&owned.fields));
        old = Some(Owned { fields, ..owned });
    }
    if let Some(old) = old {
        let ancient = Writer { manager: ANCIENT, api_version: &old.version.clone(), ..*writer };
        managers.insert(ancient.identity(false), old);
    }
}

/// A write of an object.
struct Change<'a> {
    of: &'a Type,
    there: &'a Value,
    versions: &'a dyn Versions,
    writer: &'a Writer<'a>,
}

impl Change<'_> {
    /// The object with what is applied, and whether it is as before.
    fn apply(&self, applied: &Value, managers: &mut Managers, force: bool) -> Result<(Value, bool), Refusal> {
        let me = self.writer.identity(true);
        let whole = merged(self.of, Some(self.there), Some(applied)).unwrap_or_default();
        let last = managers.get(&me).cloned();
        let fields = field_set(self.of, applied).without(&self.reset(self.writer.api_version));
        let version = self.writer.api_version.to_owned();
        managers.insert(me.clone(), Owned { fields, version, time: None });
        let object = match last {
            Some(last) if !last.fields.is_empty() => self.prune(whole, &last, managers)?,
            _ => whole,
        };
        let difference = self.spread(&object, managers, &me, force)?;
        Ok((object, difference.is_none()))
    }

    /// Whether all that conflicts is what kubectl has applied by itself before, which it may take over.
    fn was_applied_by_client(&self, applied: &Value, managers: &Managers) -> bool {
        const LAST: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
        let last = self.there.pointer(LAST).and_then(Value::as_str);
        let Some(last) = last.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return false };
        let Err(conflicts) = self.conflicts(applied, managers) else { return true };
        let allowed = field_set(self.of, &last);
        conflicts.values().all(|fields| fields.difference(&allowed).is_empty())
    }

    fn conflicts(
        &self,
        applied: &Value,
        managers: &Managers,
    ) -> Result<(), std::collections::BTreeMap<Manager, FieldSet>> {
        let me = self.writer.identity(true);
        let whole = merged(self.of, Some(self.there), Some(applied)).unwrap_or_default();
        let difference = Difference::between(self.of, self.there, &whole);
        let changed = difference.modified.union(&difference.added);
        let found: std::collections::BTreeMap<_, _> = managers
            .iter()
            .filter(|(manager, _)| **manager != me)
            .map(|(manager, owned)| (manager.clone(), owned.fields.intersection(&changed)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Takes away what the manager stated last and does not any more, where nobody else owns it.
    fn prune(&self, whole: Value, last: &Owned, managers: &Managers) -> Result<Value, Refusal> {
        let Some(merged) = self.converted(&whole, &last.version)? else { return Ok(whole) };
        let of = type_of(self.versions, &last.version)?;
        let stated = with_holders(&of, &last.fields);
        let mut pruned = removed(&of, &merged, &stated);
        let mut owned_in: std::collections::BTreeMap<&str, FieldSet> = std::collections::BTreeMap::new();
        for owned in managers.values() {
            let all = owned_in.entry(owned.version.as_str()).or_default();
            *all = all.union(&owned.fields);
        }
        for (version, owned) in owned_in {
            let (Some(whole), Some(left)) =
                (self.converted(&merged, version)?, self.converted(&pruned, version)?)
            else {
                continue;
            };
            let of = type_of(self.versions, version)?;
            let all = with_holders(&of, &field_set(&of, &whole));
            let kept = with_holders(&of, &field_set(&of, &left)).union(&with_holders(&of, &owned));
            let back = removed(&of, &whole, &all.difference(&kept));
            pruned = self.converted(&back, &last.version)?.unwrap_or(back);
        }
        // What nobody owns was not stated by this manager, and stays.
        let all = with_holders(&of, &field_set(&of, &merged));
        let left = with_holders(&of, &field_set(&of, &pruned));
        let gone = all.difference(&left).intersection(&stated);
        let pruned = removed(&of, &merged, &gone);
        Ok(self.converted(&pruned, self.writer.api_version)?.unwrap_or(pruned))
    }

    fn converted(&self, object: &Value, version: &str) -> Result<Option<Value>, Refusal> {
        if object["apiVersion"] == version {
            return Ok(Some(object.clone()));
        }
        self.versions.convert(object, version).map_err(Refusal::internal)
    }

    fn reset(&self, version: &str) -> FieldSet {
        let form = self.versions.form(version);
        form.map(|form| form.reset(self.writer.subresource)).unwrap_or_default()
    }

    /// Takes from all others what is changed; a conflict where that is not forced.
    fn spread(
        &self,
        new: &Value,
        managers: &mut Managers,
        me: &Manager,
        force: bool,
    ) -> Result<Difference, Refusal> {
        let difference =
            Difference::between(self.of, self.there, new).without(&self.reset(self.writer.api_version));
        let mut conflicts: Vec<(Manager, FieldSet)> = Vec::new();
        let mut left = Managers::new();
        for (manager, owned) in managers.iter() {
            if manager == me {
                left.insert(manager.clone(), owned.clone());
                continue;
            }
            let Some(difference) = self.in_version(new, &owned.version, &difference)? else { continue };
            let conflict = owned.fields.intersection(&difference.modified.union(&difference.added));
            let fields = owned.fields.difference(&conflict).difference(&difference.removed);
            if !conflict.is_empty() {
                conflicts.push((manager.clone(), conflict));
            }
            left.insert(manager.clone(), Owned { fields, ..owned.clone() });
        }
        if !force && !conflicts.is_empty() {
            return Err(conflict(&conflicts));
        }
        left.retain(|_, owned| !owned.fields.is_empty());
        *managers = left;
        Ok(difference)
    }

    /// What is changed, in the version of a manager; `None` when that version is gone.
    fn in_version(
        &self,
        new: &Value,
        version: &str,
        here: &Difference,
    ) -> Result<Option<Difference>, Refusal> {
        if version == self.writer.api_version {
            return Ok(Some(here.clone()));
        }
        let (Some(old), Some(new)) = (self.converted(self.there, version)?, self.converted(new, version)?)
        else {
            return Ok(None);
        };
        let of = type_of(self.versions, version)?;
        Ok(Some(Difference::between(&of, &old, &new).without(&self.reset(version))))
    }
}

fn type_of(versions: &dyn Versions, version: &str) -> Result<Type, Refusal> {
    let form = versions.form(version);
    let form = form.ok_or_else(|| Refusal::internal(format!("no corresponding type for {version}")))?;
    Ok(form.types().clone())
}

/// An object as errors name it.
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

fn conflict(conflicts: &[(Manager, FieldSet)]) -> Refusal {
    let paths: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(manager, fields)| {
            fields.paths().into_iter().map(|path| (manager.in_words(), path_text(&path)))
        })
        .collect();
    let causes: Vec<Value> = paths
        .iter()
        .map(|(manager, path)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})
        })
        .collect();
    let words = match paths.as_slice() {
        [(manager, path)] => format!("1 conflict: conflict with {manager}: {path}"),
        paths => {
            let mut lines: Vec<String> = Vec::new();
            for (manager, _) in conflicts {
                let manager = manager.in_words();
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(
                    paths.iter().filter(|(of, _)| *of == manager).map(|(_, path)| format!("- {path}")),
                );
            }
            format!("{} conflicts: {}", paths.len(), lines.join("\n"))
        }
    };
    let message = format!("Apply failed with {words}");
    Refusal { code: 409, reason: "Conflict".to_owned(), message, details: Some(json!({"causes": causes})) }
}

/// Nobody owns what names an object and what the server writes.
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
