//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// Folds a sum of up to 2^16 16-bit words to 16 bits.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Returns the checksum field, in wire order, for a sum of 16-bit big-endian words.
#[inline(always)]
pub const fn finish(sum: u32) -> [u8; 2] {
    (!fold(sum)).to_be_bytes()
}

/// Returns the sum of the big-endian 16-bit words of `N` bytes, folded to 17 bits; `N` is even.
#[inline(always)]
pub const fn sum<const N: usize>(bytes: &[u8; N]) -> u32 {
    const { assert!(N.is_multiple_of(2)) };
    // Two words at a time: a sum of 32-bit numbers folds to the same.
    let mut total: u64 = 0;
    let mut at = 0;
    while at + 4 <= N {
        total += u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as u64;
        at += 4;
    }
    if at < N {
        total += u16::from_be_bytes([bytes[at], bytes[at + 1]]) as u64;
    }
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32);
    total as u32
}

/// Returns the checksum field after one 16-bit word that it covers changed from `old` to `new` (RFC 1624,
/// equation 3).
#[inline(always)]
pub const fn update(check: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let check = !u16::from_be_bytes(check) as u32;
    let old = !u16::from_be_bytes(old) as u32;
    finish(check + old + u16::from_be_bytes(new) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_update_is_a_new_sum(mut header: [u8; 20], word in 0usize..10, new: [u8; 2]) {
            prop_assume!(word != 5);
            // All zero words have two sums in one's complement; a real header is never all zero.
            header[0] = 0x45;
            header[10..12].copy_from_slice(&[0, 0]);
            let check = finish(sum(&header));
            let old = [header[word * 2], header[word * 2 + 1]];
            header[word * 2..word * 2 + 2].copy_from_slice(&new);
            prop_assume!(header.iter().any(|b| *b != 0));
            prop_assert_eq!(update(check, old, new), finish(sum(&header)));
        }
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }
}
