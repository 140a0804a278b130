//! The keyed flow hash: a universal hash of the words that identify a flow, then a keyed mix.
//!
//! The first half multiplies sums of words and secret words in pairs and adds up the products (NH, RFC 4418
//! section 5.2): without the key, two flows collide with a probability of 2^-32. The second half is a
//! bijection that makes every bit of the result depend on every bit of that sum, with another secret between
//! its two multiplications. BPF multiplies in one instruction and has none to rotate, so this costs a fifth
//! of SipHash.
//!
//! Without the key, an attacker cannot choose addresses and ports that fall on one slot or node. Seeing which
//! node answers allows trial and error under any hash. This hash guarantees less against that than SipHash
//! would, but there is little to gain: the flow table is a cache with separate shares for what strangers
//! send. Packets that must not be forged carry a tag, and tags use SipHash ([`crate::tag`]).

use core::fmt;

use crate::sip::Sip;

/// The cluster's secret, two native-endian words.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct HashKey {
    /// First word.
    pub k0: u64,
    /// Second word.
    pub k1: u64,
}

/// The keys of the flow hash, derived from the cluster's secret.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowKeys {
    /// Added to the words of a flow: addresses, ports, protocol.
    pub words: [u32; 10],
    /// Mixed in before and between the multiplications of the second half.
    pub mix: [u64; 2],
}

const _: () = assert!(size_of::<FlowKeys>() == 56);

// Errors and log lines quote configurations.
impl fmt::Debug for HashKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HashKey(hidden)")
    }
}

impl fmt::Debug for FlowKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("FlowKeys(hidden)")
    }
}

impl HashKey {
    /// Returns a fingerprint that does not reveal the secret.
    pub const fn fingerprint(&self) -> u64 {
        let mut sip = Sip::new(self.k0, self.k1);
        sip.word(0);
        sip.word(u64::from_le_bytes([0, 0, 0, 0, 0, 4, 0, 0]));
        sip.finish()
    }
}

impl FlowKeys {
    /// No keys: the agent has not written its configuration.
    pub const NONE: Self = Self { words: [0; 10], mix: [0; 2] };

    /// Derives the keys from a secret.
    pub const fn of(key: &HashKey) -> Self {
        let mut words = [0; 10];
        let mut mix = [0; 2];
        let mut at = 0;
        while at < 5 {
            let word = derived(key, at as u8);
            words[2 * at] = word as u32;
            words[2 * at + 1] = (word >> 32) as u32;
            at += 1;
        }
        while at < 7 {
            mix[at - 5] = derived(key, at as u8);
            at += 1;
        }
        Self { words, mix }
    }
}

const fn derived(key: &HashKey, number: u8) -> u64 {
    let mut sip = Sip::new(key.k0, key.k1);
    sip.word(u64::from_le_bytes(*b"flow key"));
    sip.word(u64::from_le_bytes([number, 0, 0, 0, 0, 0xff, 0, 0]));
    sip.finish()
}

/// What identifies a flow besides its addresses: both ports as in the header, and the protocol. All zero for
/// a Service with session affinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPorts {
    /// Source port, then destination port, in wire order.
    pub ports: [u8; 4],
    /// IP protocol number.
    pub protocol: u8,
}

impl FlowPorts {
    /// Session affinity: ports and protocol do not count.
    pub const AFFINITY: Self = Self { ports: [0; 4], protocol: 0 };

    /// Returns the ports and the protocol as words; `family` separates IPv4 and IPv6 flows.
    #[inline(always)]
    const fn words(self, family: u8) -> [u32; 2] {
        [u32::from_le_bytes(self.ports), u32::from_le_bytes([self.protocol, family, 0, 0])]
    }
}

/// Multiplies two words, each with a key word added.
#[inline(always)]
const fn pair(keys: &FlowKeys, at: usize, first: u32, second: u32) -> u64 {
    first.wrapping_add(keys.words[at]) as u64 * second.wrapping_add(keys.words[at + 1]) as u64
}

/// Mixes every bit of the sum into every bit of the result.
#[inline(always)]
const fn finish(keys: &FlowKeys, sum: u64) -> u64 {
    // The constants of "Moremur", which were searched for avalanche.
    let mut hash = sum ^ keys.mix[0];
    hash ^= hash >> 27;
    hash = hash.wrapping_mul(0x3c79_ac49_2ba7_b653) ^ keys.mix[1];
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0x1c69_b3f7_4ac4_ae35);
    hash ^ hash >> 27
}

/// Returns the hash of an IPv4 flow.
#[inline(always)]
pub const fn flow_hash_v4(keys: &FlowKeys, source: [u8; 4], destination: [u8; 4], flow: FlowPorts) -> u64 {
    let [ports, protocol] = flow.words(4);
    // Source and ports in one product: they differ between the flows of one VIP.
    let sum = pair(keys, 0, u32::from_le_bytes(source), ports).wrapping_add(pair(
        keys,
        2,
        u32::from_le_bytes(destination),
        protocol,
    ));
    finish(keys, sum)
}

/// Returns the hash of an IPv6 flow.
#[inline(always)]
pub const fn flow_hash_v6(
    keys: &FlowKeys,
    source: &[u8; 16],
    destination: &[u8; 16],
    flow: FlowPorts,
) -> u64 {
    let [ports, protocol] = flow.words(6);
    let ([a, b, c, d], [e, f, g, h]) = (quarters(source), quarters(destination));
    let sum = pair(keys, 0, a, b)
        .wrapping_add(pair(keys, 2, c, d))
        .wrapping_add(pair(keys, 4, e, f))
        .wrapping_add(pair(keys, 6, g, h))
        .wrapping_add(pair(keys, 8, ports, protocol));
    finish(keys, sum)
}

#[inline(always)]
const fn quarters(a: &[u8; 16]) -> [u32; 4] {
    [
        u32::from_le_bytes([a[0], a[1], a[2], a[3]]),
        u32::from_le_bytes([a[4], a[5], a[6], a[7]]),
        u32::from_le_bytes([a[8], a[9], a[10], a[11]]),
        u32::from_le_bytes([a[12], a[13], a[14], a[15]]),
    ]
}

#[cfg(test)]
mod tests;
