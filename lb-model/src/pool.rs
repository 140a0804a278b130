//! Pools: the addresses that Services may get.

mod allocation;
pub(crate) mod reserved;

pub use allocation::{Namespaces, ServiceAllocation};

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::address_range::AddressRange;
use crate::name::PoolName;
use crate::precedence::Precedence;
use crate::reserved::Reserved;
use crate::{address, lists};
use lb_api::objects::{IpAddressPool, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// A pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its addresses, without duplicates.
    pub ranges: Vec<AddressRange>,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Whether Services that do not ask for this pool get its addresses.
    pub auto_assign: bool,
    /// Whether IPv4 addresses ending in .0 or .255 are left out.
    pub avoid_buggy_ips: bool,
    /// The Services that may use it; `None`: all.
    pub allocation: Option<ServiceAllocation>,
}

/// All valid pools. No address is in two of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pools {
    by_name: BTreeMap<PoolName, Pool>,
    /// First address → last address and pool, of all ranges.
    ranges: BTreeMap<IpAddr, (IpAddr, PoolName)>,
    reserved: Reserved,
}

impl Pools {
    /// Builds the pools after those `before`.
    pub(super) fn build<'a>(
        objects: impl Iterator<Item = &'a Sourced<Object>>,
        before: &'a Self,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut candidates: Vec<_> = objects.filter_map(|object| Candidate::of(object, before)).collect();
        loop {
            candidates.sort_by_key(|candidate| candidate.precedence);
            match Self::judge(&candidates) {
                Ok((pools, refused)) => {
                    problems.extend(refused);
                    return pools;
                }
                Err((index, refused)) => {
                    problems.extend(refused);
                    if let Some(candidate) = candidates.get_mut(index) {
                        problems.push(Problem::of(candidate.object, Reason::StaysAsBefore));
                        candidate.stay();
                    }
                }
            }
        }
    }

    /// Returns the pools of the candidates in order of precedence, and the problems of the others.
    ///
    /// # Errors
    /// The index of the first candidate that has become invalid and does not keep its last-known-good value
    /// yet, with its problems.
    fn judge(candidates: &[Candidate<'_>]) -> Result<(Self, Vec<Problem>), (usize, Vec<Problem>)> {
        let mut pools = Self::default();
        let mut refused = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let Candidate { object, written, former, .. } = *candidate;
            match (former, pools.ranges(object, written)) {
                (Some(former), _) if candidate.stays => pools.insert(candidate.name.clone(), former.clone()),
                (_, Ok(ranges)) => pools.insert(candidate.name.clone(), pool(written, ranges)),
                (Some(_), Err(problems)) => return Err((index, problems)),
                (None, Err(problems)) => refused.extend(problems),
            }
        }
        Ok((pools, refused))
    }

    /// Returns the addresses that are never assigned, whatever pool contains them.
    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    pub(super) fn reserve(&mut self, reserved: Reserved) {
        self.reserved = reserved;
    }

    /// Returns the pools ordered by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&PoolName, &Pool)> {
        self.by_name.iter()
    }

    /// Returns the pool that contains an address, whether or not the pool assigns it.
    pub fn of(&self, address: IpAddr) -> Option<(&PoolName, &Pool)> {
        let (_, (end, name)) = self.ranges.range(..=address).next_back()?;
        if address > *end {
            return None;
        }
        self.by_name.get_key_value(name)
    }

    /// Parses the entries of a pool.
    ///
    /// # Errors
    /// Their problems.
    fn ranges(
        &self,
        object: &Sourced<Object>,
        written: &IpAddressPool,
    ) -> Result<Vec<AddressRange>, Vec<Problem>> {
        if written.spec.addresses.is_empty() {
            return Err(vec![Problem::at(object, "spec.addresses", Reason::EmptyPool)]);
        }
        let mut ranges = Vec::new();
        let mut problems = lists::problems(object);
        for (i, entry) in written.spec.addresses.iter().enumerate() {
            match self.range(entry, &ranges) {
                Ok(range) => ranges.push(range),
                Err(reason) => problems.push(Problem::at(object, format!("spec.addresses[{i}]"), reason)),
            }
        }
        if problems.is_empty() { Ok(ranges) } else { Err(problems) }
    }

    /// Parses an entry that overlaps neither earlier entries nor another pool.
    fn range(&self, written: &str, before: &[AddressRange]) -> Result<AddressRange, Reason> {
        let range: AddressRange = written.parse()?;
        if let Some((address, what)) = address::special(range.start(), range.end()) {
            return Err(Reason::SpecialAddress { address, what });
        }
        if let Some(both) = before.iter().find_map(|other| range.overlap(*other)) {
            return Err(Reason::PoolOverlapsItself { start: both.start(), end: both.end() });
        }
        match self.overlap(range) {
            Some((other, both)) => {
                let (start, end) = (both.start(), both.end());
                Err(Reason::PoolOverlap { other: other.to_string(), start, end })
            }
            None => Ok(range),
        }
    }

    /// Returns a pool that overlaps a range, and the common addresses.
    fn overlap(&self, range: AddressRange) -> Option<(&PoolName, AddressRange)> {
        // Ranges here are disjoint: if any overlaps, it is the last that starts before the end of this one.
        let (start, (end, other)) = self.ranges.range(..=range.end()).next_back()?;
        Some((other, range.overlap(AddressRange::new(*start, *end).ok()?)?))
    }

    fn insert(&mut self, name: PoolName, pool: Pool) {
        for range in &pool.ranges {
            self.ranges.insert(range.start(), (range.end(), name.clone()));
        }
        self.by_name.insert(name, pool);
    }
}

/// A written pool, and its last-known-good version.
struct Candidate<'a> {
    object: &'a Sourced<Object>,
    written: &'a IpAddressPool,
    name: PoolName,
    former: Option<&'a Pool>,
    precedence: Precedence,
    /// It keeps its last-known-good version, because the written one is invalid.
    stays: bool,
}

impl<'a> Candidate<'a> {
    fn of(object: &'a Sourced<Object>, before: &'a Pools) -> Option<Self> {
        let Object::IpAddressPool(written) = &object.value else { return None };
        let namespace = object.value.namespace().unwrap_or_default().to_owned();
        let name = PoolName { namespace, name: written.metadata.name.clone() };
        let former = before.by_name.get(&name);
        let ranges: Option<Vec<_>> = written.spec.addresses.iter().map(|entry| entry.parse().ok()).collect();
        let precedence = Precedence::of(former.map(|pool| &pool.ranges), ranges.as_ref());
        Some(Self { object, written, name, former, precedence, stays: false })
    }

    /// Keeps the last-known-good version, whose addresses are not free for other pools after all.
    fn stay(&mut self) {
        self.stays = true;
        self.precedence = Precedence::Unchanged;
    }
}

fn pool(written: &IpAddressPool, ranges: Vec<AddressRange>) -> Pool {
    Pool {
        ranges,
        labels: written.metadata.labels.clone(),
        auto_assign: written.spec.auto_assign.unwrap_or(true),
        avoid_buggy_ips: written.spec.avoid_buggy_ips.unwrap_or(false),
        allocation: written.spec.service_allocation.as_ref().map(ServiceAllocation::read),
    }
}

impl Pool {
    /// Returns whether the pool leaves out this address, which it contains.
    pub fn avoids(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.avoid_buggy_ips && matches!(v4.octets(), [.., 0 | 255]),
            IpAddr::V6(_) => false,
        }
    }
}
