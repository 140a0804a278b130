//! Slots of rings.

/// No node: the padding of a [`Slot`].
pub const NO_NODE: u16 = u16::MAX;

/// Index of a node in the `lb_nodes` map of one agent. It never leaves the machine: nodes may number the
/// cluster differently, so packets carry wire IDs.
pub type NodeIndex = u16;

/// Former leaders in a slot.
pub const FORMER: usize = 12;
/// 64-bit words of a slot.
pub const WORDS: usize = 1 + FORMER / 4;

/// A slot of a ring: the nodes that get its flows.
///
/// It is read and written as [`WORDS`] 64-bit words, so a reader sees each word from before or after a
/// change, never a mixture. Forwarding a packet needs the first word only.
#[repr(C, align(32))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Word 0, first part: the leader, which gets new flows, or [`NO_NODE`].
    pub leader: NodeIndex,
    /// Word 0, rest: the successors of a dead leader, in this order; padded with [`NO_NODE`].
    pub successors: [NodeIndex; 3],
    /// Words 1 to 3: former leaders, newest first, which may own older flows; padded with [`NO_NODE`].
    pub former: [NodeIndex; FORMER],
}

const _: () = assert!(size_of::<Slot>() == 8 * WORDS && align_of::<Slot>() == 32);

impl Slot {
    /// A slot without nodes.
    pub const EMPTY: Self = Self { leader: NO_NODE, successors: [NO_NODE; 3], former: [NO_NODE; FORMER] };

    /// Returns word 0 as in memory: leader and successors.
    #[inline(always)]
    pub const fn order_word(self) -> u64 {
        pack([self.leader, self.successors[0], self.successors[1], self.successors[2]])
    }

    /// Returns whether a node is a former leader.
    #[inline(always)]
    pub const fn has_led(self, node: NodeIndex) -> bool {
        let [_, a, b, c] = self.to_words();
        word_has(a, node) || word_has(b, node) || word_has(c, node)
    }

    /// Returns whether a node is leader, successor or former leader.
    #[inline(always)]
    pub const fn lists(self, node: NodeIndex) -> bool {
        word_has(self.order_word(), node) || self.has_led(node)
    }

    /// Returns all words as in memory: the order word, then the former leaders.
    #[inline(always)]
    pub const fn to_words(self) -> [u64; WORDS] {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.former;
        [self.order_word(), pack([a, b, c, d]), pack([e, f, g, h]), pack([i, j, k, l])]
    }

    /// Returns the slot of its words as in memory.
    #[inline(always)]
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        let [order, first, second, third] = words;
        let [leader, x, y, z] = unpack(order);
        let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (unpack(first), unpack(second), unpack(third));
        Self { leader, successors: [x, y, z], former: [a, b, c, d, e, f, g, h, i, j, k, l] }
    }
}

/// The leader of a slot, and whether this node is a former leader, in 16 bits: all that most packets need. A
/// map of these fits sixteen times as many slots into the data cache and the TLB as the rings themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLeader(u16);

/// [`SlotLeader`]s in a 64-bit word of `lb_leaders`.
pub const LEADERS_A_WORD: usize = 4;

impl SlotLeader {
    /// All node indices are below.
    pub const LIMIT: NodeIndex = 0x7fff;
    /// This node is a former leader and may own flows of the slot.
    const HAS_LED: u16 = 0x8000;

    /// Returns the entry of a slot for the node `own`.
    #[inline(always)]
    pub const fn of(slot: Slot, own: NodeIndex) -> Self {
        let leader = if slot.leader < Self::LIMIT { slot.leader } else { Self::LIMIT };
        Self(leader | if slot.has_led(own) { Self::HAS_LED } else { 0 })
    }

    /// Returns the entry of a slot from its word.
    #[inline(always)]
    pub const fn get(word: u64, slot: u32) -> Self {
        Self((word >> (16 * (slot & 3))) as u16)
    }

    /// Returns the word of a slot with this entry in it.
    pub const fn put(self, word: u64, slot: u32) -> u64 {
        let shift = 16 * (slot & 3);
        word & !(0xffff << shift) | (self.0 as u64) << shift
    }

    /// Returns the leader; [`SlotLeader::LIMIT`] if there is none.
    #[inline(always)]
    pub const fn leader(self) -> NodeIndex {
        self.0 & Self::LIMIT
    }

    /// Returns whether this node is a former leader.
    #[inline(always)]
    pub const fn has_led(self) -> bool {
        self.0 & Self::HAS_LED != 0
    }
}

/// Returns the leader in word 0 of a slot.
#[inline(always)]
pub const fn leader_of(order: u64) -> NodeIndex {
    unpack(order)[0]
}

/// Returns the four nodes of a word of a slot.
#[inline(always)]
pub const fn nodes_of(word: u64) -> [NodeIndex; 4] {
    unpack(word)
}

/// Returns whether a node is one of the four in a word, which are compared at once.
#[inline(always)]
pub const fn word_has(word: u64, node: NodeIndex) -> bool {
    const ONES: u64 = 0x0001_0001_0001_0001;
    const TOPS: u64 = 0x8000_8000_8000_8000;
    // A field that is equal becomes zero, and subtracting one from zero sets its top bit.
    let differs = word ^ (node as u64 * ONES);
    differs.wrapping_sub(ONES) & !differs & TOPS != 0
}

#[inline(always)]
const fn pack(nodes: [NodeIndex; 4]) -> u64 {
    let [a, b, c, d] =
        [nodes[0].to_ne_bytes(), nodes[1].to_ne_bytes(), nodes[2].to_ne_bytes(), nodes[3].to_ne_bytes()];
    u64::from_ne_bytes([a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]])
}

#[inline(always)]
const fn unpack(word: u64) -> [NodeIndex; 4] {
    let b = word.to_ne_bytes();
    [
        u16::from_ne_bytes([b[0], b[1]]),
        u16::from_ne_bytes([b[2], b[3]]),
        u16::from_ne_bytes([b[4], b[5]]),
        u16::from_ne_bytes([b[6], b[7]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slot_survives_its_words(leader: u16, successors: [u16; 3], former: [u16; FORMER]) {
            let slot = Slot { leader, successors, former };
            prop_assert_eq!(Slot::from_words(slot.to_words()), slot);
            prop_assert_eq!(leader_of(slot.order_word()), leader);
        }

        #[test]
        fn a_slot_leader_survives_its_word(
            slots in proptest::array::uniform4((0u16..9, proptest::collection::vec(0u16..9, 0..4))),
            mut word: u64,
        ) {
            let slots = slots.map(|(leader, led)| {
                let mut former = [NO_NODE; FORMER];
                former[..led.len()].copy_from_slice(&led);
                Slot { leader: if leader == 8 { NO_NODE } else { leader }, former, ..Slot::EMPTY }
            });
            for (number, slot) in (40..).zip(slots) {
                word = SlotLeader::of(slot, 3).put(word, number);
            }
            for (number, slot) in (40..).zip(slots) {
                let seen = SlotLeader::get(word, number);
                prop_assert_eq!(seen.leader(), if slot.leader == NO_NODE { SlotLeader::LIMIT } else { slot.leader });
                prop_assert_eq!(seen.has_led(), slot.has_led(3));
            }
        }

        #[test]
        fn a_node_is_found_in_every_place(word: [NodeIndex; 4], node in 0u16..4, narrow: bool) {
            // Few numbers meet often, and those next to zero are where arithmetic on four at once goes wrong.
            let word = if narrow { word.map(|index| index % 5) } else { word };
            prop_assert_eq!(word_has(pack(word), node), word.contains(&node));
            prop_assert!(word.into_iter().all(|index| word_has(pack(word), index)));
        }
    }

    #[test]
    fn the_words_are_the_fields_in_memory_order() {
        let former = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let slot = Slot { leader: 0x0102, successors: [0x0304, 0x0506, 0x0708], former };
        let bytes: [u8; 8] = slot.order_word().to_ne_bytes();
        assert_eq!(&bytes[..2], &0x0102u16.to_ne_bytes());
        assert_eq!(&bytes[6..], &0x0708u16.to_ne_bytes());
        assert_eq!(&slot.to_words()[2].to_ne_bytes()[..2], &5u16.to_ne_bytes());
    }
}
