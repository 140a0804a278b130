//! Pools: which addresses may be given to Services.

mod allocation;

pub use allocation::{Namespaces, ServiceAllocation};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::name::PoolName;
use super::reserved::Reserved;
use super::standing::Standing;
use super::{address, lists};
use lb_api::objects::{IpAddressPool, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// Addresses from `start` to `end`, both of one family and both in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    start: IpAddr,
    end: IpAddr,
}

impl AddressRange {
    /// The range between two addresses.
    ///
    /// # Errors
    /// They are of two families, or `end` is before `start`.
    pub fn new(start: IpAddr, end: IpAddr) -> Result<Self, Reason> {
        if start.is_ipv4() != end.is_ipv4() {
            return Err(Reason::RangeFamilies { start, end });
        }
        if end < start {
            return Err(Reason::RangeReversed { start, end });
        }
        Ok(Self { start, end })
    }

    /// First address.
    pub fn start(self) -> IpAddr {
        self.start
    }

    /// Last address.
    pub fn end(self) -> IpAddr {
        self.end
    }

    /// The address behind one of the range; `None` behind the last.
    pub fn after(self, address: IpAddr) -> Option<IpAddr> {
        let next = match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into(),
        };
        (next <= self.end).then_some(next)
    }

    fn overlap(self, other: Self) -> Option<Self> {
        // Every IPv4 address sorts before every IPv6 address, so ranges of two families never overlap here.
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start <= end).then_some(Self { start, end })
    }
}

impl FromStr for AddressRange {
    type Err = Reason;

    /// Reads `192.0.2.0/24` (bits behind the prefix do not count) or `192.0.2.1 - 192.0.2.9`.
    fn from_str(written: &str) -> Result<Self, Reason> {
        let not_a_range = || Reason::NotARange { written: written.to_owned() };
        if let Some((start, end)) = written.split_once('-') {
            let address = |text: &str| text.trim().parse().map_err(|_| not_a_range());
            return Self::new(address(start)?, address(end)?);
        }
        let net = cidr(written.trim()).ok_or_else(not_a_range)?;
        Self::new(net.network(), net.broadcast())
    }
}

/// `192.0.2.0/24`. An address has no leading zeros: others read those as octal numbers. A length may have some, as for
/// MetalLB.
pub(super) fn cidr(written: &str) -> Option<IpNet> {
    let (address, length) = written.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let digits = length.trim_start_matches('0');
    let length = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    IpNet::new(address.parse().ok()?, length).ok().filter(|_| is_number)
}

/// A pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its addresses, none of them twice.
    pub ranges: Vec<AddressRange>,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Whether addresses are given to Services that do not ask for this pool.
    pub auto_assign: bool,
    /// Whether IPv4 addresses that end with .0 or .255 are left out.
    pub avoid_buggy_ips: bool,
    /// For which Services it is kept; `None`: for all.
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
    /// The pools after those `before`.
    pub(super) fn build<'a>(
        objects: impl Iterator<Item = &'a Sourced<Object>>,
        before: &'a Self,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut candidates: Vec<_> = objects.filter_map(|object| Candidate::of(object, before)).collect();
        loop {
            candidates.sort_by_key(|candidate| candidate.standing);
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

    /// The pools of candidates in their order, and what is wrong with those that are none.
    ///
    /// # Errors
    /// The index of the first that has become wrong and does not stay as it was yet, and what is wrong with it.
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

    /// The addresses that are never given, whatever pool contains them.
    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    pub(super) fn reserve(&mut self, reserved: Reserved) {
        self.reserved = reserved;
    }

    /// The pools in order of namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&PoolName, &Pool)> {
        self.by_name.iter()
    }

    /// The pool that an address is in, whether or not the pool gives it away.
    pub fn of(&self, address: IpAddr) -> Option<(&PoolName, &Pool)> {
        let (_, (end, name)) = self.ranges.range(..=address).next_back()?;
        if address > *end {
            return None;
        }
        self.by_name.get_key_value(name)
    }

    /// The entries of a pool.
    ///
    /// # Errors
    /// What is wrong with them.
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

    /// An entry of a pool that overlaps neither the entries before it nor another pool.
    fn range(&self, written: &str, before: &[AddressRange]) -> Result<AddressRange, Reason> {
        let range: AddressRange = written.parse()?;
        if let Some((address, what)) = address::special(range.start, range.end) {
            return Err(Reason::SpecialAddress { address, what });
        }
        if let Some(AddressRange { start, end }) = before.iter().find_map(|other| range.overlap(*other)) {
            return Err(Reason::PoolOverlapsItself { start, end });
        }
        match self.overlap(range) {
            Some((other, AddressRange { start, end })) => {
                Err(Reason::PoolOverlap { other: other.to_string(), start, end })
            }
            None => Ok(range),
        }
    }

    /// A pool that has addresses of a range, and some of these.
    fn overlap(&self, range: AddressRange) -> Option<(&PoolName, AddressRange)> {
        // Ranges here are disjoint: if any overlaps, the last that starts before the end of this one does.
        let (start, (end, other)) = self.ranges.range(..=range.end).next_back()?;
        Some((other, range.overlap(AddressRange { start: *start, end: *end })?))
    }

    fn insert(&mut self, name: PoolName, pool: Pool) {
        for range in &pool.ranges {
            self.ranges.insert(range.start, (range.end, name.clone()));
        }
        self.by_name.insert(name, pool);
    }
}

/// A pool that is written, and what was accepted of its name before.
struct Candidate<'a> {
    object: &'a Sourced<Object>,
    written: &'a IpAddressPool,
    name: PoolName,
    former: Option<&'a Pool>,
    standing: Standing,
    /// It is as it was before, for what is written cannot be.
    stays: bool,
}

impl<'a> Candidate<'a> {
    fn of(object: &'a Sourced<Object>, before: &'a Pools) -> Option<Self> {
        let Object::IpAddressPool(written) = &object.value else { return None };
        let namespace = object.value.namespace().unwrap_or_default().to_owned();
        let name = PoolName { namespace, name: written.metadata.name.clone() };
        let former = before.by_name.get(&name);
        let ranges: Option<Vec<_>> = written.spec.addresses.iter().map(|entry| entry.parse().ok()).collect();
        let standing = Standing::of(former.map(|pool| &pool.ranges), ranges.as_ref());
        Some(Self { object, written, name, former, standing, stays: false })
    }

    /// What it had is not free for others, as it was thought to be.
    fn stay(&mut self) {
        self.stays = true;
        self.standing = Standing::Unchanged;
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
    /// Whether the pool leaves out this address, which is in it.
    pub fn avoids(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.avoid_buggy_ips && matches!(v4.octets(), [.., 0 | 255]),
            IpAddr::V6(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(written: &str) -> Result<AddressRange, Reason> {
        written.parse()
    }

    #[test]
    fn cidrs_and_ranges_are_read() {
        let read = |written| {
            let AddressRange { start, end } = range(written).unwrap();
            format!("{start} {end}")
        };
        assert_eq!(read("192.0.2.0/30"), "192.0.2.0 192.0.2.3");
        assert_eq!(read("192.0.2.7/30"), "192.0.2.4 192.0.2.7");
        assert_eq!(read("192.0.2.7/32"), "192.0.2.7 192.0.2.7");
        assert_eq!(read("192.0.2.1 -  192.0.2.9"), "192.0.2.1 192.0.2.9");
        assert_eq!(read("2001:db8::1-2001:db8::1"), "2001:db8::1 2001:db8::1");
        assert_eq!(read("2001:db8::/127"), "2001:db8:: 2001:db8::1");
        assert_eq!(read("192.0.2.0/028"), "192.0.2.0 192.0.2.15");
        assert_eq!(read("0.0.0.0/000"), "0.0.0.0 255.255.255.255");
    }

    #[test]
    fn what_is_no_range_is_refused_by_its_fault() {
        for written in [
            "",
            "-",
            "192.0.2.1",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "192.0.2.0/256",
            "192.0.2.0/99999999999999999999",
            "010.77.0.0/28",
            "192.0.2.010/32",
            "192.0.2.010-192.0.2.020",
            "192.0.2.1 0/32",
            "::ffff:192.0.2.010/128",
            "2001:db8::%eth0/64",
            "192.0.2.1-",
            "192.0.2.1-9",
            "a-b",
            "1.1.1.1-2.2.2.2-3.3.3.3",
        ] {
            assert_eq!(range(written), Err(Reason::NotARange { written: written.into() }));
        }
        assert!(matches!(range("192.0.2.1-2001:db8::1"), Err(Reason::RangeFamilies { .. })));
        assert!(matches!(range("192.0.2.9-192.0.2.1"), Err(Reason::RangeReversed { .. })));
    }

    proptest! {
        #[test]
        fn overlap_is_what_both_hold(a in 0u32..40, a_len in 0u32..20, b in 0u32..40, b_len in 0u32..20) {
            let range = |start: u32, len: u32| AddressRange {
                start: IpAddr::V4(start.into()),
                end: IpAddr::V4((start + len).into()),
            };
            let both: Vec<u32> = (a..=a + a_len).filter(|x| (b..=b + b_len).contains(x)).collect();
            let expected = both.first().zip(both.last()).map(|(first, last)| range(*first, last - first));
            prop_assert_eq!(range(a, a_len).overlap(range(b, b_len)), expected);
        }
    }
}
