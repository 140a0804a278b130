//! Address allocation: which address each Service gets.
//!
//! An allocation is a function of all pools and of the requests and addresses of all Services. A Service
//! keeps the addresses that it holds while they are valid, and gets addresses back that it lost with their
//! pool; otherwise it gets the first free address of the first pool that it may use. The same input has the
//! same result on every machine: where MetalLB takes pools in random order, here they are ordered by priority
//! and name.
//!
//! The order of Services ensures that none loses an address because another one has changed its request:
//! those that hold addresses with an unchanged request, others that hold addresses, those that held some
//! before, and the rest; within each group by age, then by name.

mod allocate;
mod change;
mod decision;
mod ledger;
mod request;
mod requests;
mod usage;

pub use change::{ServiceChange, changes};
pub use decision::{AllocationDecision, AllocationError, Assignment};
pub use request::{FamilyPolicy, IpFamily, Request, Sharing};
pub use requests::{ServiceRequests, requests};
pub use usage::Usage;

use std::collections::BTreeMap;

use allocate::AllocationPass;
use lb_model::{Namespaces, PoolName, Pools, ServiceName};
use ledger::Ledger;

/// Allocates addresses. It remembers the last requests, only to know which ones have changed; without memory,
/// as after a restart, Services keep what they hold in the order of their age.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    last: BTreeMap<ServiceName, Request>,
}

/// The addresses of all Services, and the usage of pools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// The decisions about all requests.
    pub decisions: BTreeMap<ServiceName, AllocationDecision>,
    /// The usage of the pools.
    pub usage: BTreeMap<PoolName, Usage>,
}

impl Allocator {
    /// Creates an allocator without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides about all Services.
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
        // A Service with a former address that is free now precedes those that take any address.
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

    /// Services that hold an address, those with an unchanged request first.
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
    // Stable: Services of equal age stay ordered by name.
    requests.sort_by(|(_, a), (_, b)| a.created.cmp(&b.created));
    requests
}

#[cfg(test)]
mod tests;
