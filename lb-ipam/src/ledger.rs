//! Who has which address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::decision::AllocationError;
use super::request::{Conflict, IpFamily, Sharing};
use lb_model::{AddressRange, Pool, PoolName, Reserved, ServiceName};

/// Who has which address. Addresses are taken and never given back: every decision begins with an empty one.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    holders: BTreeMap<IpAddr, Vec<(ServiceName, Sharing)>>,
    /// Addresses whose holders have this key: where one more may fit in.
    by_key: BTreeMap<String, BTreeSet<IpAddr>>,
    /// By first address of a range: no address before this one is free. What is taken stays taken, so what has
    /// been looked at once need not be looked at again.
    looked_at: BTreeMap<IpAddr, Option<IpAddr>>,
}

impl Ledger {
    /// Whether somebody has it.
    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        self.holders.contains_key(&address)
    }

    /// The addresses that somebody has, from `first` to `last`.
    pub(super) fn taken(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.holders.range(first..=last).map(|(address, _)| *address)
    }

    /// Whether a Service may have it beside those that have it already.
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

    /// Gives it to a Service that may have it.
    pub(super) fn take(&mut self, address: IpAddr, name: &ServiceName, sharing: &Sharing) {
        self.holders.entry(address).or_default().push((name.clone(), sharing.clone()));
        if let Some(key) = &sharing.key {
            self.by_key.entry(key.clone()).or_default().insert(address);
        }
    }

    /// The first address of a family in a pool that a Service may have: in the order of the pool's list, one to
    /// share or a free one, whichever comes first.
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

/// An address and the pool that it is in.
pub(super) type Place<'a> = (&'a PoolName, &'a Pool);
