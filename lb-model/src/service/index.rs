//! All Services with their EndpointSlices, of which only those are judged that something has changed for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Service;
use super::candidate::{Candidate, Context};
use super::claims::{Claimant, Claims, PortKey};
use crate::endpoints;
use crate::incremental::ObjectChanges;
use crate::name::ServiceName;
use crate::order::{ObjectHandle, Ranked};
use crate::table::Table;
use lb_api::objects::{EndpointSlice, Object, Sourced};
use lb_api::problem::Problem;

/// All Services with their EndpointSlices, what they want, and what is wrong with them.
#[derive(Clone, Debug)]
pub(crate) struct ServiceIndex<O> {
    by_name: Table<ServiceName, ServiceObjects<O>>,
    claims: Claims<O>,
    /// Of those with which anything is wrong, in the order of their ranks.
    problems: BTreeMap<Ranked<O>, Vec<Problem>>,
}

/// What is written of a Service.
#[derive(Clone, Debug)]
struct ServiceObjects<O> {
    /// Its object; `None` while there are only EndpointSlices.
    service: Option<Ranked<O>>,
    slices: BTreeSet<Ranked<O>>,
    /// The object that was judged, and the ports that it wants; `None` if it is not ours.
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
    /// Takes in what has changed, and makes `services` what is to be served now. They must be what the last
    /// update left. `is_same` tells that the context is that of the last update.
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
        // All claims are known before any is decided.
        let keys: BTreeSet<_> = concerned.iter().flat_map(|name| self.claim(name, context)).collect();
        let rivals = keys.into_iter().flat_map(|key| self.claims.claimants(key));
        concerned.extend(rivals.map(ServiceName::of));
        for name in concerned {
            match self.judge(&name, context) {
                // What comes out as it was stays the same value, so that it is seen at a glance that it has.
                Some(service) if services.get(&name).is_some_and(|before| **before == service) => {}
                Some(service) => drop(services.insert(name, Arc::new(service))),
                None => drop(services.remove(&name)),
            }
        }
    }

    /// What is wrong with Services.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.problems.values().flatten().cloned()
    }

    /// Takes in what has changed; the names of the Services that it is about.
    fn take(&mut self, changes: &ObjectChanges<O>) -> BTreeSet<ServiceName> {
        let gone = changes.gone.iter().map(|object| (object, false));
        let come = changes.come.iter().map(|object| (object, true));
        let concerned = gone.chain(come).filter_map(|(object, is_there)| {
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

    /// Finds out anew what a Service wants; what it wants or has wanted.
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

/// The Service that an object is about.
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
