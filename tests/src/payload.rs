//! The bytes that traffic clients send, and those that the echo servers return.

use std::net::SocketAddr;

/// Bytes of a datagram before its payload: flow and number.
pub const DATAGRAM_HEADER: usize = 16;

/// A pseudo-random stream of bytes; streams of different seeds have nothing in common.
#[derive(Clone, Debug)]
pub struct PayloadStream(u64);

impl PayloadStream {
    /// Creates the stream of a seed, at its start.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Seeds are small consecutive numbers; spread out, their streams do not overlap.
        Self(seed.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Fills a buffer with the next bytes of the stream.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            word.copy_from_slice(&next[..word.len()]);
        }
    }

    /// Draws the next number: SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// Changes every byte as a server does. Applying it twice restores the bytes; a reflected packet lacks it.
pub fn transform(bytes: &mut [u8]) {
    for byte in bytes {
        *byte ^= 0x5a;
    }
}

/// A server's greeting: itself and its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The pod that serves.
    pub pod: String,
    /// The client's address as the pod sees it.
    pub client: SocketAddr,
}

impl Greeting {
    /// Formats it as sent, without a line end.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{} {}", self.pod, self.client)
    }

    /// Parses the format of [`Greeting::to_line`].
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let (pod, client) = line.trim_end().split_once(' ')?;
        Some(Self { pod: pod.into(), client: client.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_determined_by_its_seed() {
        let [mut first, mut again, mut other] = [[0; 100]; 3];
        PayloadStream::new(7).fill(&mut first);
        PayloadStream::new(7).fill(&mut again);
        PayloadStream::new(8).fill(&mut other);
        assert_eq!(first, again);
        assert!(first.iter().zip(&other).filter(|(a, b)| a == b).count() < 10);
    }

    #[test]
    fn a_greeting_round_trips() {
        let greeting = Greeting { pod: "n1-2".into(), client: ([192, 0, 2, 11], 4711).into() };
        assert_eq!(Greeting::from_line(&(greeting.to_line() + "\n")), Some(greeting));
        assert_eq!(Greeting::from_line("n1-2 nowhere"), None);
    }
}
