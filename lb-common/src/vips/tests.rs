//! That a bucket holds what was put into it, and nothing else.

extern crate std;

use core::sync::atomic::AtomicU64;
use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

const fn key4(n: u32) -> Vip4Key {
    Vip4Key::port(n.to_be_bytes(), [0, 80], 6)
}

const fn key6(n: u32) -> Vip6Key {
    let [a, b, c, d] = n.to_be_bytes();
    Vip6Key::port([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d], [0, 80], 17)
}

const fn vip(number: u32, flags: u32) -> Vip {
    Vip { ring: number * 1024, mask: 1023, number, flags }
}

fn held4(bucket: &Bucket<AtomicU64>, key: Vip4Key) -> Option<Vip> {
    let word = look_up(bucket, key.to_words());
    (word & PRESENT != 0).then(|| Vip::from_word(word))
}

fn held6(bucket: &Bucket<AtomicU64>, key: Vip6Key) -> Option<Vip> {
    let word = look_up(bucket, key.to_words());
    (word & PRESENT != 0).then(|| Vip::from_word(word))
}

proptest! {
    #[test]
    fn a_vip_survives_its_word(ring: u32, bits in 0u32..=20, number in 0u32..65_536, flags in 0u32..64) {
        let vip = Vip { ring, mask: (1 << bits) - 1, number, flags };
        prop_assert_eq!(Vip::from_word(vip.to_word()), vip);
        prop_assert_eq!(vip.packed().unpacked(), vip);
        let PackedVip { ring, number, slots_log2, flags } = vip.packed();
        let ([a, b, c, d], [e, f]) = (ring.to_ne_bytes(), number.to_ne_bytes());
        prop_assert_eq!(u64::from_ne_bytes([a, b, c, d, e, f, slots_log2, flags]), vip.to_word());
        prop_assert_ne!(vip.to_word() & PRESENT, 0);
        prop_assert_eq!(vip.to_word() & SPILLED, 0);
    }

    #[test]
    fn keys_survive_their_words(address: [u8; 16], port: [u8; 2], protocol: u8) {
        let six = Vip6Key::port(address, port, protocol);
        prop_assert_eq!(Vip6Key::from_words(&six.to_words()), Some(six));
        let four = Vip4Key::port([address[0], address[1], address[2], address[3]], port, protocol);
        prop_assert_eq!(Vip4Key::from_words(&four.to_words()), Some(four));
        prop_assert_eq!(Vip4Key::of_spilled(four.spilled()), Some(four));
        prop_assert_eq!(Vip6Key::of_spilled(four.spilled()), None);
        prop_assert_eq!(Vip6Key::of_spilled(six.spilled()), Some(six));
        prop_assert!((four.bucket() as usize) < capacity::VIP4_BUCKETS);
        prop_assert!((six.bucket() as usize) < capacity::VIP6_BUCKETS);
    }

    /// Against a map, with so few keys that buckets fill, and with the mark of a spilled bucket set and taken
    /// away.
    #[test]
    fn a_bucket_is_a_small_map(steps in proptest::collection::vec((0u32..7, 0u32..4, 0u32..40), 1..60)) {
        let (four, six) = (Bucket::<AtomicU64>::default(), Bucket::<AtomicU64>::default());
        let (mut held_by_4, mut held_by_6) = (BTreeMap::new(), BTreeMap::new());
        for (n, what, number) in steps {
            let (k4, k6, vip) = (key4(n), key6(n), vip(number, number & 15));
            match what {
                0 => {
                    prop_assert_eq!(remove(&four, k4), held_by_4.remove(&k4).is_some());
                    prop_assert_eq!(remove(&six, k6), held_by_6.remove(&k6).is_some());
                }
                1 => {
                    let spilled = number & 1 != 0;
                    note_spilled::<_, Vip4Key>(&four, spilled);
                    note_spilled::<_, Vip6Key>(&six, spilled);
                    prop_assert_eq!((is_spilled::<_, Vip4Key>(&four), is_spilled::<_, Vip6Key>(&six)), (spilled, spilled));
                }
                _ => {
                    let fits = held_by_4.len() < 4 || held_by_4.contains_key(&k4);
                    prop_assert_eq!(put(&four, k4, vip), fits);
                    fits.then(|| held_by_4.insert(k4, vip));
                    let fits = held_by_6.len() < 2 || held_by_6.contains_key(&k6);
                    prop_assert_eq!(put(&six, k6, vip), fits);
                    fits.then(|| held_by_6.insert(k6, vip));
                }
            }
            for n in 0..8 {
                prop_assert_eq!(held4(&four, key4(n)), held_by_4.get(&key4(n)).copied());
                prop_assert_eq!(held6(&six, key6(n)), held_by_6.get(&key6(n)).copied());
                let absent = look_up(&four, key4(n).to_words()) & PRESENT == 0;
                prop_assert!(!absent || (look_up(&four, key4(n).to_words()) & SPILLED != 0) == is_spilled::<_, Vip4Key>(&four));
            }
            prop_assert_eq!(entries(&four).collect::<BTreeMap<Vip4Key, Vip>>(), held_by_4.clone());
            prop_assert_eq!(entries(&six).collect::<BTreeMap<Vip6Key, Vip>>(), held_by_6.clone());
        }
    }
}

/// Keys that find their buckets full, of so many VIPs of one pool with two ports each.
fn spilled<K: BucketKey>(buckets: usize, room: u32, keys: impl Iterator<Item = K>) -> u32 {
    let mut counts = std::vec![0u32; buckets];
    keys.for_each(|key| counts[key.bucket() as usize] += 1);
    counts.iter().map(|count| count.saturating_sub(room)).sum()
}

#[test]
fn few_vips_of_a_pool_find_their_buckets_full() {
    let v4 = |n: u32| {
        [80u16, 443].map(|port| Vip4Key::port((0x0a50_0000 + n).to_be_bytes(), port.to_be_bytes(), 6))
    };
    let v6 = |n: u32| [80u16, 443].map(|port| Vip6Key { port: port.to_be_bytes(), ..key6(n) });
    let few: Vec<_> = (0..2_000).flat_map(v4).collect();
    assert!(spilled(capacity::VIP4_BUCKETS, 4, few.into_iter()) <= 2);
    let all: Vec<_> = (0..16_384).flat_map(v4).collect();
    assert!(spilled(capacity::VIP4_BUCKETS, 4, all.into_iter()) < 32_768 / 20);
    let few: Vec<_> = (0..2_000).flat_map(v6).collect();
    assert!(spilled(capacity::VIP6_BUCKETS, 2, few.into_iter()) < 40);
    let all: Vec<_> = (0..16_384).flat_map(v6).collect();
    assert!(spilled(capacity::VIP6_BUCKETS, 2, all.into_iter()) < 32_768 / 5);
}
