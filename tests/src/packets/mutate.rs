//! A generator of invalid packets: rows of the table with defects, requests for the MAC of a VIP, and noise.
//! A seed determines the sequence.

mod neighbors;

use super::table::Row;
use crate::model::Packet;
use crate::random::SeededRandom;

/// Boundary values of header fields.
const BORDERS: [u8; 16] =
    [0x00, 0x01, 0x02, 0x04, 0x06, 0x11, 0x2c, 0x3c, 0x3f, 0x40, 0x45, 0x4f, 0x7f, 0x80, 0xfe, 0xff];
/// Changes stay in the headers: the program does not read beyond them.
const HEADERS: usize = 120;
/// The kernel's test run rejects frames shorter than an Ethernet header.
const SHORTEST: usize = 14;

/// An endless sequence of packets.
pub struct Mutator {
    random: SeededRandom,
    seeds: Vec<Packet>,
}

impl Mutator {
    /// Creates a sequence of mutants of these rows.
    pub fn new(seed: u64, rows: &[Row]) -> Self {
        let seeds = rows.iter().flat_map(|row| row.before.iter().chain([&row.packet])).cloned().collect();
        Self { random: SeededRandom::new(seed), seeds }
    }

    /// Returns the next packet.
    pub fn packet(&mut self) -> Packet {
        let mut packet = match self.below(20) {
            0 => return self.noise(),
            1..4 => Packet::new(self.neighbor()),
            _ => {
                let mut packet = self.parent();
                for _ in 0..=self.below(3) {
                    self.mutate(&mut packet.bytes);
                }
                packet
            }
        };
        // Few mutants would have a valid checksum.
        if self.below(2) == 0 {
            let _ = neighbors::mend(&mut packet.bytes);
        }
        packet.bytes.resize(packet.bytes.len().max(SHORTEST), 0);
        let length = packet.bytes.len();
        packet.linear =
            if self.below(8) == 0 { SHORTEST + self.below(length - SHORTEST + 1) } else { length };
        // A packet beyond one page needs further buffers.
        packet.linear = packet.linear.min(2048);
        packet
    }

    fn noise(&mut self) -> Packet {
        let length = SHORTEST + self.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        let kinds: [[u8; 2]; 7] = [
            [0x08, 0x00],
            [0x86, 0xdd],
            [0x08, 0x06],
            [0x81, 0x00],
            [0x88, 0xa8],
            [0x88, 0xb5],
            [0x88, 0xb6],
        ];
        bytes[12..14].copy_from_slice(&kinds[self.below(kinds.len())]);
        Packet::new(bytes)
    }

    fn parent(&mut self) -> Packet {
        let index = self.below(self.seeds.len());
        self.seeds[index].clone()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len().min(HEADERS));
        match self.below(12) {
            0..3 => bytes[at] ^= 1 << self.below(8),
            3 | 4 => bytes[at] = self.next() as u8,
            5..8 => bytes[at] = BORDERS[self.below(BORDERS.len())],
            8 => bytes.truncate(at.max(SHORTEST)),
            9 => self.splice(bytes, at),
            10 => bytes.extend_from_slice(&[0; 6]),
            _ => self.insert(bytes, at),
        }
    }

    /// Replaces the end with that of another packet.
    fn splice(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let other = self.parent().bytes;
        let from = self.below(other.len().min(HEADERS));
        bytes.truncate(at);
        bytes.extend_from_slice(&other[from..]);
    }

    /// Inserts or removes a few bytes in the middle.
    fn insert(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let count = [1, 2, 4, 8][self.below(4)];
        if self.below(2) == 0 {
            bytes.splice(at..at, vec![0; count]);
        } else {
            bytes.drain(at..(at + count).min(bytes.len()));
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound)
    }

    const fn next(&mut self) -> u64 {
        self.random.draw()
    }
}
