//! The claims of Services to ports of addresses.

use std::net::IpAddr;

use crate::name::Protocol;
use crate::order::{ObjectHandle, Ranked};
use crate::table::Table;
use lb_api::objects::{Object, Sourced};

/// A port of an address, which only one Service can have.
pub(super) type PortKey = (IpAddr, u16, Protocol);

/// A Service that claims a port, and whether it merely asks for the address: a Service that holds it comes
/// first, whatever their ages.
pub(super) type Claimant<O> = (bool, Ranked<O>);

/// The Services that claim each port, in order: the first gets it.
///
/// A Service's claims depend on itself and on the pools, not on other Services. So a change of a Service
/// concerns only the Services with a claim that it had or has.
#[derive(Clone, Debug)]
pub(super) struct Claims<O>(Table<PortKey, Vec<Claimant<O>>>);

impl<O> Default for Claims<O> {
    fn default() -> Self {
        Self(Table::default())
    }
}

impl<O: ObjectHandle> Claims<O> {
    pub(super) fn add(&mut self, key: PortKey, by: &Claimant<O>) {
        let claimants = self.0.entry(key).or_default();
        // It is listed already if the Service has the port twice.
        if let Err(index) = claimants.binary_search(by) {
            claimants.insert(index, by.clone());
        }
    }

    pub(super) fn withdraw(&mut self, key: PortKey, by: &Claimant<O>) {
        let Some(claimants) = self.0.get_mut(&key) else { return };
        if let Ok(index) = claimants.binary_search(by) {
            claimants.remove(index);
        }
        if claimants.is_empty() {
            self.0.remove(&key);
        }
    }

    /// Returns the Service that gets a port.
    pub(super) fn holder(&self, key: PortKey) -> Option<&Sourced<Object>> {
        self.claimants(key).next()
    }

    /// Returns the Services that claim a port.
    pub(super) fn claimants(&self, key: PortKey) -> impl Iterator<Item = &Sourced<Object>> {
        self.0.get(&key).into_iter().flatten().map(|it| it.1.0.object())
    }
}
