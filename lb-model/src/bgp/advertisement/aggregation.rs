//! Checks of aggregation lengths.

use std::net::IpAddr;

use ipnet::{Ipv4Subnets, Ipv6Subnets};

use super::BgpAdvertisement;
use crate::address_range::AddressRange;
use crate::bgp::check::ObjectCheck;
use crate::pool::Pools;
use lb_api::problem::{BgpReason, Reason};

/// Returns the prefix length; by default that of a single address.
pub(super) fn length(written: Option<i32>, longest: u8) -> Result<u8, Reason> {
    let Some(number) = written else { return Ok(longest) };
    let allowed = if longest == 32 { "0 to 32" } else { "0 to 128" };
    let length = u8::try_from(number).ok().filter(|length| *length <= longest);
    length.ok_or_else(|| Reason::OutOfRange { written: number.to_string(), allowed })
}

/// Checks that prefixes lie within an entry of the pool, or routes would cover addresses outside of it; and
/// that a prefix of several Services is not advertised for some of them only.
pub(super) fn check(advertisement: &BgpAdvertisement, pools: &Pools, check: &mut ObjectCheck<'_>) {
    let aggregates = advertisement.aggregation_v4 < 32 || advertisement.aggregation_v6 < 128;
    if advertisement.chooses_services() && aggregates {
        check.refuse("spec.serviceSelectors", BgpReason::SelectorsWithAggregation);
    }
    for (name, pool) in pools.iter().filter(|(name, pool)| advertisement.selects_pool(name, pool)) {
        for range in &pool.ranges {
            let (field, length) = match range.start() {
                IpAddr::V4(_) => ("spec.aggregationLength", advertisement.aggregation_v4),
                IpAddr::V6(_) => ("spec.aggregationLengthV6", advertisement.aggregation_v6),
            };
            let least = shortest(*range);
            if length < least {
                let pool = name.to_string();
                check.refuse(field, BgpReason::AggregationTooShort { length, pool, least });
                return;
            }
        }
    }
}

/// Returns the length of the shortest of the prefixes that cover a range exactly.
fn shortest(range: AddressRange) -> u8 {
    let lengths: Option<u8> = match (range.start(), range.end()) {
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            Ipv4Subnets::new(start, end, 0).map(|net| net.prefix_len()).min()
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            Ipv6Subnets::new(start, end, 0).map(|net| net.prefix_len()).min()
        }
        // A range has one family.
        _ => None,
    };
    lengths.unwrap_or_default()
}
