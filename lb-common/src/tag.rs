//! The keyed tags of packets between nodes: S-BFD in both directions, and GUE.
//!
//! SipHash-1-3 with a key of the cluster. It is not the key of the flow hash, so it can be replaced without
//! moving flows. The threat model is in `docs/decisions/0008-tags-between-nodes.md`.

use crate::hash::HashKey;
use crate::sip::Sip;
use crate::wire::gue::MAX_ASKED;

/// A tag key and its ID in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TagKey {
    /// Its ID on the wire.
    pub id: u8,
    /// The secret.
    pub key: HashKey,
}

/// The keys that are valid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagKeys {
    /// The key that signs.
    pub current: TagKey,
    /// Another key that verifies: the next one before all nodes use it, or the previous one after that.
    pub other: Option<TagKey>,
}

impl TagKeys {
    /// Returns one key alone.
    pub const fn only(current: TagKey) -> Self {
        Self { current, other: None }
    }

    /// Derives the key of a cluster without tag keys.
    pub const fn derived(hash_key: &HashKey) -> Self {
        Self::only(TagKey { id: DERIVED_ID, key: derive(hash_key) })
    }
}

/// ID of the key that is derived from the key of the flow hash.
pub const DERIVED_ID: u8 = 0;

/// Derives the tag key of a cluster without tag keys: two outputs of SipHash with the key of the flow hash.
/// No flow has these words, so the flow hash does not reveal it.
pub const fn derive(hash_key: &HashKey) -> HashKey {
    HashKey { k0: derived_word(hash_key, 0), k1: derived_word(hash_key, 1) }
}

const fn derived_word(hash_key: &HashKey, number: u8) -> u64 {
    let mut sip = Sip::new(hash_key.k0, hash_key.k1);
    sip.word(u64::from_le_bytes(*b"tag key "));
    // The sixth byte of a flow's last word is its IP version.
    sip.word(u64::from_le_bytes([number, 0, 0, 0, 0, 0xff, 0, 0]));
    sip.finish()
}

/// Returns this node's discriminator towards a node, which cannot be guessed without `nonce`. Never zero,
/// which is no discriminator (RFC 5880 section 6.8.1).
pub const fn discriminator(nonce: u64, node: u16) -> u32 {
    let mut sip = Sip::new(nonce, 0);
    sip.word(node as u64);
    match sip.finish() as u32 {
        0 => 1,
        number => number,
    }
}

/// The fields of an S-BFD packet that the tag covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeWords {
    /// Version, state and flags, multiplier and length, as in the packet.
    pub head: [u8; 4],
    /// The first four bytes of the authentication section.
    pub section: [u8; 4],
    /// The sender's discriminator.
    pub mine: u32,
    /// The receiver's discriminator.
    pub yours: u32,
    /// The initiator's clock when it sent the probe.
    pub sequence: u32,
}

/// Returns the tag of an S-BFD packet. It does not cover the intervals, which are never read.
#[inline(always)]
pub const fn probe_tag(key: &HashKey, words: ProbeWords) -> u64 {
    let ([s0, s1, s2, s3], [h0, h1, h2, h3]) = (words.section, words.head);
    let mut sip = Sip::new(key.k0, key.k1);
    sip.word(u64::from_le_bytes([s0, s1, s2, s3, h0, h1, h2, h3]));
    sip.word(words.mine as u64 | (words.yours as u64) << 32);
    sip.word(words.sequence as u64);
    sip.finish()
}

/// The fields of a packet in GUE that the tag covers.
#[derive(Clone, Copy, Debug)]
pub struct GueWords<'a> {
    /// The first word of the private data: [`crate::wire::gue`].
    pub head: [u8; 4],
    /// Wire ID of the receiver, so that the packet is invalid elsewhere.
    pub receiver: u32,
    /// Identifies the flow by the inner packet alone.
    pub name: u64,
    /// Wire IDs of the nodes asked.
    pub asked: &'a [u32; MAX_ASKED - 1],
    /// Number of the nodes asked.
    pub count: usize,
}

/// Separates the first word of a GUE tag from that of an S-BFD tag, where this byte is zero.
const GUE: u8 = 0x80;

/// Returns the tag of a packet in GUE.
#[inline(always)]
pub fn gue_tag(key: &HashKey, words: &GueWords<'_>) -> u32 {
    let mut sip = Sip::new(key.k0, key.k1);
    let [id, marks, home, _] = words.head;
    let head = u32::from_le_bytes([id, marks, home, GUE | words.count as u8]);
    sip.word(u64::from(head) | u64::from(words.receiver) << 32);
    sip.word(words.name);
    for (place, id) in words.asked.iter().enumerate() {
        // One word each: two in one would save little and cost branches.
        if place < words.count {
            sip.word(u64::from(*id));
        }
    }
    sip.finish() as u32
}

#[cfg(test)]
mod tests;
