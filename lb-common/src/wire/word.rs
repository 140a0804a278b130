//! Words of a header, loaded and stored as a whole: the BPF compiler loads single bytes one by one. Words are
//! little-endian, whatever field they hold: the first byte is the lowest. Loads outside the header return
//! zero, stores do nothing.

/// Loads two bytes.
#[inline(always)]
pub fn get2<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u16::from_le_bytes(*word))
}

/// Loads four bytes.
#[inline(always)]
pub fn get4<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Loads eight bytes.
#[inline(always)]
pub fn get8<const N: usize>(header: &[u8; N], at: usize) -> u64 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Stores four bytes.
#[inline(always)]
pub fn put4<const N: usize>(header: &mut [u8; N], at: usize, word: u32) {
    if let Some(place) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

/// Stores eight bytes.
#[inline(always)]
pub fn put8<const N: usize>(header: &mut [u8; N], at: usize, word: u64) {
    if let Some(place) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}
