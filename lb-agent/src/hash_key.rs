//! The cluster's hash key, read from a file: 32 hexadecimal digits.

use std::path::Path;

use lb_common::hash::HashKey;

/// Reads the key of a file.
///
/// # Errors
/// A sentence: the file cannot be read, or does not hold a key.
pub(crate) fn read(path: &Path) -> Result<HashKey, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(text.trim()).ok_or_else(|| "it must hold 32 hexadecimal digits".to_owned())
}

/// Parses a key of 32 hexadecimal digits.
pub(crate) fn parse(digits: &str) -> Option<HashKey> {
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let (k0, k1) = digits.split_at(16);
    Some(HashKey { k0: u64::from_str_radix(k0, 16).ok()?, k1: u64::from_str_radix(k1, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_key_has_32_hexadecimal_digits() {
        let key = parse("0123456789abcdefFEDCBA9876543210").unwrap();
        assert_eq!(key, HashKey { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 });
        for wrong in ["", "0123", "+123456789abcdef0123456789abcdef", "é123456789abcdef0123456789abcde"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
