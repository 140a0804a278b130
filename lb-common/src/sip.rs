//! SipHash-1-3 over words: the keyed hash for values that an attacker may see.

/// The state of SipHash-1-3.
pub(crate) struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    #[inline(always)]
    pub(crate) const fn new(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    const K0: u64 = 0x0706_0504_0302_0100;
    const K1: u64 = 0x0f0e_0d0c_0b0a_0908;

    /// The reference appends a word with the length; what is hashed here is of a fixed length for each
    /// purpose and leaves it out, so the reference is driven word by word and its last block is mixed in by
    /// hand.
    fn with_length_block(words: &[u64], length: u64) -> u64 {
        let mut sip = Sip::new(K0, K1);
        for word in words {
            sip.word(*word);
        }
        sip.word(length << 56);
        sip.finish()
    }

    proptest! {
        #[test]
        fn rounds_agree_with_the_reference(words in proptest::collection::vec(any::<u64>(), 0..6)) {
            let mut reference = SipHasher13::new_with_keys(K0, K1);
            for word in &words {
                reference.write(&word.to_le_bytes());
            }
            prop_assert_eq!(with_length_block(&words, words.len() as u64 * 8), reference.finish());
        }
    }
}
