//! Ethernet II with IEEE 802.1Q/802.1ad tags.

/// Bytes of both MAC addresses.
pub const MACS: usize = 12;
/// A MAC address in the lower bytes of a word.
pub const MAC_MASK: u64 = 0xffff_ffff_ffff;
/// Bytes of an untagged header.
pub const HEADER: usize = 14;
/// Bytes of a tag.
pub const TAG: usize = 4;
/// Tags that are parsed.
pub const MAX_TAGS: usize = 2;

/// The MAC address of all hosts.
pub const BROADCAST: [u8; 6] = [0xff; 6];
/// EtherType IPv4.
pub const IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType IPv6.
pub const IPV6: [u8; 2] = [0x86, 0xdd];
/// The first two bytes of the MAC addresses of IPv6 multicast.
pub const IPV6_MULTICAST: [u8; 2] = [0x33, 0x33];
/// EtherType ARP.
pub const ARP: [u8; 2] = [0x08, 0x06];
/// EtherType (IEEE local experimental) of a second chance for which only the sender has been asked.
pub const ASKED_ONE: [u8; 2] = [0x88, 0xb5];
/// EtherType of a second chance for which several nodes have been asked: the receiver is the last one.
pub const ASKED_MORE: [u8; 2] = [0x88, 0xb6];
/// EtherType of a customer tag (802.1Q).
pub const CUSTOMER_TAG: [u8; 2] = [0x81, 0x00];
/// EtherType of a service tag (802.1ad).
pub const SERVICE_TAG: [u8; 2] = [0x88, 0xa8];

/// Returns both MAC addresses, exchanged.
#[inline(always)]
pub const fn swapped(macs: [u8; MACS]) -> [u8; MACS] {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = macs;
    [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5]
}

/// Returns whether an EtherType is that of a tag.
#[inline(always)]
pub const fn is_tag(ether_type: [u8; 2]) -> bool {
    matches!(ether_type, CUSTOMER_TAG | SERVICE_TAG)
}

/// Returns whether a MAC address with this first byte is a group address, such as broadcast.
#[inline(always)]
pub const fn is_group(first: u8) -> bool {
    first & 1 != 0
}
