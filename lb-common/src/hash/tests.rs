//! That the flow hash is even, changes with everything, and is another one under another key.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

const KEYS: FlowKeys = FlowKeys::of(&HashKey { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 });

/// The flow of 13 bytes: source, destination, ports, protocol.
fn hash_v4(keys: &FlowKeys, b: &[u8; 13]) -> u64 {
    let flow = FlowPorts { ports: [b[8], b[9], b[10], b[11]], protocol: b[12] };
    flow_hash_v4(keys, [b[0], b[1], b[2], b[3]], [b[4], b[5], b[6], b[7]], flow)
}

/// The flow of 37 bytes: source, destination, ports, protocol.
fn hash_v6(keys: &FlowKeys, b: &[u8; 37]) -> u64 {
    let [source, destination] = [&b[..16], &b[16..32]].map(|address| address.try_into().unwrap());
    let flow = FlowPorts { ports: [b[32], b[33], b[34], b[35]], protocol: b[36] };
    flow_hash_v6(keys, &source, &destination, flow)
}

proptest! {
    #[test]
    fn every_bit_of_a_flow_counts(v4: [u8; 13], v6 in proptest::array::uniform32(any::<u8>()), tail: [u8; 5], bit in 0usize..296) {
        let mut v6: [u8; 37] = [&v6[..], &tail].concat().try_into().unwrap();
        let before = hash_v6(&KEYS, &v6);
        v6[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(before, hash_v6(&KEYS, &v6));

        let mut other = v4;
        other[bit / 8 % 13] ^= 1 << (bit % 8);
        prop_assert_ne!(hash_v4(&KEYS, &v4), hash_v4(&KEYS, &other));
    }

    #[test]
    fn another_key_is_another_hash(k0: u64, k1: u64, bit in 0u32..128, flow: [u8; 13]) {
        let key = HashKey { k0, k1 };
        let other = HashKey { k0: k0 ^ (1u128 << bit) as u64, k1: k1 ^ ((1u128 << bit) >> 64) as u64 };
        prop_assert_ne!(hash_v4(&FlowKeys::of(&key), &flow), hash_v4(&FlowKeys::of(&other), &flow));
    }
}

/// Flows as clients make them: what changes from one to the next is a counter somewhere.
fn populations() -> Vec<(&'static str, Vec<u64>)> {
    let counted =
        |make: fn(u16) -> [u8; 13]| (0..=u16::MAX).map(|n| hash_v4(&KEYS, &make(n))).collect::<Vec<u64>>();
    let ports = |n: u16| {
        let [a, b] = n.to_be_bytes();
        [192, 0, 2, 1, 198, 51, 100, 1, a, b, 0, 80, 6]
    };
    let clients = |n: u16| {
        let [a, b] = n.to_be_bytes();
        [10, 9, a, b, 198, 51, 100, 1, 0x9c, 0x40, 0, 80, 6]
    };
    let vips = |n: u16| {
        let [a, b] = n.to_be_bytes();
        [10, 9, 0, 1, 198, 51, a, b, 0x9c, 0x40, 0, 80, 6]
    };
    let both = |n: u16| {
        let [a, b] = n.to_be_bytes();
        [10, 9, 0, a, 198, 51, 100, 1, 0x9c, b, 0, 80, 17]
    };
    let v6 = |n: u16| {
        let mut flow = [0; 37];
        [flow[14], flow[15]] = n.to_be_bytes();
        flow[36] = 6;
        hash_v6(&KEYS, &flow)
    };
    vec![
        ("source ports", counted(ports)),
        ("clients", counted(clients)),
        ("VIPs", counted(vips)),
        ("clients and ports", counted(both)),
        ("IPv6 clients", (0..=u16::MAX).map(v6).collect()),
    ]
}

#[test]
fn slots_sets_and_tags_are_filled_evenly() {
    for (name, hashes) in populations() {
        // The bits of a ring's slot, of the table's set, and of the tag in it.
        for shift in [0, 12, 32, 48] {
            let mut counts = [0u32; 256];
            for hash in &hashes {
                counts[(hash >> shift & 255) as usize] += 1;
            }
            // 256 expected in each; six standard deviations of a fair spread are 96.
            assert!(counts.iter().all(|c| c.abs_diff(256) < 96), "{name}, from bit {shift}: {counts:?}");
            let chi2: f64 = counts.iter().map(|c| (f64::from(*c) - 256.0).powi(2) / 256.0).sum();
            // 255 degrees of freedom: mean 255, standard deviation 22.6; too even is as wrong as too uneven.
            assert!((140.0..400.0).contains(&chi2), "{name}, from bit {shift}: {chi2}");
        }
    }
}

#[test]
fn one_bit_of_a_flow_changes_half_of_the_hash() {
    let trials = 512u32;
    for bit in 0..104 {
        let mut changes = [0u32; 64];
        for trial in 0..trials {
            let mut flow = [0; 13];
            flow[..4].copy_from_slice(&trial.wrapping_mul(0x9e37_79b1).to_le_bytes());
            flow[8..12].copy_from_slice(&trial.wrapping_mul(0x85eb_ca6b).to_le_bytes());
            let before = hash_v4(&KEYS, &flow);
            flow[bit / 8] ^= 1 << (bit % 8);
            let changed = before ^ hash_v4(&KEYS, &flow);
            for (at, count) in changes.iter_mut().enumerate() {
                *count += (changed >> at & 1) as u32;
            }
        }
        // 256 expected, standard deviation 11.3.
        assert!(changes.iter().all(|c| c.abs_diff(256) < 70), "bit {bit}: {changes:?}");
    }
}

#[test]
fn a_key_is_hidden_from_error_messages() {
    extern crate std;
    let key = HashKey { k0: 0x1234_5678, k1: 0x9abc_def0 };
    let text = std::format!("{key:?} {:?}", FlowKeys::of(&key));
    assert_eq!(text, "HashKey(hidden) FlowKeys(hidden)");
}
