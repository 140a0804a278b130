//! Hash buckets of VIPs: a lookup costs two multiplications and one cache line.
//!
//! ```text
//! lb_vips4 | key | VIP | key | VIP | key | VIP | key | VIP |     a bucket of 64 bytes holds four
//! lb_vips6 | key         | VIP     | key         | VIP     |     or two
//! ```
//!
//! Each key maps to one bucket. A key whose bucket is full goes to the hash map `lb_vips_more`, and the
//! bucket records this ([`SPILLED`]), so that other lookups do not touch the map. An entry stays in its place
//! until it is removed. Because entries never move, no lookup can miss an entry that exists. The VIP's word
//! is written last and cleared first, and marks the entry as valid ([`PRESENT`]): an update is a single
//! 64-bit store.
//!
//! Of 4,000 VIPs, about one IPv4 key and ten IPv6 keys spill; at full capacity, 4 % and 10 %.

use crate::flows::Word;
use crate::maps::{Vip, Vip4Key, Vip6Key, capacity, v4_mapped};

/// 64-bit words of a bucket.
pub const BUCKET_WORDS: usize = 8;
/// A bucket, as words.
pub type Bucket<W> = [W; BUCKET_WORDS];

/// Bit in a VIP's word: the entry is in use. Without it the entry is free, whatever its key.
pub const PRESENT: u64 = 0x80 << FLAGS_SHIFT;
/// Bit in the word of a bucket's first VIP, whether in use or not: keys of this bucket are in `lb_vips_more`.
pub const SPILLED: u64 = 0x40 << FLAGS_SHIFT;

const NUMBER_SHIFT: u32 = 32;
const BITS_SHIFT: u32 = 48;
const FLAGS_SHIFT: u32 = 56;
/// Flags of a [`Vip`] that a word has room for.
const FLAGS: u32 = 0x3f;

const _: () = assert!(capacity::VIP_STATS <= 1 << 16);
const _: () = assert!(capacity::VIP4_BUCKETS.is_power_of_two() && capacity::VIP6_BUCKETS.is_power_of_two());

/// The entry of an IPv4 VIP as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip4Entry {
    /// The VIP.
    pub key: Vip4Key,
    /// Its value.
    pub vip: PackedVip,
}

/// The entry of an IPv6 VIP as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip6Entry {
    /// The VIP.
    pub key: Vip6Key,
    /// Zero.
    pub pad: u32,
    /// Its value.
    pub vip: PackedVip,
}

/// A [`Vip`] in one word.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedVip {
    /// First slot of the ring in `lb_rings`.
    pub ring: u32,
    /// Number of the VIP in `lb_vip_stats`.
    pub number: u16,
    /// Logarithm of the number of slots, to base two.
    pub slots_log2: u8,
    /// `VIP_*` bits, 0x80 where the entry is in use, and 0x40 where its bucket has spilled.
    pub flags: u8,
}

impl PackedVip {
    /// Returns the VIP.
    pub const fn unpacked(self) -> Vip {
        let ([a, b, c, d], [e, f]) = (self.ring.to_le_bytes(), self.number.to_le_bytes());
        Vip::from_word(u64::from_le_bytes([a, b, c, d, e, f, self.slots_log2, self.flags]))
    }
}

/// A bucket of `lb_vips4`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip4Bucket {
    /// Its entries.
    pub entries: [Vip4Entry; 4],
}

/// A bucket of `lb_vips6`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip6Bucket {
    /// Its entries.
    pub entries: [Vip6Entry; 2],
}

const _: () = assert!(size_of::<Vip4Bucket>() == 64 && size_of::<Vip6Bucket>() == 64);

impl Vip {
    /// Returns the VIP as one word, in use.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        let bits = self.mask.trailing_ones() as u64;
        self.ring as u64
            | (self.number as u64 & 0xffff) << NUMBER_SHIFT
            | bits << BITS_SHIFT
            | ((self.flags & FLAGS) as u64) << FLAGS_SHIFT
            | PRESENT
    }

    /// Returns the VIP as it lies in memory.
    pub const fn packed(self) -> PackedVip {
        let [a, b, c, d, e, f, slots_log2, flags] = self.to_word().to_le_bytes();
        PackedVip {
            ring: u32::from_le_bytes([a, b, c, d]),
            number: u16::from_le_bytes([e, f]),
            slots_log2,
            flags,
        }
    }

    /// Returns the VIP of a word.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            ring: word as u32,
            mask: (1 << (word >> BITS_SHIFT & 31)) - 1,
            number: (word >> NUMBER_SHIFT) as u32 & 0xffff,
            flags: (word >> FLAGS_SHIFT) as u32 & FLAGS,
        }
    }
}

/// A key of a bucket table.
pub trait BucketKey: Copy {
    /// 64-bit words of a key.
    const WIDTH: usize;
    /// An array of that many words.
    type Words: AsRef<[u64]> + Copy;
    /// Returns its words, as they lie in memory.
    fn to_words(self) -> Self::Words;
    /// Returns the key of its words.
    fn from_words(words: &[u64]) -> Option<Self>;
    /// Returns the number of its bucket.
    fn bucket(self) -> u32;
    /// Returns its key in `lb_vips_more`.
    fn spilled(self) -> Vip6Key;
    /// Returns the key of a key in `lb_vips_more`, if it is of this family.
    fn of_spilled(name: Vip6Key) -> Option<Self>;
}

/// Multipliers that make the upper bits depend on all others.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const OTHER: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// The upper bits of a second multiplication. One multiplication alone maps consecutive keys, as pools
/// produce them, to few buckets.
#[inline(always)]
const fn upper_bits(product: u64, bits: u32) -> u32 {
    ((product ^ product >> 32).wrapping_mul(GOLDEN) >> (64 - bits)) as u32
}

impl BucketKey for Vip4Key {
    const WIDTH: usize = 1;
    type Words = [u64; Self::WIDTH];

    #[inline(always)]
    fn to_words(self) -> [u64; 1] {
        let ([a, b, c, d], [e, f]) = (self.address, self.port);
        [u64::from_le_bytes([a, b, c, d, e, f, self.protocol, self.pad])]
    }

    fn from_words(words: &[u64]) -> Option<Self> {
        let [a, b, c, d, e, f, protocol, pad] = words.first()?.to_le_bytes();
        Some(Self { address: [a, b, c, d], port: [e, f], protocol, pad })
    }

    #[inline(always)]
    fn bucket(self) -> u32 {
        let [word] = self.to_words();
        upper_bits(word.wrapping_mul(GOLDEN), capacity::VIP4_BUCKETS.ilog2())
    }

    #[inline(always)]
    fn spilled(self) -> Vip6Key {
        Vip6Key::port(v4_mapped(self.address), self.port, self.protocol)
    }

    fn of_spilled(name: Vip6Key) -> Option<Self> {
        let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = name.address else { return None };
        Some(Self::port([a, b, c, d], name.port, name.protocol))
    }
}

impl BucketKey for Vip6Key {
    const WIDTH: usize = 3;
    type Words = [u64; Self::WIDTH];

    #[inline(always)]
    fn to_words(self) -> [u64; 3] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.address;
        let [q, r] = self.port;
        [
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes([i, j, k, l, m, n, o, p]),
            u64::from_le_bytes([q, r, self.protocol, self.pad, 0, 0, 0, 0]),
        ]
    }

    fn from_words(words: &[u64]) -> Option<Self> {
        let [high, low, rest] = *words.first_chunk()?;
        let address = u128::from(high) | u128::from(low) << 64;
        let [a, b, protocol, pad, ..] = rest.to_le_bytes();
        Some(Self { address: address.to_le_bytes(), port: [a, b], protocol, pad })
    }

    #[inline(always)]
    fn bucket(self) -> u32 {
        let [high, low, rest] = self.to_words();
        let mixed = high.wrapping_mul(OTHER).wrapping_add(low).wrapping_mul(OTHER).wrapping_add(rest);
        upper_bits(mixed, capacity::VIP6_BUCKETS.ilog2())
    }

    #[inline(always)]
    fn spilled(self) -> Vip6Key {
        self
    }

    fn of_spilled(name: Vip6Key) -> Option<Self> {
        Vip4Key::of_spilled(name).is_none().then_some(name)
    }
}

/// Returns the word of a key's VIP in its bucket. Without [`PRESENT`] the bucket does not hold the key; with
/// [`SPILLED`] alone, `lb_vips_more` may hold it.
#[inline(always)]
pub fn look_up<W: Word, const WIDTH: usize>(bucket: &Bucket<W>, key: [u64; WIDTH]) -> u64 {
    for entry in bucket.chunks_exact(WIDTH + 1) {
        let mut differs = 0;
        for place in 0..WIDTH {
            differs |= entry[place].load() ^ key[place];
        }
        if differs == 0 {
            let word = entry[WIDTH].load();
            if word & PRESENT != 0 {
                return word;
            }
        }
    }
    bucket[WIDTH].load() & SPILLED
}

/// Inserts or updates a VIP in its key's bucket. Returns false if no entry is free.
#[must_use]
pub fn put<W: Word, K: BucketKey>(bucket: &Bucket<W>, key: K, vip: Vip) -> bool {
    let width = K::WIDTH;
    let held = place_of(bucket, key);
    let Some(place) = held.or_else(|| free_place(bucket, width)) else { return false };
    let entry = &bucket[place..place + width + 1];
    if held.is_none() {
        for (to, word) in entry.iter().zip(key.to_words().as_ref()) {
            to.store(*word);
        }
    }
    let kept = entry[width].load() & SPILLED;
    entry[width].store(vip.to_word() | kept);
    true
}

/// Removes a VIP from its key's bucket. Returns false if the bucket does not hold it.
pub fn remove<W: Word, K: BucketKey>(bucket: &Bucket<W>, key: K) -> bool {
    let Some(place) = place_of(bucket, key) else { return false };
    let vip = &bucket[place + K::WIDTH];
    vip.store(vip.load() & SPILLED);
    true
}

/// Records whether keys of this bucket are in `lb_vips_more`.
pub fn note_spilled<W: Word, K: BucketKey>(bucket: &Bucket<W>, is_spilled: bool) {
    let vip = &bucket[K::WIDTH];
    let rest = vip.load() & !SPILLED;
    vip.store(if is_spilled { rest | SPILLED } else { rest });
}

/// Returns whether keys of this bucket are in `lb_vips_more`.
pub fn is_spilled<W: Word, K: BucketKey>(bucket: &Bucket<W>) -> bool {
    bucket[K::WIDTH].load() & SPILLED != 0
}

/// Returns the VIPs of a bucket.
pub fn entries<W: Word, K: BucketKey>(bucket: &Bucket<W>) -> impl Iterator<Item = (K, Vip)> {
    bucket.chunks_exact(K::WIDTH + 1).filter_map(|entry| {
        let (vip, key) = entry.split_last()?;
        let word = vip.load();
        let mut words = [0; BUCKET_WORDS];
        for (to, from) in words.iter_mut().zip(key) {
            *to = from.load();
        }
        (word & PRESENT != 0)
            .then(|| K::from_words(&words[..K::WIDTH]).map(|key| (key, Vip::from_word(word))))?
    })
}

fn place_of<W: Word, K: BucketKey>(bucket: &Bucket<W>, key: K) -> Option<usize> {
    let words = key.to_words();
    let words = words.as_ref();
    let is_it = |entry: &[W]| {
        entry[words.len()].load() & PRESENT != 0
            && words.iter().zip(entry).all(|(word, held)| held.load() == *word)
    };
    bucket.chunks_exact(words.len() + 1).position(is_it).map(|entry| entry * (words.len() + 1))
}

fn free_place<W: Word>(bucket: &Bucket<W>, width: usize) -> Option<usize> {
    let is_free = |entry: &[W]| entry[width].load() & PRESENT == 0;
    bucket.chunks_exact(width + 1).position(is_free).map(|entry| entry * (width + 1))
}

#[cfg(test)]
mod tests;
