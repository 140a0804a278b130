//! Encoding of prefixes (RFC 4271, section 4.3): the length in bits, followed by as many octets as needed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::reader::OctetReader;
use crate::value::AddressFamily;

/// Returns the encoded length of a prefix in octets.
pub fn nlri_len(prefix: IpNet) -> usize {
    1 + usize::from(prefix.prefix_len().div_ceil(8))
}

/// Returns the maximum encoded length of a family's prefixes in octets.
pub(super) const fn max_nlri_len(family: AddressFamily) -> usize {
    match family {
        AddressFamily::Ipv4 => 5,
        AddressFamily::Ipv6 => 17,
    }
}

/// Returns the family of a prefix.
pub const fn family_of(prefix: IpNet) -> AddressFamily {
    match prefix {
        IpNet::V4(_) => AddressFamily::Ipv4,
        IpNet::V6(_) => AddressFamily::Ipv6,
    }
}

/// Appends a prefix.
pub(super) fn write(prefix: IpNet, out: &mut Vec<u8>) {
    out.push(prefix.prefix_len());
    let octets = nlri_len(prefix) - 1;
    match prefix.network() {
        IpAddr::V4(address) => out.extend(address.octets().into_iter().take(octets)),
        IpAddr::V6(address) => out.extend(address.octets().into_iter().take(octets)),
    }
}

/// Reads all prefixes up to the end; `None` if one is too long or truncated. Bits beyond the length are
/// ignored.
pub(super) fn read_all(mut reader: OctetReader<'_>, family: AddressFamily) -> Option<Vec<IpNet>> {
    let mut prefixes = Vec::new();
    while !reader.is_empty() {
        prefixes.push(read(&mut reader, family)?);
    }
    Some(prefixes)
}

fn read(reader: &mut OctetReader<'_>, family: AddressFamily) -> Option<IpNet> {
    let length = reader.u8()?;
    let octets = reader.take(usize::from(length.div_ceil(8)))?;
    let address = match family {
        AddressFamily::Ipv4 => IpAddr::V4(Ipv4Addr::from(padded(octets)?)),
        AddressFamily::Ipv6 => IpAddr::V6(Ipv6Addr::from(padded(octets)?)),
    };
    IpNet::new(address, length).ok().map(|prefix| prefix.trunc())
}

fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0; N];
    whole.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::{OctetReader, max_nlri_len, nlri_len, read_all, write};
    use crate::value::AddressFamily;

    #[test]
    fn a_prefix_is_encoded_in_as_few_octets_as_possible() {
        for (text, octets) in [
            ("0.0.0.0/0", vec![0]),
            ("128.0.0.0/1", vec![1, 128]),
            ("10.0.0.0/8", vec![8, 10]),
            ("10.128.0.0/9", vec![9, 10, 128]),
            ("192.0.2.1/32", vec![32, 192, 0, 2, 1]),
            ("2001:db8::/33", vec![33, 0x20, 1, 0xd, 0xb8, 0]),
        ] {
            let prefix: IpNet = text.parse().unwrap();
            let mut out = Vec::new();
            write(prefix, &mut out);
            assert_eq!((out.as_slice(), out.len()), (octets.as_slice(), nlri_len(prefix)), "{text}");
            assert_eq!(read_all(OctetReader::new(&out), super::family_of(prefix)), Some(vec![prefix]));
        }
    }

    #[test]
    fn a_prefix_that_is_too_long_or_truncated_is_rejected() {
        let cases: [(&[u8], AddressFamily); 5] = [
            (&[33, 1, 2, 3, 4, 5], AddressFamily::Ipv4),
            (&[32, 1, 2, 3], AddressFamily::Ipv4),
            (&[8, 10, 24, 1, 2], AddressFamily::Ipv4),
            (&[129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], AddressFamily::Ipv6),
            (&[255], AddressFamily::Ipv6),
        ];
        for (octets, family) in cases {
            assert_eq!(read_all(OctetReader::new(octets), family), None, "{octets:?}");
        }
    }

    #[test]
    fn bits_beyond_the_length_are_ignored() {
        assert_eq!(
            read_all(OctetReader::new(&[9, 10, 255]), AddressFamily::Ipv4).unwrap(),
            ["10.128.0.0/9".parse().unwrap()]
        );
    }

    #[test]
    fn the_maximum_length_is_that_of_a_host_prefix() {
        assert_eq!(nlri_len("192.0.2.1/32".parse().unwrap()), max_nlri_len(AddressFamily::Ipv4));
        assert_eq!(nlri_len("2001:db8::1/128".parse().unwrap()), max_nlri_len(AddressFamily::Ipv6));
    }
}
