//! Who has a port of an address, where several Services want it.

use std::net::IpAddr;

use crate::name::Protocol;
use crate::order::{ObjectHandle, Ranked};
use crate::table::Table;
use lb_api::objects::{Object, Sourced};

/// What only one Service can have: a port of an address.
pub(super) type PortKey = (IpAddr, u16, Protocol);

/// A Service that wants a port of an address, and whether it only asks for the address: whoever holds it comes first,
/// whatever their ages.
pub(super) type Claimant<O> = (bool, Ranked<O>);

/// Which Services want a port of an address, in their order: the first has it.
///
/// What a Service wants depends on itself and on the pools, and not on what others want or have. So a Service that
/// changes concerns only those that want what it wanted or wants now, and none beyond them.
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
        // It is there already if the Service names a port twice.
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

    /// The Service that has a port.
    pub(super) fn holder(&self, key: PortKey) -> Option<&Sourced<Object>> {
        self.claimants(key).next()
    }

    /// The Services that want a port.
    pub(super) fn claimants(&self, key: PortKey) -> impl Iterator<Item = &Sourced<Object>> {
        self.0.get(&key).into_iter().flatten().map(|it| it.1.0.object())
    }
}
