//! The keyed tag of what nodes say to each other: S-BFD in both directions, and GUE.
//!
//! SipHash-1-3 under a key of the cluster that is not the key of the flow hash, so that it can be replaced while
//! flows stay where they are. The threat model is in `docs/decisions/0008-tags-between-nodes.md`.

use crate::hash::HashKey;
use crate::sip::Sip;
use crate::wire::gue::MAX_ASKED;

/// A key of tags, and the number by which a packet names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TagKey {
    /// Its number on the wire.
    pub id: u8,
    /// The secret.
    pub key: HashKey,
}

/// The keys that are valid at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagKeys {
    /// Tags are made with this one.
    pub current: TagKey,
    /// Tags made with this one are valid too: the next key before it is in use everywhere, or the last one after it.
    pub other: Option<TagKey>,
}

impl TagKeys {
    /// One key and no other.
    pub const fn only(current: TagKey) -> Self {
        Self { current, other: None }
    }

    /// The key of a cluster that was given none.
    pub const fn derived(hash_key: &HashKey) -> Self {
        Self::only(TagKey { id: DERIVED_ID, key: derive(hash_key) })
    }
}

/// Number of the key that is made from the key of the flow hash.
pub const DERIVED_ID: u8 = 0;

/// The key of tags of a cluster that was given none: two outputs of SipHash under the key of the flow hash. No
/// flow's words look like these, so the flow hash gives nothing of it away.
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

/// This node's discriminator towards the node of an index, not to be guessed without `nonce`. Never zero, which is no
/// discriminator (RFC 5880 section 6.8.1).
pub const fn discriminator(nonce: u64, node: u16) -> u32 {
    let mut sip = Sip::new(nonce, 0);
    sip.word(node as u64);
    match sip.finish() as u32 {
        0 => 1,
        number => number,
    }
}

/// What of an S-BFD packet the tag covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeWords {
    /// Version, state and flags, multiplier and length, as they lie in the packet.
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

/// The tag of an S-BFD packet. The intervals, which nobody reads, are not covered.
#[inline(always)]
pub const fn probe_tag(key: &HashKey, words: ProbeWords) -> u64 {
    let ([s0, s1, s2, s3], [h0, h1, h2, h3]) = (words.section, words.head);
    let mut sip = Sip::new(key.k0, key.k1);
    sip.word(u64::from_le_bytes([s0, s1, s2, s3, h0, h1, h2, h3]));
    sip.word(words.mine as u64 | (words.yours as u64) << 32);
    sip.word(words.sequence as u64);
    sip.finish()
}

/// What of a packet in GUE the tag covers.
#[derive(Clone, Copy, Debug)]
pub struct GueWords<'a> {
    /// The first word of the private data: [`crate::wire::gue`].
    pub head: [u8; 4],
    /// Wire identity of the node that it goes to, so that it is of no use to another.
    pub receiver: u32,
    /// Names the flow by the packet inside alone.
    pub name: u64,
    /// Those who have been asked, and how many of them there are.
    pub asked: &'a [u32; MAX_ASKED - 1],
    /// How many of them there are.
    pub count: usize,
}

/// Tells a GUE tag's first word from an S-BFD tag's, whose byte at this place is zero.
const GUE: u8 = 0x80;

/// The tag of a packet in GUE.
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
