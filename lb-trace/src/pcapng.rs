//! A writer of pcapng files (draft-ietf-opsawg-pcapng): packets with a comment each, in a file of bounded
//! size.
//!
//! ```text
//! section header | interface description, at an interface's first packet | enhanced packet …
//! ```
//!
//! A block is its type, its length, a body in units of four bytes, and its length again; numbers are
//! little-endian.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::record::TracedPacket;

/// Types of blocks.
mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const PACKET: u32 = 6;
}

/// Codes of options.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const INTERFACE_NAME: u16 = 2;
    /// The program that wrote the section.
    pub(super) const APPLICATION: u16 = 4;
    /// The unit of times, as a negative power of ten.
    pub(super) const TIME_RESOLUTION: u16 = 9;
}

/// Marks the byte order.
const MAGIC: u32 = 0x1a2b_3c4d;
/// The length of a section that ends with the file.
const UNKNOWN_LENGTH: u64 = u64::MAX;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;
/// Times are in nanoseconds.
const NANOSECONDS: u8 = 9;
/// Bytes of a value that an option can hold.
const OPTION_LIMIT: usize = 1024;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PcapngError {
    /// The kernel refuses it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The agent's answer holds no packet.
    #[error("the agent sent bytes that are no hexadecimal digits; is it of another version?")]
    Digits,
}

/// Writes packets to a file.
#[derive(Debug)]
pub struct PcapngWriter<W: Write> {
    out: W,
    snap: u32,
    written: u64,
    limit: u64,
    interfaces: BTreeMap<String, u32>,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins a file with packets of at most `snap` bytes, which grows to at most `limit` bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, snap: u32, limit: u64) -> Result<Self, PcapngError> {
        let mut writer = Self { out, snap, written: 0, limit, interfaces: BTreeMap::new() };
        let mut body = Vec::new();
        body.extend(MAGIC.to_le_bytes());
        body.extend([1u16, 0].map(u16::to_le_bytes).concat());
        body.extend(UNKNOWN_LENGTH.to_le_bytes());
        put_option(
            &mut body,
            option::APPLICATION,
            concat!("fairlead ", env!("CARGO_PKG_VERSION")).as_bytes(),
        );
        put_option(&mut body, option::END, &[]);
        let section = as_block(block::SECTION, &body);
        writer.put(&section)?;
        Ok(writer)
    }

    /// Writes a packet with a comment. Returns false, and writes nothing, if the file would grow too large.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, packet: &TracedPacket, comment: &str) -> Result<bool, PcapngError> {
        let bytes = from_hex(&packet.bytes).ok_or(PcapngError::Digits)?;
        let known = self.interfaces.get(&packet.interface).copied();
        let number = known.unwrap_or(self.interfaces.len() as u32);
        let mut blocks = Vec::new();
        if known.is_none() {
            blocks.extend(self.interface(&packet.interface));
        }
        blocks.extend(packet_block(number, packet, &bytes, comment));
        if self.written + blocks.len() as u64 > self.limit {
            return Ok(false);
        }
        self.interfaces.insert(packet.interface.clone(), number);
        self.put(&blocks)?;
        Ok(true)
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), PcapngError> {
        Ok(self.out.flush()?)
    }

    fn interface(&self, name: &str) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend([ETHERNET, 0].map(u16::to_le_bytes).concat());
        body.extend(self.snap.to_le_bytes());
        put_option(&mut body, option::INTERFACE_NAME, name.as_bytes());
        put_option(&mut body, option::TIME_RESOLUTION, &[NANOSECONDS]);
        put_option(&mut body, option::END, &[]);
        as_block(block::INTERFACE, &body)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), PcapngError> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn packet_block(interface: u32, packet: &TracedPacket, bytes: &[u8], comment: &str) -> Vec<u8> {
    let [high, low] = [(packet.time_ns >> 32) as u32, packet.time_ns as u32];
    let mut body = Vec::new();
    for word in [interface, high, low, bytes.len() as u32, packet.length] {
        body.extend(word.to_le_bytes());
    }
    put_padded(&mut body, bytes);
    put_option(&mut body, option::COMMENT, comment.as_bytes());
    put_option(&mut body, option::END, &[]);
    as_block(block::PACKET, &body)
}

fn as_block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [kind.to_le_bytes().as_slice(), &length, body, &length].concat()
}

fn put_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..OPTION_LIMIT).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    put_padded(body, value);
}

fn put_padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.extend(std::iter::repeat_n(0, bytes.len().next_multiple_of(4) - bytes.len()));
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let value = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::packet;

    fn file(limit: u64, packets: usize) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let mut writer = PcapngWriter::new(&mut out, 128, limit).unwrap();
        let written = (0..packets).filter(|_| writer.write(&packet(), "local").unwrap()).count();
        writer.finish().unwrap();
        (out, written)
    }

    /// Returns type and length of each block, which says its length at both ends.
    fn blocks(mut file: &[u8]) -> Vec<(u32, usize)> {
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let word = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
            let length = word(4) as usize;
            assert_eq!((length % 4, word(length - 4) as usize), (0, length));
            blocks.push((word(0), length));
            file = &file[length..];
        }
        blocks
    }

    #[test]
    fn an_interface_is_described_once() {
        let (bytes, written) = file(1 << 20, 3);
        let kinds: Vec<_> = blocks(&bytes).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [block::SECTION, block::INTERFACE, block::PACKET, block::PACKET, block::PACKET]);
        assert_eq!(written, 3);
    }

    #[test]
    fn a_file_never_exceeds_its_limit() {
        for limit in [60, 200, 333, 1000] {
            let (bytes, written) = file(limit, 100);
            assert!(bytes.len() as u64 <= limit && written < 100, "{} of {limit}", bytes.len());
            blocks(&bytes);
        }
    }

    #[test]
    fn digits_are_read_in_pairs() {
        assert_eq!(from_hex("00ff1a"), Some(vec![0, 0xff, 0x1a]));
        assert_eq!((from_hex("0"), from_hex("0g")), (None, None));
    }
}
