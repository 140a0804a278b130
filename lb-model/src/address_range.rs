//! Ranges of addresses, as pools list them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use lb_api::problem::Reason;

/// The addresses from `start` to `end`, inclusive, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    start: IpAddr,
    end: IpAddr,
}

impl AddressRange {
    /// Creates the range between two addresses.
    ///
    /// # Errors
    /// They are of different families, or `end` is before `start`.
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

    /// Returns the address after one of the range; `None` after the last.
    pub fn after(self, address: IpAddr) -> Option<IpAddr> {
        let next = match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into(),
        };
        (next <= self.end).then_some(next)
    }

    /// Returns the addresses that both ranges contain.
    pub(crate) fn overlap(self, other: Self) -> Option<Self> {
        // Every IPv4 address sorts before every IPv6 address, so ranges of different families never overlap
        // here.
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start <= end).then_some(Self { start, end })
    }
}

impl FromStr for AddressRange {
    type Err = Reason;

    /// Parses `192.0.2.0/24` (host bits are ignored) or `192.0.2.1 - 192.0.2.9`.
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

/// Parses `192.0.2.0/24`. Leading zeros in an address are rejected, since other parsers read such numbers as
/// octal; in a length they are accepted, as MetalLB does.
pub(crate) fn cidr(written: &str) -> Option<IpNet> {
    let (address, length) = written.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let digits = length.trim_start_matches('0');
    let length = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    IpNet::new(address.parse().ok()?, length).ok().filter(|_| is_number)
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
    fn invalid_ranges_are_rejected_with_their_reason() {
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
        fn the_overlap_is_the_common_part(a in 0u32..40, a_len in 0u32..20, b in 0u32..40, b_len in 0u32..20) {
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
