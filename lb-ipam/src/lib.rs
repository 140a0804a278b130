//! Which address each Service gets.
//!
//! The whole goes in: pools, and what every Service wants and holds. What a Service holds it keeps as long as
//! it may, and what was taken from it with its pool it gets again; the rest is given the first free address of the first
//! pool that it may use. The same input gives the
//! same result on every machine: where MetalLB takes pools in random order, here they go by priority and name.
//!
//! Services are served in this order, so that nobody loses an address because another has changed its mind:
//! those that hold addresses and want what they wanted before, those that hold addresses, those that held some, and
//! the others;
//! within each the older first, then by name.

mod allocate;
mod change;
mod decision;
mod ledger;
mod request;
mod requests;
mod usage;

pub use change::{ServiceChange, changes};
pub use decision::{AllocationError, Assignment, Decision};
pub use request::{FamilyPolicy, IpFamily, Request, Sharing};
pub use requests::{ServiceRequests, requests};
pub use usage::Usage;

use std::collections::BTreeMap;

use allocate::AllocationPass;
use lb_model::{Namespaces, PoolName, Pools, ServiceName};
use ledger::Ledger;

/// Gives addresses. It remembers what was wanted last, only to know who has changed their mind; one that
/// remembers nothing, as after a restart, lets everybody keep what they hold in the order of their age.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    last: BTreeMap<ServiceName, Request>,
}

/// What every Service gets, and what is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// Every Service that wants an address, and what came of it.
    pub decisions: BTreeMap<ServiceName, Decision>,
    /// How full the pools are then.
    pub usage: BTreeMap<PoolName, Usage>,
}

impl Allocator {
    /// An allocator that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides for all Services.
    pub fn allocate(
        &mut self,
        pools: &Pools,
        namespaces: &Namespaces,
        requests: &BTreeMap<ServiceName, Request>,
    ) -> Allocation {
        let mut pass = AllocationPass { pools, namespaces, ledger: Ledger::default() };
        let mut decisions = BTreeMap::new();
        for (name, request) in self.holders(requests) {
            decisions.insert(name.clone(), pass.keep(name, request));
        }
        // Who held an address before that nobody has now comes before who would get just any.
        let (returning, others): (Vec<_>, Vec<_>) =
            requests.iter().partition(|(_, request)| request.held.is_empty() && !request.last.is_empty());
        for (name, request) in by_age(returning).into_iter().chain(by_age(others)) {
            let before = decisions.remove(name).unwrap_or_default();
            decisions.insert(name.clone(), pass.complete(name, request, before));
        }
        self.last.clone_from(requests);
        let usage =
            pools.iter().map(|(name, pool)| (name.clone(), Usage::of(pool, pools.reserved(), &pass.ledger)));
        let usage = usage.collect();
        Allocation { decisions, usage }
    }

    /// Services that hold an address, the steadfast before those that have changed their mind.
    fn holders<'a>(
        &self,
        requests: &'a BTreeMap<ServiceName, Request>,
    ) -> impl Iterator<Item = (&'a ServiceName, &'a Request)> {
        let holding = requests.iter().filter(|(_, request)| !request.held.is_empty());
        let (steadfast, changed): (Vec<_>, Vec<_>) = holding
            .partition(|(name, request)| self.last.get(*name).is_none_or(|last| last.asks_the_same(request)));
        by_age(steadfast).into_iter().chain(by_age(changed))
    }
}

fn by_age<'a>(mut requests: Vec<(&'a ServiceName, &'a Request)>) -> Vec<(&'a ServiceName, &'a Request)> {
    // Stable: equal ages stay in the order of their names.
    requests.sort_by(|(_, a), (_, b)| a.created.cmp(&b.created));
    requests
}

#[cfg(test)]
mod tests;
