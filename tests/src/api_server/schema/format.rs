//! String formats.

use std::net::IpAddr;

/// Returns whether a string has a format; unknown formats accept everything.
pub(super) fn is_of_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => matches!(text.parse(), Ok(IpAddr::V4(_))),
        "ipv6" => matches!(text.parse(), Ok(IpAddr::V6(_))),
        "cidr" => text.parse::<ipnet::IpNet>().is_ok(),
        "duration" => text.parse::<jiff::SignedDuration>().is_ok(),
        "byte" => {
            text.len().is_multiple_of(4)
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        }
        _ => true,
    }
}
