//! SCTP packets of one chunk, on a raw IPv4 socket.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

const SCTP: i32 = 132;
/// Ports, verification tag, checksum.
const HEADER: usize = 12;
/// How long a receive waits for a packet.
const PATIENCE: Duration = Duration::from_millis(5);

/// Types of chunks (RFC 9260 section 3.2).
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
}

/// Parameter types (RFC 9260 section 3.3).
const HEARTBEAT_INFO: u16 = 1;
const STATE_COOKIE: u16 = 7;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SctpPacket {
    pub(super) source: u16,
    pub(super) destination: u16,
    /// Verification tag.
    pub(super) tag: u32,
    pub(super) chunk: SctpChunk,
}

/// A chunk: type and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SctpChunk {
    pub(super) kind: u8,
    /// The value, in multiples of four bytes.
    pub(super) value: Vec<u8>,
}

impl SctpChunk {
    pub(super) fn new(kind: u8, value: &[u8]) -> Self {
        Self { kind, value: value.to_vec() }
    }

    /// Creates an INIT, or the fixed part of INIT ACK: initiate tag, window, streams out and in, first TSN.
    pub(super) fn init(kind: u8, tag: u32) -> Self {
        let fields = [tag, 65_536, 0x0001_0001, 1].map(u32::to_be_bytes);
        Self { kind, value: fields.concat() }
    }

    /// Creates an INIT ACK with its cookie.
    pub(super) fn init_ack(tag: u32, cookie: &[u8]) -> Self {
        let mut chunk = Self::init(kind::INIT_ACK, tag);
        chunk.value.extend(parameter(STATE_COOKIE, cookie));
        chunk
    }

    /// Creates a HEARTBEAT or HEARTBEAT ACK with a number.
    pub(super) fn heartbeat(kind: u8, number: u64) -> Self {
        Self { kind, value: parameter(HEARTBEAT_INFO, &number.to_be_bytes()) }
    }

    /// Returns the number of a heartbeat.
    pub(super) fn beat(&self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.value.get(4..)?.first_chunk()?))
    }

    /// Returns the tag of an INIT.
    pub(super) fn initiate_tag(&self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.value.first_chunk()?))
    }

    /// Tag and cookie of an INIT ACK.
    pub(super) fn cookie(&self) -> Option<(u32, Vec<u8>)> {
        let cookie = self.value.get(20..)?.to_vec();
        Some((self.initiate_tag()?, cookie))
    }
}

fn parameter(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    [&kind.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

impl SctpPacket {
    fn to_bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.chunk.value.len() + 4).unwrap_or(u16::MAX);
        let mut bytes = [
            self.source.to_be_bytes().as_slice(),
            &self.destination.to_be_bytes(),
            &self.tag.to_be_bytes(),
            &[0; 4],
            // An ABORT returns its receiver's own tag (RFC 9260 section 3.3.7).
            &[self.chunk.kind, u8::from(self.chunk.kind == kind::ABORT)],
            &length.to_be_bytes(),
            &self.chunk.value,
        ]
        .concat();
        let sum = crc32c(&bytes).to_le_bytes();
        bytes[8..HEADER].copy_from_slice(&sum);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let [s0, s1, d0, d1, t0, t1, t2, t3, ..] = *bytes.first_chunk::<HEADER>()?;
        let &[kind, _, l0, l1] = bytes.get(HEADER..)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = bytes.get(HEADER + 4..HEADER + length)?.to_vec();
        Some(Self {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            tag: u32::from_be_bytes([t0, t1, t2, t3]),
            chunk: SctpChunk { kind, value },
        })
    }
}

/// Computes the checksum of SCTP: CRC32c, reflected (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// A raw socket for all SCTP packets of a host.
#[derive(Debug)]
pub(super) struct SctpSocket(Socket);

impl SctpSocket {
    pub(super) fn open() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(SCTP)))
            .context("a raw socket for SCTP")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_recv_buffer_size(4 << 20)?;
        Ok(Self(socket))
    }

    pub(super) fn send(&self, to: Ipv4Addr, packet: &SctpPacket) -> Result<()> {
        match self.0.send_to(&packet.to_bytes(), &SocketAddrV4::new(to, 0).into()) {
            // A packet without a route is sent again later.
            Err(error) if error.kind() == ErrorKind::HostUnreachable => Ok(()),
            sent => sent.map(drop).context("send an SCTP packet"),
        }
    }

    /// Receives the next packet and its sender, if one comes soon.
    pub(super) fn receive(&mut self) -> Result<Option<(Ipv4Addr, SctpPacket)>> {
        let mut buffer = [0; 2048];
        let length = match self.0.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error).context("receive an SCTP packet"),
        };
        Ok(buffer.get(..length).and_then(without_ip))
    }
}

fn without_ip(bytes: &[u8]) -> Option<(Ipv4Addr, SctpPacket)> {
    let header = usize::from(bytes.first()? & 0x0f) * 4;
    let from: [u8; 4] = *bytes.get(12..)?.first_chunk()?;
    Some((Ipv4Addr::from(from), SctpPacket::read(bytes.get(header..)?)?))
}

#[cfg(test)]
mod tests {
    use super::{SctpChunk, SctpPacket, crc32c, kind};

    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn packets_round_trip() {
        let cookie = *b"cookie12";
        let packet = SctpPacket {
            source: 1,
            destination: 2,
            tag: 3,
            chunk: SctpChunk::init_ack(0x0102_0304, &cookie),
        };
        let read = SctpPacket::read(&packet.to_bytes()).unwrap();
        assert_eq!(read, packet);
        assert_eq!(read.chunk.cookie(), Some((0x0102_0304, cookie.to_vec())));
        assert_eq!(SctpChunk::heartbeat(kind::HEARTBEAT, 77).beat(), Some(77));
    }
}
