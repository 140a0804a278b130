//! The syntax of label keys and values in Kubernetes.

/// Maximum length of a name and of a value.
const LONGEST: usize = 63;
/// Maximum length of a key's prefix.
const LONGEST_PREFIX: usize = 253;

/// Returns whether this is a valid label key: a name, with an optional DNS name and a slash before it.
pub(super) fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix) && is_name(name),
        None => is_name(key),
    }
}

/// Returns whether this is a valid label value.
pub(super) fn is_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = [name.bytes().next(), name.bytes().next_back()];
    name.len() <= LONGEST
        && ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && name.bytes().all(is_inner)
}

/// Returns whether this is a DNS name, as the names of most objects are.
pub(crate) fn is_dns_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_inner)
    };
    name.len() <= LONGEST_PREFIX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::{is_key, is_value};

    #[test]
    fn keys_and_values_are_those_of_kubernetes() {
        let long = "a".repeat(63);
        for key in [
            "a",
            "A_b.c-d",
            "node.kubernetes.io/zone",
            "1/2",
            &long,
            &format!("{}/{long}", "a.".repeat(126) + "a"),
        ] {
            assert!(is_key(key), "{key}");
        }
        let too_long = "a".repeat(64);
        for key in [
            "",
            "two words",
            "a/",
            "/a",
            "a/b/c",
            "-a",
            "a-",
            "a.",
            "Zone/a",
            "a_b/c",
            "a..b/c",
            "é",
            &too_long,
            &format!("{}/a", "a.".repeat(127)),
        ] {
            assert!(!is_key(key), "{key}");
        }
        assert!(["", "a", "1", "a.b_c-D", &long].into_iter().all(is_value));
        assert!(!["a b", "-a", "a-", "a/b", "é", &too_long].into_iter().any(is_value));
    }
}
