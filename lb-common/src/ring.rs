//! A slot of a ring.

/// No node: the filler of a [`Slot`].
pub const NO_NODE: u16 = u16::MAX;

/// Index of a node in the `lb_nodes` map of one agent. It never leaves the machine: two nodes may number
/// the cluster differently, so what is put on a wire is an address.
pub type NodeIndex = u16;

/// One slot of a ring: who gets its flows.
///
/// It is read and written as two 64-bit words, each of them at once, so a reader sees a word from before
/// or from after a change and never a mixture.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Word 0, first part: the node that new flows go to, or [`NO_NODE`].
    pub leader: NodeIndex,
    /// Word 0, rest: who takes over when the leader is dead, in this order; filled up with [`NO_NODE`].
    pub successors: [NodeIndex; 3],
    /// Word 1: who led before, newest first: older flows may still live there; filled up with [`NO_NODE`].
    pub former: [NodeIndex; 4],
}

const _: () = assert!(size_of::<Slot>() == 16 && align_of::<Slot>() == 8);

impl Slot {
    /// A slot that names nobody.
    pub const EMPTY: Self = Self { leader: NO_NODE, successors: [NO_NODE; 3], former: [NO_NODE; 4] };

    /// Word 0 as it lies in memory: leader and successors.
    #[inline(always)]
    pub const fn order_word(self) -> u64 {
        pack([self.leader, self.successors[0], self.successors[1], self.successors[2]])
    }

    /// Word 1 as it lies in memory: the former leaders.
    #[inline(always)]
    pub const fn former_word(self) -> u64 {
        pack(self.former)
    }

    /// The slot of two words as they lie in memory.
    #[inline(always)]
    pub const fn from_words(order: u64, former: u64) -> Self {
        let [leader, a, b, c] = unpack(order);
        Self { leader, successors: [a, b, c], former: unpack(former) }
    }
}

/// The leader in word 0 of a slot.
#[inline(always)]
pub const fn leader_of(order: u64) -> NodeIndex {
    unpack(order)[0]
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
        fn a_slot_survives_its_words(leader: u16, successors: [u16; 3], former: [u16; 4]) {
            let slot = Slot { leader, successors, former };
            prop_assert_eq!(Slot::from_words(slot.order_word(), slot.former_word()), slot);
            prop_assert_eq!(leader_of(slot.order_word()), leader);
        }
    }

    #[test]
    fn the_words_are_the_fields_in_memory_order() {
        let slot = Slot { leader: 0x0102, successors: [0x0304, 0x0506, 0x0708], former: [1, 2, 3, 4] };
        let bytes: [u8; 8] = slot.order_word().to_ne_bytes();
        assert_eq!(&bytes[..2], &0x0102u16.to_ne_bytes());
        assert_eq!(&bytes[6..], &0x0708u16.to_ne_bytes());
    }
}
