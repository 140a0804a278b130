//! Validation of addresses and networks, in the real server's words.

use std::net::IpAddr;

/// Removes leading zeros of decimal parts.
fn without_zeros(text: &str) -> String {
    let part = |part: &str| {
        let digits = part.trim_start_matches('0');
        if digits.is_empty() && !part.is_empty() { "0".to_owned() } else { digits.to_owned() }
    };
    text.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Returns why a string is not an address.
pub(super) fn address(text: &str) -> Option<&'static str> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            Some("must not be an IPv4-mapped IPv6 address")
        }
        Ok(_) => None,
        Err(_) if without_zeros(text).parse::<IpAddr>().is_ok() => Some("must not have leading 0s"),
        Err(_) => Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    }
}

/// Returns why a string is not a network.
pub(super) fn network(text: &str) -> Option<&'static str> {
    let zeros = || {
        let (address, length) = text.split_once('/')?;
        format!("{}/{}", without_zeros(address), without_zeros(length)).parse::<ipnet::IpNet>().ok()
    };
    let plain = |text: &str| {
        let (address, length) = text.split_once('/')?;
        address.parse::<IpAddr>().ok()?;
        (length == "0" || !length.starts_with('0')).then_some(())
    };
    match text.parse::<ipnet::IpNet>() {
        Ok(_) if plain(text).is_none() => Some("must not have leading 0s in IP or prefix length"),
        Ok(network) if network.addr() != network.network() => {
            Some("must not have bits set beyond the prefix length")
        }
        Ok(_) => None,
        Err(_) if zeros().is_some() => Some("must not have leading 0s in IP or prefix length"),
        Err(_) => Some("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
    }
}

/// Returns why an address cannot be another machine's.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    let (link_local, link_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), address.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(address) => (address.is_unicast_link_local(), address.segments()[0] & 0xff0f == 0xff02),
    };
    if address.is_unspecified() {
        Some("may not be unspecified (0.0.0.0 or ::)")
    } else if address.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    } else if link_multicast {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    } else {
        None
    }
}
