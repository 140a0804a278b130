//! Entries of `lb_sources`, as values.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lb_common::maps::{Source, v4_mapped};

/// A range of clients, as stored in `lb_sources` after the number of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceRange {
    /// First address, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// Prefix length of the key, including the number of the VIP.
    pub bits: u32,
}

impl From<IpNet> for SourceRange {
    fn from(net: IpNet) -> Self {
        let (address, length) = match net.network() {
            IpAddr::V4(v4) => (v4_mapped(v4.octets()), 96 + u32::from(net.prefix_len())),
            IpAddr::V6(v6) => (v6.octets(), u32::from(net.prefix_len())),
        };
        Self { address, bits: Source::VIP_BITS + length }
    }
}

impl SourceRange {
    /// Returns whether it contains a client.
    pub fn contains(&self, client: IpAddr) -> bool {
        let client = match client {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let differs = client ^ u128::from_be_bytes(self.address);
        let length = self.bits.saturating_sub(Source::VIP_BITS);
        differs.leading_zeros() >= length
    }
}

/// The source ranges of a VIP. A copy shares the memory, so that two are usually known to be equal without
/// comparing what may be thousands of ranges.
#[derive(Clone, Debug, Default, Eq)]
pub struct SourceSet(Arc<BTreeSet<SourceRange>>);

impl SourceSet {
    /// Returns whether they share memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Adds a range.
    pub fn insert(&mut self, range: SourceRange) {
        Arc::make_mut(&mut self.0).insert(range);
    }

    /// Removes a range.
    pub fn remove(&mut self, range: &SourceRange) {
        Arc::make_mut(&mut self.0).remove(range);
    }
}

impl FromIterator<SourceRange> for SourceSet {
    fn from_iter<I: IntoIterator<Item = SourceRange>>(ranges: I) -> Self {
        Self(Arc::new(ranges.into_iter().collect()))
    }
}

impl PartialEq for SourceSet {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl Deref for SourceSet {
    type Target = BTreeSet<SourceRange>;

    fn deref(&self) -> &BTreeSet<SourceRange> {
        &self.0
    }
}

/// The source ranges of a Service, by family. A family without any range is not restricted, even if the other
/// is: kube-proxy and cloud providers read the field so, and a Service with only IPv4 ranges and an IPv6
/// address gets a warning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceRanges {
    v4: Option<SourceSet>,
    v6: Option<SourceSet>,
    /// Whether any ranges of IPv4 or IPv6 are written.
    written: [bool; 2],
}

impl SourceRanges {
    /// Returns the source ranges of an address; `None` admits all clients.
    pub fn of(&self, address: IpAddr) -> Option<&SourceSet> {
        if address.is_ipv4() { self.v4.as_ref() } else { self.v6.as_ref() }
    }

    /// Returns whether ranges of IPv4 and of IPv6 are written.
    pub(crate) fn families(&self) -> [bool; 2] {
        self.written
    }

    /// Aggregates the ranges. A range of all addresses restricts nothing.
    pub(crate) fn of_nets(nets: &[IpNet]) -> Self {
        let v4: Vec<Ipv4Net> = nets.iter().filter_map(|net| v4(*net)).collect();
        let v6: Vec<Ipv6Net> = nets.iter().filter_map(|net| v6(*net)).collect();
        Self {
            v4: restriction(Ipv4Net::aggregate(&v4).into_iter().map(IpNet::V4)),
            v6: restriction(Ipv6Net::aggregate(&v6).into_iter().map(IpNet::V6)),
            written: [!v4.is_empty(), !v6.is_empty()],
        }
    }
}

fn v4(net: IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(net),
        IpNet::V6(_) => None,
    }
}

fn v6(net: IpNet) -> Option<Ipv6Net> {
    match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(net),
    }
}

fn restriction(mut nets: impl Iterator<Item = IpNet> + Clone) -> Option<SourceSet> {
    let is_all = nets.clone().any(|net| net.prefix_len() == 0);
    let first = nets.next().filter(|_| !is_all)?;
    Some(std::iter::once(first).chain(nets).map(SourceRange::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_prefix_after_the_number_of_a_vip() {
        let range = |net: &str| SourceRange::from(net.parse::<IpNet>().unwrap());
        let mapped = |a, b, c, d| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
        assert_eq!(range("10.1.2.3/8"), SourceRange { address: mapped(10, 0, 0, 0), bits: 32 + 96 + 8 });
        assert_eq!(range("0.0.0.0/0"), SourceRange { address: mapped(0, 0, 0, 0), bits: 32 + 96 });
        assert_eq!(range("::/0"), SourceRange { address: [0; 16], bits: 32 });
        let v6 = range("2001:db8::1/32");
        assert_eq!((v6.address[..5].to_vec(), v6.bits), (vec![0x20, 1, 0xd, 0xb8, 0], 64));
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "10.0.0.0", "::a00:1"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
        ] {
            assert!(range(net).contains(inside.parse().unwrap()), "{inside} in {net}");
            assert!(!range(net).contains(outside.parse().unwrap()), "{outside} in {net}");
        }
    }
}
