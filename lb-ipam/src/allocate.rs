//! The allocation of addresses to one Service after another.

use std::net::IpAddr;

use super::decision::{AllocationDecision, AllocationError, Assignment};
use super::ledger::{Ledger, Place};
use super::request::{FamilyPolicy, IpFamily, Request};
use lb_model::{Namespaces, PoolAllocation, Pools, ServiceName};

/// One pass over all Services, with the addresses that are taken so far.
pub(super) struct AllocationPass<'a> {
    pub(super) pools: &'a Pools,
    pub(super) namespaces: &'a Namespaces,
    pub(super) ledger: Ledger,
}

impl<'a> AllocationPass<'a> {
    /// Lets a Service keep the addresses that it holds, if they are still valid.
    pub(super) fn keep(&mut self, name: &ServiceName, request: &Request) -> AllocationDecision {
        match self.may_keep(name, request) {
            Ok(assignment) => {
                self.take(name, request, &assignment.addresses);
                AllocationDecision { assignment: Some(assignment), ..AllocationDecision::default() }
            }
            Err(error) => AllocationDecision { cleared: Some(error), ..AllocationDecision::default() },
        }
    }

    /// Allocates what a Service lacks. `before` is the decision about what it held.
    pub(super) fn complete(
        &mut self,
        name: &ServiceName,
        request: &Request,
        mut before: AllocationDecision,
    ) -> AllocationDecision {
        let given = match &before.assignment {
            Some(assignment) => self.second_family(name, request, assignment),
            None => self.choose(name, request).map(Some),
        };
        match given {
            Ok(None) => {}
            Ok(Some(assignment)) => {
                let held = before.assignment.take().map_or_else(Vec::new, |kept| kept.addresses);
                let new: Vec<_> =
                    assignment.addresses.iter().copied().filter(|a| !held.contains(a)).collect();
                self.take(name, request, &new);
                before.is_new = assignment.addresses.iter().any(|address| !request.held.contains(address));
                before.assignment = Some(assignment);
            }
            Err(error) => before.refused = Some(error),
        }
        before
    }

    fn take(&mut self, name: &ServiceName, request: &Request, addresses: &[IpAddr]) {
        for address in addresses {
            self.ledger.take(*address, name, &request.sharing);
        }
    }

    fn may_keep(&self, name: &ServiceName, request: &Request) -> Result<Assignment, AllocationError> {
        self.can_have_any(request)?;
        // Addresses that its policy or families no longer call for are released; missing ones are added
        // later.
        let mut kept = in_order(&request.held);
        kept.retain(|address| request.wanted().contains(&IpFamily::of(*address)));
        // Removing a range of a pool takes one of two addresses, but not the other.
        let is_there = |address: &IpAddr| self.pools.of(*address).is_some();
        if kept.iter().any(is_there) {
            kept.retain(is_there);
        }
        let has_two_of_one =
            families(&kept).windows(2).any(|pair| matches!(pair, [one, other] if one == other));
        if kept.is_empty() || has_two_of_one {
            return Err(AllocationError::Families);
        }
        if !request.addresses.is_empty() && in_order(&request.addresses) != kept {
            return Err(AllocationError::AsksForOthers);
        }
        let assignment = self.exactly(name, request, kept)?;
        if request.policy == FamilyPolicy::Require && !self.can_have_both(request, &assignment) {
            return Err(AllocationError::Families);
        }
        Ok(assignment)
    }

    /// Returns whether a Service that requires both families has both, or its pool has both.
    fn can_have_both(&self, request: &Request, kept: &Assignment) -> bool {
        let Some(missing) = missing(request, kept) else { return true };
        let of_pool = self.pools.iter().find(|(name, _)| **name == kept.pool);
        let mut ranges = of_pool.into_iter().flat_map(|(_, pool)| &pool.ranges);
        request.addresses.is_empty() && ranges.any(|range| IpFamily::of(range.start()) == missing)
    }

    fn can_have_any(&self, request: &Request) -> Result<(), AllocationError> {
        if self.pools.iter().next().is_none() {
            return Err(AllocationError::NoPools);
        }
        match (request.families.len(), request.policy) {
            (0, _) => Err(AllocationError::NoClusterAddress),
            (1, FamilyPolicy::Require) => Err(AllocationError::NotEnoughClusterAddresses),
            _ => Ok(()),
        }
    }

    /// Allocates the second address of a dual-stack Service that holds one. It keeps that one if there is no
    /// other.
    fn second_family(
        &mut self,
        name: &ServiceName,
        request: &Request,
        kept: &Assignment,
    ) -> Result<Option<Assignment>, AllocationError> {
        let missing = missing(request, kept).filter(|_| request.addresses.is_empty());
        let place = self.pools.iter().find(|(name, _)| **name == kept.pool);
        let (Some(family), Some((pool_name, pool))) = (missing, place) else { return Ok(None) };
        self.admit((pool_name, pool), name, request)?;
        let found = self.ledger.first_fit(pool, self.pools.reserved(), family, &request.sharing);
        let address = found
            .ok_or_else(|| AllocationError::PoolFull { pool: pool_name.clone(), family: Some(family) })?;
        let both: Vec<_> = kept.addresses.iter().copied().chain([address]).collect();
        Ok(Some(Assignment { addresses: in_order(&both), pool: kept.pool.clone() }))
    }

    fn choose(&mut self, name: &ServiceName, request: &Request) -> Result<Assignment, AllocationError> {
        self.can_have_any(request)?;
        if !request.addresses.is_empty() {
            return self.asked_for(name, request);
        }
        if let Some(wanted) = &request.pool {
            let place = self.pools.iter().find(|(name, _)| name.name == *wanted);
            let place = place.ok_or_else(|| AllocationError::UnknownPool { pool: wanted.clone() })?;
            self.admit(place, name, request)?;
            return self.last_or_first(&[vec![place]], name, request);
        }
        let groups = self.automatic(name, request);
        self.last_or_first(&groups, name, request)
    }

    /// Returns the Service's last addresses, if they are free and in one of these pools; otherwise the first
    /// free ones.
    fn last_or_first(
        &mut self,
        groups: &[Vec<Place<'a>>],
        name: &ServiceName,
        request: &Request,
    ) -> Result<Assignment, AllocationError> {
        let mut last = in_order(&request.last);
        last.retain(|address| request.wanted().contains(&IpFamily::of(*address)));
        if families(&last) == sorted(request.wanted())
            && let Ok(assignment) = self.exactly(name, request, last)
            && groups.iter().flatten().any(|(pool, _)| **pool == assignment.pool)
        {
            return Ok(assignment);
        }
        let found = groups.iter().find_map(|places| self.first_fit(places, request));
        let wanted = request.wanted();
        let family = if let [only] = wanted { Some(*only) } else { None };
        found.ok_or_else(|| match &request.pool {
            Some(_) if let Some((pool, _)) = groups.iter().flatten().next() => {
                AllocationError::PoolFull { pool: (*pool).clone(), family }
            }
            _ => AllocationError::AllFull { family },
        })
    }

    /// Returns the addresses that the Service asks for, all of them or none.
    fn asked_for(&self, name: &ServiceName, request: &Request) -> Result<Assignment, AllocationError> {
        let wanted = in_order(&request.addresses);
        if let Some(address) = wanted.iter().find(|a| !request.families.contains(&IpFamily::of(**a))) {
            return Err(AllocationError::Family { address: *address });
        }
        if families(&wanted) != sorted(request.wanted()) {
            return Err(AllocationError::Families);
        }
        self.exactly(name, request, wanted)
    }

    /// Returns exactly these addresses, ordered by family.
    fn exactly(
        &self,
        name: &ServiceName,
        request: &Request,
        addresses: Vec<IpAddr>,
    ) -> Result<Assignment, AllocationError> {
        let mut of: Option<Place<'_>> = None;
        for &address in &addresses {
            let place = self.pools.of(address).ok_or(AllocationError::NotInPool { address })?;
            let (pool_name, pool) = place;
            if let Some((first, _)) = of.filter(|(first, _)| *first != pool_name) {
                return Err(AllocationError::TwoPools { first: first.clone(), second: pool_name.clone() });
            }
            if let Some(wanted) = request.pool.as_ref().filter(|wanted| **wanted != pool_name.name) {
                let (wanted, pool) = (wanted.clone(), pool_name.clone());
                return Err(AllocationError::AsksForPool { wanted, address, pool });
            }
            if pool.avoids(address) {
                return Err(AllocationError::Avoided { address, pool: pool_name.clone() });
            }
            if let Some(owner) = self.pools.reserved().owner(address) {
                return Err(AllocationError::Reserved {
                    address,
                    pool: pool_name.clone(),
                    owner: owner.clone(),
                });
            }
            self.admit(place, name, request)?;
            self.ledger.check(address, &request.sharing)?;
            of = Some(place);
        }
        let (pool, _) = of.ok_or(AllocationError::Families)?;
        Ok(Assignment { addresses, pool: pool.clone() })
    }

    fn admit(
        &self,
        (pool_name, pool): Place<'_>,
        name: &ServiceName,
        request: &Request,
    ) -> Result<(), AllocationError> {
        let admits = |rule: &PoolAllocation| rule.admits(&name.namespace, self.namespaces, &request.labels);
        if pool.allocation.as_ref().is_none_or(admits) {
            Ok(())
        } else {
            Err(AllocationError::Forbidden { pool: pool_name.clone() })
        }
    }

    /// Returns the pools for a Service that asks for none by name: first those reserved for Services like
    /// this one, by priority (zero is last), then those for all. For a Service that prefers two families, one
    /// address of a reserved pool comes before two of a pool for all.
    fn automatic(&self, name: &ServiceName, request: &Request) -> [Vec<Place<'a>>; 2] {
        let is_automatic = |(_, pool): &Place<'a>| pool.auto_assign;
        let (mut kept, for_all): (Vec<_>, Vec<_>) =
            self.pools.iter().filter(is_automatic).partition(|(_, pool)| pool.allocation.is_some());
        let rule = |place: &Place<'a>| place.1.allocation.as_ref();
        kept.retain(|place| {
            rule(place).is_some_and(|rule| rule.prefers(&name.namespace, self.namespaces, &request.labels))
        });
        kept.sort_by_key(|place| rule(place).map(|rule| rule.priority.wrapping_sub(1)));
        [kept, for_all]
    }

    /// Returns one address of each requested family, all from one pool. If both are preferred and
    /// unavailable, it returns one of the primary family, or else of the other.
    fn first_fit(&mut self, places: &[Place<'a>], request: &Request) -> Option<Assignment> {
        let wanted = request.wanted();
        let mut choices = vec![wanted];
        if request.policy == FamilyPolicy::Prefer && wanted.len() > 1 {
            choices.extend(wanted.chunks(1));
        }
        let reserved = self.pools.reserved();
        choices.iter().find_map(|families| {
            places.iter().find_map(|(name, pool)| {
                let addresses: Option<Vec<_>> = families
                    .iter()
                    .map(|family| self.ledger.first_fit(pool, reserved, *family, &request.sharing))
                    .collect();
                Some(Assignment { addresses: in_order(&addresses?), pool: (*name).clone() })
            })
        })
    }
}

/// Returns the family that a Service requests and has no address of.
fn missing(request: &Request, kept: &Assignment) -> Option<IpFamily> {
    let has = families(&kept.addresses);
    request.wanted().iter().copied().find(|family| !has.contains(family))
}

/// Orders IPv4 first.
fn in_order(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable_by_key(|address| (IpFamily::of(*address), *address));
    addresses.dedup();
    addresses
}

fn families(addresses: &[IpAddr]) -> Vec<IpFamily> {
    addresses.iter().map(|address| IpFamily::of(*address)).collect()
}

fn sorted(families: &[IpFamily]) -> Vec<IpFamily> {
    let mut families = families.to_vec();
    families.sort_unstable();
    families
}
