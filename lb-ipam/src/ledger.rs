//! The holders of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::decision::AllocationError;
use super::request::{Conflict, IpFamily, Sharing};
use lb_model::{AddressRange, Pool, PoolName, Reserved, ServiceName};

/// The holders of addresses. Addresses are never released: every pass begins with an empty ledger.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    holders: BTreeMap<IpAddr, Vec<(ServiceName, Sharing)>>,
    /// Addresses whose holders have this sharing key, where one more may fit in.
    by_key: BTreeMap<String, BTreeSet<IpAddr>>,
    /// By first address of a range: no lower address is free. Taken addresses stay taken, so none is checked
    /// twice.
    looked_at: BTreeMap<IpAddr, Option<IpAddr>>,
}

impl Ledger {
    /// Returns whether a Service holds it.
    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        self.holders.contains_key(&address)
    }

    /// Returns the taken addresses from `first` to `last`.
    pub(super) fn taken(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.holders.range(first..=last).map(|(address, _)| *address)
    }

    /// Returns whether a Service can share it with its holders.
    pub(super) fn check(&self, address: IpAddr, sharing: &Sharing) -> Result<(), AllocationError> {
        for (name, other) in self.holders.get(&address).into_iter().flatten() {
            let by = name.to_string();
            match sharing.conflict(other) {
                None => {}
                Some(Conflict::Keys) => return Err(AllocationError::Taken { address, by }),
                Some(Conflict::Port(protocol, port)) => {
                    return Err(AllocationError::PortTaken { address, port, protocol, by });
                }
            }
        }
        Ok(())
    }

    /// Assigns it to a Service, which must be able to have it.
    pub(super) fn take(&mut self, address: IpAddr, name: &ServiceName, sharing: &Sharing) {
        self.holders.entry(address).or_default().push((name.clone(), sharing.clone()));
        if let Some(key) = &sharing.key {
            self.by_key.entry(key.clone()).or_default().insert(address);
        }
    }

    /// Returns the first address of a family that a Service can have, in the order of the pool's list: shared
    /// or free, whichever comes first.
    pub(super) fn first_fit(
        &mut self,
        pool: &Pool,
        reserved: &Reserved,
        family: IpFamily,
        sharing: &Sharing,
    ) -> Option<IpAddr> {
        let ranges = pool.ranges.iter().filter(|range| IpFamily::of(range.start()) == family);
        ranges.into_iter().find_map(|range| {
            let shared = self.first_shared(*range, pool, sharing);
            let free = self.first_free(*range, pool, reserved);
            shared.into_iter().chain(free).min()
        })
    }

    fn first_shared(&self, range: AddressRange, pool: &Pool, sharing: &Sharing) -> Option<IpAddr> {
        let candidates = self.by_key.get(sharing.key.as_ref()?)?;
        let mut within = candidates.range(range.start()..=range.end());
        within.find(|address| !pool.avoids(**address) && self.check(**address, sharing).is_ok()).copied()
    }

    fn first_free(&mut self, range: AddressRange, pool: &Pool, reserved: &Reserved) -> Option<IpAddr> {
        let is_left_out = |address| pool.avoids(address) || reserved.owner(address).is_some();
        let mut at = self.looked_at.get(&range.start()).copied().unwrap_or(Some(range.start()));
        while let Some(address) = at
            && (self.is_taken(address) || is_left_out(address))
        {
            at = range.after(address);
        }
        self.looked_at.insert(range.start(), at);
        at
    }
}

/// A pool and its name.
pub(super) type Place<'a> = (&'a PoolName, &'a Pool);
