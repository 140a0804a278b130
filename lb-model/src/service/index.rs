//! The index of Services and their EndpointSlices, which revalidates only what a change concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Service;
use super::candidate::{Candidate, Context};
use super::claims::{Claimant, Claims, PortKey};
use crate::endpoints;
use crate::name::ServiceName;
use crate::object_set::ObjectChanges;
use crate::order::{ObjectHandle, Ranked};
use crate::table::Table;
use lb_api::objects::{EndpointSlice, Object, Sourced};
use lb_api::problem::Problem;

/// All Services with their EndpointSlices, claims and problems.
#[derive(Clone, Debug)]
pub(crate) struct ServiceIndex<O> {
    by_name: Table<ServiceName, ServiceObjects<O>>,
    claims: Claims<O>,
    /// Of Services with problems, ordered by rank.
    problems: BTreeMap<Ranked<O>, Vec<Problem>>,
}

/// The objects of a Service.
#[derive(Clone, Debug)]
struct ServiceObjects<O> {
    /// Its Service object; `None` if there are only EndpointSlices.
    service: Option<Ranked<O>>,
    slices: BTreeSet<Ranked<O>>,
    /// The validated object and the ports that it claims; `None` if it is not of our class.
    claimed: Option<(Claimant<O>, Vec<PortKey>)>,
}

impl<O> Default for ServiceIndex<O> {
    fn default() -> Self {
        Self { by_name: Table::default(), claims: Claims::default(), problems: BTreeMap::new() }
    }
}

impl<O> Default for ServiceObjects<O> {
    fn default() -> Self {
        Self { service: None, slices: BTreeSet::new(), claimed: None }
    }
}

impl<O: ObjectHandle> ServiceIndex<O> {
    /// Applies changes to `services`, which must be the result of the last update. `is_same` says whether
    /// the context is that of the last update.
    pub(crate) fn update(
        &mut self,
        changes: &ObjectChanges<O>,
        context: &Context<'_>,
        is_same: bool,
        services: &mut BTreeMap<ServiceName, Arc<Service>>,
    ) {
        let mut concerned = self.take(changes);
        if !is_same {
            concerned = self.by_name.keys().cloned().collect();
        }
        // All claims must be known before any is decided.
        let keys: BTreeSet<_> = concerned.iter().flat_map(|name| self.claim(name, context)).collect();
        let rivals = keys.into_iter().flat_map(|key| self.claims.claimants(key));
        concerned.extend(rivals.map(ServiceName::of));
        for name in concerned {
            match self.judge(&name, context) {
                // An equal result stays the same value, so that it is quickly known to be unchanged.
                Some(service) if services.get(&name).is_some_and(|before| **before == service) => {}
                Some(service) => drop(services.insert(name, Arc::new(service))),
                None => drop(services.remove(&name)),
            }
        }
    }

    /// Returns the problems of Services.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.problems.values().flatten().cloned()
    }

    /// Takes the changes, and returns the names of the Services that they concern.
    fn take(&mut self, changes: &ObjectChanges<O>) -> BTreeSet<ServiceName> {
        let removed = changes.removed.iter().map(|object| (object, false));
        let added = changes.added.iter().map(|object| (object, true));
        let concerned = removed.chain(added).filter_map(|(object, is_there)| {
            let is_slice = matches!(object.object().value, Object::EndpointSlice(_));
            let name = concerned(object.object())?;
            let entry = self.by_name.entry(name.clone()).or_default();
            let object = Ranked(object.clone());
            match (is_slice, is_there) {
                (true, true) => drop(entry.slices.insert(object)),
                (true, false) => drop(entry.slices.remove(&object)),
                (false, _) => entry.service = is_there.then_some(object),
            }
            Some(name)
        });
        concerned.collect()
    }

    /// Updates the claims of a Service; returns its new and its former claims.
    fn claim(&mut self, name: &ServiceName, context: &Context<'_>) -> Vec<PortKey> {
        let Some(entry) = self.by_name.get_mut(name) else { return Vec::new() };
        let mut keys = Vec::new();
        if let Some((claimant, wanted)) = entry.claimed.take() {
            self.problems.remove(&claimant.1);
            wanted.iter().for_each(|key| self.claims.withdraw(*key, &claimant));
            keys.extend(wanted);
        }
        entry.claimed = entry.service.as_ref().and_then(|service| {
            let candidate = Candidate::of(service.0.object(), &[], context)?;
            let claimant = (candidate.only_asks(), service.clone());
            let wanted = candidate.claims();
            wanted.iter().for_each(|key| self.claims.add(*key, &claimant));
            keys.extend(&wanted);
            Some((claimant, wanted))
        });
        if entry.service.is_none() && entry.slices.is_empty() {
            self.by_name.remove(name);
        }
        keys
    }

    fn judge(&mut self, name: &ServiceName, context: &Context<'_>) -> Option<Service> {
        let entry = self.by_name.get(name)?;
        let ((_, object), _) = entry.claimed.as_ref()?;
        let slices: Vec<_> = entry.slices.iter().filter_map(|it| slice(it.0.object())).collect();
        let (service, problems) = Candidate::of(object.0.object(), &slices, context)?.judge(&self.claims);
        match problems.is_empty() {
            true => self.problems.remove(object),
            false => self.problems.insert(object.clone(), problems),
        };
        service
    }
}

/// Returns the Service that an object concerns.
fn concerned(object: &Sourced<Object>) -> Option<ServiceName> {
    match &object.value {
        Object::Service(_) => Some(ServiceName::of(object)),
        Object::EndpointSlice(_) => endpoints::service(object),
        _ => None,
    }
}

fn slice(object: &Sourced<Object>) -> Option<&EndpointSlice> {
    let Object::EndpointSlice(slice) = &object.value else { return None };
    Some(slice)
}
