//! Special-purpose addresses, which no Service and no peer can have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A special-purpose block: its first and last address, and its description.
type Block<A> = (A, A, &'static str);

const V4: [Block<Ipv4Addr>; 4] = [
    (Ipv4Addr::new(0, 0, 0, 0), Ipv4Addr::new(0, 255, 255, 255), "in the reserved block 0.0.0.0/8"),
    (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(127, 255, 255, 255), LOOPBACK),
    (Ipv4Addr::new(224, 0, 0, 0), Ipv4Addr::new(239, 255, 255, 255), MULTICAST),
    (Ipv4Addr::BROADCAST, Ipv4Addr::BROADCAST, "the broadcast address"),
];
const V6: [Block<Ipv6Addr>; 5] = [
    (Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, "the unspecified address"),
    (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, LOOPBACK),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xffff, 0xffff),
        "IPv4-mapped (write the IPv4 address itself)",
    ),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        Ipv6Addr::new(0xfebf, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff),
        LINK_LOCAL,
    ),
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        Ipv6Addr::new(0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff),
        MULTICAST,
    ),
];
pub(super) const LOOPBACK: &str = "a loopback address";
pub(super) const LINK_LOCAL: &str = "link-local";
const MULTICAST: &str = "a multicast address";

/// Returns the first special-purpose address of a range, with the block's description.
pub(super) fn special(start: IpAddr, end: IpAddr) -> Option<(IpAddr, &'static str)> {
    match (start, end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => first(&V4, start, end),
        (IpAddr::V6(start), IpAddr::V6(end)) => first(&V6, start, end),
        // A range has one family.
        _ => None,
    }
}

fn first<A: Ord + Copy + Into<IpAddr>>(
    blocks: &[Block<A>],
    start: A,
    end: A,
) -> Option<(IpAddr, &'static str)> {
    let common = blocks.iter().map(|(first, last, what)| (start.max(*first), end.min(*last), *what));
    common.filter(|(first, last, _)| first <= last).map(|(first, _, what)| (first.into(), what)).next()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::special;

    #[test]
    fn special_purpose_blocks_are_found_in_a_range() {
        let found = |start: &str, end: &str| {
            let [start, end] = [start, end].map(|it| it.parse::<IpAddr>().unwrap());
            special(start, end).map(|(address, what)| format!("{address} {what}"))
        };
        for (start, end, expected) in [
            ("10.0.0.0", "10.255.255.255", None),
            ("0.0.0.0", "255.255.255.255", Some("0.0.0.0 in the reserved block 0.0.0.0/8")),
            ("126.0.0.0", "128.0.0.0", Some("127.0.0.0 a loopback address")),
            ("223.255.255.0", "224.0.0.0", Some("224.0.0.0 a multicast address")),
            ("239.255.255.255", "240.0.0.1", Some("239.255.255.255 a multicast address")),
            ("240.0.0.0", "255.255.255.254", None),
            ("255.255.255.255", "255.255.255.255", Some("255.255.255.255 the broadcast address")),
            ("::", "::", Some(":: the unspecified address")),
            ("::1", "::5", Some("::1 a loopback address")),
            ("2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
            ("fd00::", "fdff::", None),
            (
                "::ffff:a00:1",
                "::ffff:a00:1",
                Some("::ffff:10.0.0.1 IPv4-mapped (write the IPv4 address itself)"),
            ),
            ("fe80::1", "fe80::1", Some("fe80::1 link-local")),
            ("ff02::1", "ff02::2", Some("ff02::1 a multicast address")),
        ] {
            assert_eq!(found(start, end).as_deref(), expected, "{start}-{end}");
        }
    }
}
