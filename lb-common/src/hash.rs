//! The keyed flow hash: SipHash-1-3 over the words that name a flow.
//!
//! The key is a secret of the cluster, the same on every node: whoever does not know it cannot choose
//! addresses and ports that all fall on one slot or one node. SipHash keeps that property also against
//! somebody who watches where flows go, which a multiply-and-shift hash does not.

/// The cluster's secret, two native-endian words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HashKey {
    /// First word.
    pub k0: u64,
    /// Second word.
    pub k1: u64,
}

/// SipHash-1-3 under way, fed with words.
pub(crate) struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    #[inline(always)]
    pub(crate) const fn new(key: &HashKey) -> Self {
        Self {
            v0: key.k0 ^ 0x736f_6d65_7073_6575,
            v1: key.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: key.k0 ^ 0x6c79_6765_6e65_7261,
            v3: key.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline(always)]
    pub(crate) const fn word(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    pub(crate) const fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

/// What of a packet names its flow beside the addresses: both ports as they lie in the header, and the
/// protocol. All zero where a Service wants all flows of a client on one node (session affinity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPorts {
    /// Source port, then destination port, in wire order.
    pub ports: [u8; 4],
    /// IP protocol number.
    pub protocol: u8,
}

impl FlowPorts {
    /// The ports of a Service with session affinity: they do not count.
    pub const AFFINITY: Self = Self { ports: [0; 4], protocol: 0 };

    /// The last word of the hash's input; `family` keeps IPv4 and IPv6 flows apart.
    #[inline(always)]
    const fn word(self, family: u8) -> u64 {
        let p = self.ports;
        u64::from_le_bytes([p[0], p[1], p[2], p[3], self.protocol, family, 0, 0])
    }
}

/// Hash of an IPv4 flow.
#[inline(always)]
pub fn flow_hash_v4(key: &HashKey, source: [u8; 4], destination: [u8; 4], flow: FlowPorts) -> u64 {
    let (s, d) = (source, destination);
    let mut sip = Sip::new(key);
    sip.word(u64::from_le_bytes([s[0], s[1], s[2], s[3], d[0], d[1], d[2], d[3]]));
    sip.word(flow.word(4));
    sip.finish()
}

/// Hash of an IPv6 flow.
#[inline(always)]
pub fn flow_hash_v6(key: &HashKey, source: &[u8; 16], destination: &[u8; 16], flow: FlowPorts) -> u64 {
    let mut sip = Sip::new(key);
    for address in [source, destination] {
        let [low, high] = halves(address);
        sip.word(low);
        sip.word(high);
    }
    sip.word(flow.word(6));
    sip.finish()
}

#[inline(always)]
const fn halves(a: &[u8; 16]) -> [u64; 2] {
    [
        u64::from_le_bytes([a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]]),
        u64::from_le_bytes([a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    const KEY: HashKey = HashKey { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };

    /// The reference appends a word with the length; ours is of a fixed length for each family and leaves
    /// it out, so the reference is driven word by word and its last block is mixed in by hand here.
    fn with_length_block(words: &[u64], length: u64) -> u64 {
        let mut sip = Sip::new(&KEY);
        for word in words {
            sip.word(*word);
        }
        sip.word(length << 56);
        sip.finish()
    }

    proptest! {
        #[test]
        fn rounds_agree_with_the_reference(words in proptest::collection::vec(any::<u64>(), 0..6)) {
            let mut reference = SipHasher13::new_with_keys(KEY.k0, KEY.k1);
            for word in &words {
                reference.write(&word.to_le_bytes());
            }
            prop_assert_eq!(with_length_block(&words, words.len() as u64 * 8), reference.finish());
        }

        #[test]
        fn every_field_counts(source: [u8; 4], destination: [u8; 4], ports: [u8; 4], protocol: u8, bit in 0usize..104) {
            let mut bytes = [0u8; 13];
            bytes[..4].copy_from_slice(&source);
            bytes[4..8].copy_from_slice(&destination);
            bytes[8..12].copy_from_slice(&ports);
            bytes[12] = protocol;
            let hash = |b: &[u8; 13]| flow_hash_v4(
                &KEY,
                [b[0], b[1], b[2], b[3]],
                [b[4], b[5], b[6], b[7]],
                FlowPorts { ports: [b[8], b[9], b[10], b[11]], protocol: b[12] },
            );
            let before = hash(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(before, hash(&bytes));
        }
    }

    #[test]
    fn low_bits_spread_evenly() {
        let mut counts = [0u32; 256];
        for port in 0..=u16::MAX {
            let [a, b] = port.to_be_bytes();
            let flow = FlowPorts { ports: [a, b, 0, 80], protocol: 6 };
            counts[(flow_hash_v4(&KEY, [192, 0, 2, 1], [198, 51, 100, 1], flow) & 255) as usize] += 1;
        }
        // 256 expected in each; six standard deviations of a fair spread are 96.
        assert!(counts.iter().all(|c| c.abs_diff(256) < 96), "{counts:?}");
    }
}
