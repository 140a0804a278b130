//! Words of a header, each loaded and stored at once: bytes that are looked at one by one the BPF compiler loads one by
//! one. A word is little-endian, whatever the field in it is: the first byte is the lowest. Outside the header there is
//! nothing, and nothing happens.

/// Two bytes.
#[inline(always)]
pub fn get2<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u16::from_le_bytes(*word))
}

/// Four bytes.
#[inline(always)]
pub fn get4<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Eight bytes.
#[inline(always)]
pub fn get8<const N: usize>(header: &[u8; N], at: usize) -> u64 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Two bytes.
#[inline(always)]
pub fn put2<const N: usize>(header: &mut [u8; N], at: usize, word: u16) {
    if let Some(place) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

/// Four bytes.
#[inline(always)]
pub fn put4<const N: usize>(header: &mut [u8; N], at: usize, word: u32) {
    if let Some(place) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

/// Eight bytes.
#[inline(always)]
pub fn put8<const N: usize>(header: &mut [u8; N], at: usize, word: u64) {
    if let Some(place) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}
