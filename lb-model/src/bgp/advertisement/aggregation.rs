//! How long prefixes may be.

use std::net::IpAddr;

use ipnet::{Ipv4Subnets, Ipv6Subnets};

use super::BgpAdvertisement;
use crate::address_range::AddressRange;
use crate::bgp::judge::Judge;
use crate::pool::Pools;
use lb_api::problem::Reason;

/// The length of prefixes; that of one address if none is written.
pub(super) fn length(written: Option<i32>, longest: u8) -> Result<u8, Reason> {
    let Some(number) = written else { return Ok(longest) };
    let allowed = if longest == 32 { "0 to 32" } else { "0 to 128" };
    let length = u8::try_from(number).ok().filter(|length| *length <= longest);
    length.ok_or_else(|| Reason::OutOfRange { written: number.to_string(), allowed })
}

/// A prefix must lie within an entry of the pool, or routers would be told of addresses that are not in it. And
/// one prefix of several Services cannot be told for some of them only.
pub(super) fn judge(advertisement: &BgpAdvertisement, pools: &Pools, judge: &mut Judge<'_>) {
    let aggregates = advertisement.aggregation_v4 < 32 || advertisement.aggregation_v6 < 128;
    if advertisement.chooses_services() && aggregates {
        judge.refuse("spec.serviceSelectors", Reason::SelectorsWithAggregation);
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
                judge.refuse(field, Reason::AggregationTooShort { length, pool, least });
                return;
            }
        }
    }
}

/// Length of the shortest of the prefixes that a range consists of.
fn shortest(range: AddressRange) -> u8 {
    let lengths: Option<u8> = match (range.start(), range.end()) {
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            Ipv4Subnets::new(start, end, 0).map(|net| net.prefix_len()).min()
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            Ipv6Subnets::new(start, end, 0).map(|net| net.prefix_len()).min()
        }
        // A range is of one version.
        _ => None,
    };
    lengths.unwrap_or_default()
}
