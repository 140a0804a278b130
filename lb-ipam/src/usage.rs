//! The usage of pools.

use std::net::IpAddr;

use super::ledger::Ledger;
use super::request::IpFamily;
use lb_model::{AddressRange, Pool, Reserved};

/// The usage of a pool, as in its status. Numbers saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 addresses that Services hold.
    pub assigned_ipv4: i64,
    /// IPv6 addresses that Services hold.
    pub assigned_ipv6: i64,
    /// IPv4 addresses that are free.
    pub available_ipv4: i64,
    /// IPv6 addresses that are free.
    pub available_ipv6: i64,
}

impl Usage {
    pub(super) fn of(pool: &Pool, reserved: &Reserved, ledger: &Ledger) -> Self {
        let mut usage = Self::default();
        for range in &pool.ranges {
            let assigned = count(ledger.taken(range.start(), range.end()).count());
            let reserved = reserved.within(range.start(), range.end());
            let reserved = count(reserved.filter(|(address, _)| !pool.avoids(*address)).count());
            let available = size(*range, pool).saturating_sub(assigned).saturating_sub(reserved);
            let (assigned_sum, available_sum) = match IpFamily::of(range.start()) {
                IpFamily::V4 => (&mut usage.assigned_ipv4, &mut usage.available_ipv4),
                IpFamily::V6 => (&mut usage.assigned_ipv6, &mut usage.available_ipv6),
            };
            *assigned_sum = assigned_sum.saturating_add(assigned);
            *available_sum = available_sum.saturating_add(available);
        }
        usage
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the number of addresses of a range that the pool assigns.
fn size(range: AddressRange, pool: &Pool) -> i64 {
    match (range.start(), range.end()) {
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            let (start, end) = (i64::from(start.to_bits()), i64::from(end.to_bits()));
            // Numbers up to `n` that end with a given octet.
            let up_to = |n: i64, octet: i64| (n - octet).div_euclid(256) + 1;
            let ending = |octet| up_to(end, octet) - up_to(start - 1, octet);
            let avoided = if pool.avoid_buggy_ips { ending(0) + ending(255) } else { 0 };
            end - start + 1 - avoided
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            i64::try_from(end.to_bits() - start.to_bits()).map_or(i64::MAX, |size| size.saturating_add(1))
        }
        // A range is of one family.
        _ => 0,
    }
}
