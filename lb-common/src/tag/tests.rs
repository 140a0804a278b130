use core::hash::Hasher;

use proptest::prelude::*;
use siphasher::sip::SipHasher13;

use super::*;

const KEY: HashKey = HashKey { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };

/// The reference closes with a word that has the number of bytes in its uppermost byte; ours takes it as any
/// word.
fn reference(key: HashKey, words: &[u64]) -> u64 {
    let (last, before) = words.split_last().unwrap();
    let mut reference = SipHasher13::new_with_keys(key.k0, key.k1);
    for word in before {
        reference.write(&word.to_le_bytes());
    }
    let bytes = last.to_le_bytes();
    // The closing word of `before` and seven bytes more is those bytes and the length.
    assert_eq!(
        u64::from(bytes[7]),
        (before.len() as u64 * 8 + 7) & 0xff,
        "the test must choose its words so"
    );
    reference.write(&bytes[..7]);
    reference.finish()
}

const PROBE: ProbeWords =
    ProbeWords { head: [0x20, 0xc6, 3, 40], section: [254, 16, 1, 0], mine: 7, yours: 9, sequence: 1000 };

#[test]
fn a_gue_tag_is_what_the_reference_says_of_its_words() {
    // Without anybody asked the flow's word is the last: its uppermost byte says 15.
    let name = 15 << 56 | 0x0012_3456_789a_bcde;
    let words = GueWords { head: [1, 2, 3, 0], receiver: 0xfa1e_0001, name, asked: &[9; 5], count: 0 };
    let head = u64::from(u32::from_le_bytes([1, 2, 3, 0x80])) | 0xfa1e_0001 << 32;
    assert_eq!(gue_tag(&KEY, &words), reference(KEY, &[head, name]) as u32);
}

#[test]
fn a_tag_stays_what_it_is() {
    // Two versions of the program must agree.
    let derived = derive(&KEY);
    let words = GueWords { head: [1, 2, 3, 0], receiver: 4, name: 5, asked: &[6, 7, 8, 9, 10], count: 5 };
    let got = [derived.k0, derived.k1, probe_tag(&KEY, PROBE), gue_tag(&KEY, &words).into()];
    assert_eq!(got, PINNED, "{got:#x?}");
}

const PINNED: [u64; 4] = [0x2ada_24cf_6abd_2c45, 0xd3a5_9d9f_df3f_8a7c, 0xe3ed_b73c_e1f0_cc4d, 0xa02e_fcb2];

#[test]
fn discriminators_differ_by_node_and_nonce_and_are_never_zero() {
    let numbers = |nonce| (0..1024u16).map(move |node| discriminator(nonce, node));
    assert!(numbers(1).chain(numbers(2)).all(|number| number != 0));
    assert!(numbers(1).zip(numbers(2)).all(|(one, other)| one != other));
    assert!(numbers(1).zip(numbers(1).skip(1)).all(|(one, other)| one != other));
}

proptest! {
    #[test]
    fn every_bit_of_a_probe_counts(bit in 0usize..160) {
        let mut words = [[0u8; 4]; 5];
        let of = |w: &[[u8; 4]; 5]| ProbeWords {
            head: w[0],
            section: w[1],
            mine: u32::from_be_bytes(w[2]),
            yours: u32::from_be_bytes(w[3]),
            sequence: u32::from_be_bytes(w[4]),
        };
        let before = probe_tag(&KEY, of(&words));
        words[bit / 32][bit % 32 / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(before, probe_tag(&KEY, of(&words)));
    }

    #[test]
    fn who_was_asked_counts_and_what_stands_behind_does_not(
        asked: [u32; 5], count in 0usize..=5, place in 0usize..5, bit in 0u32..32,
    ) {
        let words = GueWords { head: [1, 0, 0, 0], receiver: 2, name: 3, asked: &asked, count };
        let mut changed = asked;
        changed[place] ^= 1 << bit;
        let same = gue_tag(&KEY, &words) == gue_tag(&KEY, &GueWords { asked: &changed, ..words });
        prop_assert_eq!(same, place >= count);
    }

    #[test]
    fn head_receiver_flow_number_and_key_count(
        head: [u8; 3], receiver: u32, name: u64, k0: u64, bit in 0u32..24,
    ) {
        let of = |head: [u8; 3], receiver, name, k0, count| {
            let head = [head[0], head[1], head[2], 0];
            gue_tag(&HashKey { k0, k1: 1 }, &GueWords { head, receiver, name, asked: &[0; 5], count })
        };
        let before = of(head, receiver, name, k0, 1);
        let mut other = head;
        other[bit as usize / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(before, of(other, receiver, name, k0, 1));
        prop_assert_ne!(before, of(head, receiver ^ 1 << bit, name, k0, 1));
        prop_assert_ne!(before, of(head, receiver, name ^ 1 << bit, k0, 1));
        prop_assert_ne!(before, of(head, receiver, name, k0 ^ 1 << bit, 1));
        prop_assert_ne!(before, of(head, receiver, name, k0, 0));
    }
}
