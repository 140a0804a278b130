//! A raw socket for arbitrary IPv4 packets, with any source address.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

/// How long to wait for a full queue.
const PACE: Duration = Duration::from_micros(50);

/// A raw socket of the host in which it is opened.
#[derive(Debug)]
pub struct RawSocket(OwnedFd);

impl RawSocket {
    /// Opens the socket; to be called inside a host.
    ///
    /// # Errors
    /// When the kernel grants none.
    pub fn open() -> Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw);
        Ok(Self(socket.context("a raw socket")?))
    }

    /// Sends a packet, its IP header included.
    ///
    /// # Errors
    /// When the kernel does not send it, or the packet has no IPv4 header.
    pub fn send(&self, packet: &[u8]) -> Result<()> {
        let to: [u8; 4] = packet.get(16..20).context("no IPv4 header")?.try_into()?;
        let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::from(to), 0));
        loop {
            match sendto(self.0.as_raw_fd(), packet, &to, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::ENOBUFS | Errno::EAGAIN) => sleep(PACE),
                Err(error) => return Err(error).context("send a raw packet"),
            }
        }
    }

    /// Sends these packets repeatedly at a rate, until `ends` returns true or the time is over. Returns how
    /// many.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub fn send_for(
        &self,
        packets: &[Vec<u8>],
        rate: u32,
        time: Duration,
        ends: impl Fn() -> bool,
    ) -> Result<u64> {
        let begun = Instant::now();
        let mut sent = 0;
        for packet in packets.iter().cycle() {
            let due = Duration::from_secs_f64(sent as f64 / f64::from(rate));
            if begun.elapsed() > time || ends() {
                break;
            }
            if let Some(early) = due.checked_sub(begun.elapsed()).filter(|early| *early > PACE) {
                sleep(early);
            }
            self.send(packet)?;
            sent += 1;
        }
        Ok(sent)
    }
}
