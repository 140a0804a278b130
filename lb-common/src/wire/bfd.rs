//! BFD control packets (RFC 5880 section 4.1), as far as the program and the agent must agree on them.

/// UDP port of the S-BFD reflector (RFC 7881 section 3), wire order.
pub const SBFD_PORT: [u8; 2] = 7784u16.to_be_bytes();
/// UDP port of sessions over one hop (RFC 5881 section 4), wire order.
pub const SINGLE_HOP_PORT: [u8; 2] = 3784u16.to_be_bytes();
/// UDP port of echo packets (RFC 5881 section 4), wire order.
pub const ECHO_PORT: [u8; 2] = 3785u16.to_be_bytes();
/// UDP port of sessions over several hops (RFC 5883 section 5), wire order.
pub const MULTIHOP_PORT: [u8; 2] = 4784u16.to_be_bytes();
/// TTL and hop limit of single-hop packets (RFC 5881 section 5, RFC 5082).
pub const TTL: u8 = 255;
/// Bytes of the mandatory section.
pub const LENGTH: usize = 24;
/// Bytes of a packet between nodes: the mandatory section and the authentication section.
pub const TAGGED_LENGTH: usize = LENGTH + 16;
/// First two bytes of an authentication section with a tag of the cluster: an unassigned type (RFC 5880
/// section 4.1) and the length of the section. Key ID, zero, the initiator's clock and the tag follow.
///
/// ```text
/// | 254 | 16 | key | 0 | sequence (32 bits) | tag (64 bits) |
/// ```
pub const TAG_SECTION: [u8; 2] = [254, (TAGGED_LENGTH - LENGTH) as u8];
/// Version 1 in the upper three bits of the first byte; the diagnostic is below.
pub const VERSION: u8 = 1 << 5;
/// The version's bits.
pub const VERSION_MASK: u8 = 0b1110_0000;
/// The diagnostic's bits in the first byte.
pub const DIAGNOSTIC_MASK: u8 = 0b0001_1111;
/// Marks a diagnostic in a reply between nodes: bits of the replying node as an announcer, in an unassigned
/// code (RFC 5880 section 4.1). The two lowest bits are its [`crate::maps::Standing`].
pub const ANNOUNCER: u8 = 1 << 4;
/// Bit of such a diagnostic: the replying node holds the node that it replies to.
pub const HOLDS: u8 = 1 << 2;
/// Bit of such a diagnostic: the replying node drains, and is about to be shut down.
pub const LEAVES: u8 = 1 << 3;
/// The state's bits in the second byte.
pub const STATE_MASK: u8 = 0b1100_0000;
/// State AdminDown in the second byte.
pub const ADMIN_DOWN: u8 = 0 << 6;
/// State Down in the second byte.
pub const DOWN: u8 = 1 << 6;
/// State Up in the second byte.
pub const UP: u8 = 3 << 6;
/// Poll bit in the second byte.
pub const POLL: u8 = 1 << 5;
/// Final bit in the second byte.
pub const FINAL: u8 = 1 << 4;
/// Control plane independent bit in the second byte.
pub const INDEPENDENT: u8 = 1 << 3;
/// Authentication bit in the second byte.
pub const AUTHENTICATION: u8 = 1 << 2;
/// Demand bit in the second byte: set in S-BFD probes, clear in replies (RFC 7880 appendix A).
pub const DEMAND: u8 = 1 << 1;
/// Multipoint bit in the second byte.
pub const MULTIPOINT: u8 = 1;

/// The words of a control packet: its bytes in memory order. The program handles packets in this form: the
/// verifier demands aligned accesses to the stack.
pub type Words = [u64; 3];

/// Returns the word of the first eight bytes in memory order, of which the other ones are zero.
const fn first(two: [u8; 2], mine: [u8; 4]) -> u64 {
    u64::from_ne_bytes([two[0], two[1], 0, 0, mine[0], mine[1], mine[2], mine[3]])
}

/// The sender's discriminator in the first word.
const MINE_WORD: u64 = first([0, 0], [0xff; 4]);
/// The state in the first word.
const STATE_WORD: u64 = first([0, STATE_MASK], [0; 4]);
/// State Up in the first word.
const UP_WORD: u64 = first([0, UP], [0; 4]);
/// The Poll bit in the first word.
const POLL_WORD: u64 = first([0, POLL], [0; 4]);
/// The Final bit in the first word.
const FINAL_WORD: u64 = first([0, FINAL], [0; 4]);
/// The Demand bit in the first word.
const DEMAND_WORD: u64 = first([0, DEMAND], [0; 4]);

/// Returns the words of a packet.
#[inline(always)]
pub fn words(bytes: &[u8; LENGTH]) -> Words {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

/// Returns the packet of these words.
#[inline(always)]
pub fn bytes(words: &Words) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_ne_bytes();
    }
    bytes
}

/// Returns the packet without its Poll and Final bits: what a repetition of it says.
#[inline(always)]
pub const fn repeated([first, second, third]: Words) -> Words {
    [first & !(POLL_WORD | FINAL_WORD), second, third]
}

/// Returns whether both packets come from one discriminator.
#[inline(always)]
pub const fn is_same_sender(one: &Words, other: &Words) -> bool {
    (one[0] ^ other[0]) & MINE_WORD == 0
}

/// Returns whether the sender says that the session is up.
#[inline(always)]
pub const fn is_up(words: &Words) -> bool {
    words[0] & STATE_WORD == UP_WORD
}

/// Returns the answer of a node that would send `ours` to a packet of its peer; `None` if it calls for none:
/// the final of a poll, and packets in demand mode but polls (RFC 5880 sections 6.5 and 6.6).
#[inline(always)]
pub const fn answer(theirs: &Words, ours: Words) -> Option<Words> {
    let [first, second, third] = ours;
    if theirs[0] & FINAL_WORD != 0 {
        None
    } else if theirs[0] & POLL_WORD != 0 {
        Some([first | FINAL_WORD, second, third])
    } else if theirs[0] & DEMAND_WORD != 0 {
        None
    } else {
        Some(ours)
    }
}

/// A control packet's mandatory section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Version and diagnostic.
    pub version_and_diagnostic: u8,
    /// State and flags.
    pub state_and_flags: u8,
    /// Detection multiplier.
    pub multiplier: u8,
    /// Length in bytes, authentication included.
    pub length: u8,
    /// The sender's discriminator.
    pub my_discriminator: [u8; 4],
    /// The receiver's discriminator.
    pub your_discriminator: [u8; 4],
    /// Desired minimum transmission interval, required minimum reception interval and required minimum echo
    /// reception interval, microseconds each.
    pub intervals: [[u8; 4]; 3],
}

impl Control {
    /// Parses its bytes.
    #[inline(always)]
    pub const fn from_bytes(b: &[u8; LENGTH]) -> Self {
        Self {
            version_and_diagnostic: b[0],
            state_and_flags: b[1],
            multiplier: b[2],
            length: b[3],
            my_discriminator: [b[4], b[5], b[6], b[7]],
            your_discriminator: [b[8], b[9], b[10], b[11]],
            intervals: [
                [b[12], b[13], b[14], b[15]],
                [b[16], b[17], b[18], b[19]],
                [b[20], b[21], b[22], b[23]],
            ],
        }
    }

    /// Returns its bytes.
    #[inline(always)]
    pub const fn to_bytes(self) -> [u8; LENGTH] {
        let ([m0, m1, m2, m3], [y0, y1, y2, y3]) = (self.my_discriminator, self.your_discriminator);
        let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]] = self.intervals;
        [
            self.version_and_diagnostic,
            self.state_and_flags,
            self.multiplier,
            self.length,
            m0,
            m1,
            m2,
            m3,
            y0,
            y1,
            y2,
            y3,
            a0,
            a1,
            a2,
            a3,
            b0,
            b1,
            b2,
            b3,
            c0,
            c1,
            c2,
            c3,
        ]
    }

    /// Returns whether a receiver accepts it: [`is_sound`].
    #[inline(always)]
    pub const fn is_sound(&self) -> bool {
        let head = [self.version_and_diagnostic, self.state_and_flags, self.multiplier, self.length];
        is_sound(head, u32::from_be_bytes(self.my_discriminator))
    }
}

/// Returns whether a receiver accepts a packet with these first four bytes from this discriminator: the
/// checks of RFC 5880 section 6.8.6 that need no session.
#[inline(always)]
pub const fn is_sound(head: [u8; 4], my_discriminator: u32) -> bool {
    // The agent's sessions with routers do not support authentication.
    head[1] & AUTHENTICATION == 0 && is_sound_apart_from_tag(head, my_discriminator)
}

/// [`is_sound`], of packets with and without authentication.
#[inline(always)]
pub const fn is_sound_apart_from_tag(head: [u8; 4], my_discriminator: u32) -> bool {
    let [version_and_diagnostic, state_and_flags, multiplier, length] = head;
    version_and_diagnostic & VERSION_MASK == VERSION
        && length as usize >= LENGTH
        && multiplier != 0
        && state_and_flags & MULTIPOINT == 0
        && my_discriminator != 0
}
