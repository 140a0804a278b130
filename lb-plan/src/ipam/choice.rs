//! What one Service gets of what is left.

use std::net::IpAddr;

use super::Namespaces;
use super::ledger::{Ledger, Place};
use super::outcome::{Assignment, Decision, Refusal};
use super::request::{FamilyPolicy, IpFamily, Request};
use crate::model::{Pools, ServiceName};

/// What one Service gets of what is left.
pub(super) struct Chooser<'a> {
    pub(super) pools: &'a Pools,
    pub(super) namespaces: &'a Namespaces,
    pub(super) ledger: Ledger,
}

impl<'a> Chooser<'a> {
    /// Lets a Service keep what it holds, if it may.
    pub(super) fn keep(&mut self, name: &ServiceName, request: &Request) -> Decision {
        match self.may_keep(name, request) {
            Ok(assignment) => {
                self.take(name, request, &assignment.addresses);
                Decision { assignment: Some(assignment), ..Decision::default() }
            }
            Err(refusal) => Decision { cleared: Some(refusal), ..Decision::default() },
        }
    }

    /// Gives a Service what it has not got yet. `before` is what has come of what it held.
    pub(super) fn complete(
        &mut self,
        name: &ServiceName,
        request: &Request,
        mut before: Decision,
    ) -> Decision {
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
                before.is_news = assignment.addresses.iter().any(|address| !request.held.contains(address));
                before.assignment = Some(assignment);
            }
            Err(refusal) => before.refused = Some(refusal),
        }
        before
    }

    fn take(&mut self, name: &ServiceName, request: &Request, addresses: &[IpAddr]) {
        for address in addresses {
            self.ledger.take(*address, name, &request.sharing);
        }
    }

    fn may_keep(&self, name: &ServiceName, request: &Request) -> Result<Assignment, Refusal> {
        self.can_have_any(request)?;
        let held = in_order(&request.held);
        let has_one_of_two = request.policy == FamilyPolicy::Prefer
            && matches!(held[..], [only] if request.families.contains(&IpFamily::of(only)));
        if !has_one_of_two && families(&held) != sorted(request.wanted()) {
            return Err(Refusal::Families);
        }
        if !request.addresses.is_empty() && in_order(&request.addresses) != held {
            return Err(Refusal::AsksForOthers);
        }
        self.exactly(name, request, held)
    }

    fn can_have_any(&self, request: &Request) -> Result<(), Refusal> {
        if self.pools.iter().next().is_none() {
            return Err(Refusal::NoPools);
        }
        match (request.families.len(), request.policy) {
            (0, _) => Err(Refusal::NoClusterAddress),
            (1, FamilyPolicy::Require) => Err(Refusal::NotEnoughClusterAddresses),
            _ => Ok(()),
        }
    }

    /// The other family's address for a Service that prefers two and has one.
    fn second_family(
        &mut self,
        name: &ServiceName,
        request: &Request,
        kept: &Assignment,
    ) -> Result<Option<Assignment>, Refusal> {
        let missing = request.wanted().iter().find(|family| !families(&kept.addresses).contains(family));
        let (Some(family), true) = (missing, request.addresses.is_empty()) else { return Ok(None) };
        let Some((pool_name, pool)) = self.usable(name, request).find(|(name, _)| **name == kept.pool) else {
            return Ok(None);
        };
        let found = self.ledger.first_fit(pool, *family, &request.sharing);
        let address =
            found.ok_or_else(|| Refusal::PoolFull { pool: pool_name.clone(), family: Some(*family) })?;
        let both: Vec<_> = kept.addresses.iter().copied().chain([address]).collect();
        Ok(Some(Assignment { addresses: in_order(&both), pool: kept.pool.clone() }))
    }

    fn choose(&mut self, name: &ServiceName, request: &Request) -> Result<Assignment, Refusal> {
        self.can_have_any(request)?;
        if !request.addresses.is_empty() {
            return self.asked_for(name, request);
        }
        if let Some(wanted) = &request.pool {
            let place = self.pools.iter().find(|(name, _)| name.name == *wanted);
            let place = place.ok_or_else(|| Refusal::UnknownPool { pool: wanted.clone() })?;
            self.admit(place, name, request)?;
            return self.first_fit(&[place], request);
        }
        let places = self.automatic(name, request);
        self.first_fit(&places, request)
    }

    /// The addresses that the Service asks for, all of them or none.
    fn asked_for(&self, name: &ServiceName, request: &Request) -> Result<Assignment, Refusal> {
        let wanted = in_order(&request.addresses);
        if let Some(address) = wanted.iter().find(|a| !request.families.contains(&IpFamily::of(**a))) {
            return Err(Refusal::Family { address: *address });
        }
        // Whoever prefers two and names one has said which.
        let names_one = request.policy == FamilyPolicy::Prefer && wanted.len() == 1;
        if !names_one && families(&wanted) != sorted(request.wanted()) {
            return Err(Refusal::Families);
        }
        self.exactly(name, request, wanted)
    }

    /// Exactly these addresses, in the order of their families.
    fn exactly(
        &self,
        name: &ServiceName,
        request: &Request,
        addresses: Vec<IpAddr>,
    ) -> Result<Assignment, Refusal> {
        let mut of: Option<Place<'_>> = None;
        for &address in &addresses {
            let place = self.pools.of(address).ok_or(Refusal::NotInPool { address })?;
            let (pool_name, pool) = place;
            if let Some((first, _)) = of.filter(|(first, _)| *first != pool_name) {
                return Err(Refusal::TwoPools { first: first.clone(), second: pool_name.clone() });
            }
            if let Some(wanted) = request.pool.as_ref().filter(|wanted| **wanted != pool_name.name) {
                let (wanted, pool) = (wanted.clone(), pool_name.clone());
                return Err(Refusal::AsksForPool { wanted, address, pool });
            }
            if pool.avoids(address) {
                return Err(Refusal::Avoided { address, pool: pool_name.clone() });
            }
            self.admit(place, name, request)?;
            self.ledger.check(address, &request.sharing)?;
            of = Some(place);
        }
        let (pool, _) = of.ok_or(Refusal::Families)?;
        Ok(Assignment { addresses, pool: pool.clone() })
    }

    fn admit(
        &self,
        (pool_name, pool): Place<'_>,
        name: &ServiceName,
        request: &Request,
    ) -> Result<(), Refusal> {
        let labels = self.namespaces.get(&name.namespace);
        let admits =
            pool.allocation.as_ref().is_none_or(|rule| rule.admits(&name.namespace, labels, &request.labels));
        if admits { Ok(()) } else { Err(Refusal::Forbidden { pool: pool_name.clone() }) }
    }

    /// The pools that a Service may use at all, in the order of their names.
    fn usable(&self, name: &ServiceName, request: &Request) -> impl Iterator<Item = Place<'a>> {
        self.pools.iter().filter(|place| self.admit(*place, name, request).is_ok())
    }

    /// The pools to take an address from that nobody asked for by name: first those that are kept for Services
    /// like this one, by priority (zero is last), then those for all.
    fn automatic(&self, name: &ServiceName, request: &Request) -> Vec<Place<'a>> {
        let mut places: Vec<_> = self.usable(name, request).filter(|(_, pool)| pool.auto_assign).collect();
        places.sort_by_key(|(_, pool)| match &pool.allocation {
            Some(rule) => (0, rule.priority.wrapping_sub(1)),
            None => (1, 0),
        });
        places
    }

    /// One address of each wanted family, all of one pool; of the primary family alone, or else of the other,
    /// where two are preferred and cannot be had.
    fn first_fit(&mut self, places: &[Place<'a>], request: &Request) -> Result<Assignment, Refusal> {
        let wanted = request.wanted();
        let mut choices = vec![wanted];
        if request.policy == FamilyPolicy::Prefer && wanted.len() > 1 {
            choices.extend(wanted.chunks(1));
        }
        for families in &choices {
            let found = places.iter().find_map(|(name, pool)| {
                let addresses: Option<Vec<_>> = families
                    .iter()
                    .map(|family| self.ledger.first_fit(pool, *family, &request.sharing))
                    .collect();
                Some(Assignment { addresses: in_order(&addresses?), pool: (*name).clone() })
            });
            if let Some(assignment) = found {
                return Ok(assignment);
            }
        }
        let family = if let [only] = wanted { Some(*only) } else { None };
        Err(match (places, &request.pool) {
            ([(name, _)], Some(_)) => Refusal::PoolFull { pool: (*name).clone(), family },
            _ => Refusal::AllFull { family },
        })
    }
}

/// IPv4 first.
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
