//! A packet socket on an interface, for ARP and neighbor discovery alone.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns, RxqOvfl};
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, sendto, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::frames::{HostMac, NeighborFrame};

/// `ETH_P_ALL` in network byte order, as packet sockets expect it.
const ALL: i32 = 3_u16.to_be() as i32;
/// `PACKET_OUTGOING`: what this host itself sent.
const OUTGOING: u8 = 4;
/// Room for all frames of seconds in which this thread does not run.
const QUEUE: usize = 8 << 20;

/// Accepts ARP, and ICMPv6 of the types of neighbor solicitations and advertisements.
const FILTER: [SockFilter; 10] = [
    SockFilter::new(0x28, 0, 0, 12),     // A = EtherType
    SockFilter::new(0x15, 6, 0, 0x0806), // ARP: in
    SockFilter::new(0x15, 0, 6, 0x86dd), // IPv6, or out
    SockFilter::new(0x30, 0, 0, 20),     // A = next header
    SockFilter::new(0x15, 0, 4, 58),     // ICMPv6, or out
    SockFilter::new(0x30, 0, 0, 54),     // A = type
    SockFilter::new(0x15, 1, 0, 135),    // solicitation: in
    SockFilter::new(0x15, 0, 1, 136),    // advertisement: in, or out
    SockFilter::new(0x06, 0, 0, 0xffff), // in
    SockFilter::new(0x06, 0, 0, 0),      // out
];

/// The socket.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    link: LinkAddr,
    mac: HostMac,
    dropped: u32,
}

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub struct WireFrame {
    /// When the kernel received it.
    pub at: Instant,
    /// The frame.
    pub frame: NeighborFrame,
}

impl Wire {
    /// Opens it on an interface of the host in which the thread is.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn open(link: &str) -> Result<Self> {
        let mut addresses = getifaddrs()?.filter(|it| it.interface_name == link);
        let found = addresses.find_map(|it| it.address.and_then(|address| address.as_link_addr().copied()));
        let link = found.with_context(|| format!("no interface {link}"))?;
        let mac = HostMac(link.addr().context("it has no MAC address")?);
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ALL)))?;
        socket.attach_filter(&FILTER)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, RcvBufForce, &QUEUE)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        setsockopt(&socket, RxqOvfl, &1)?;
        Ok(Self { socket, link, mac, dropped: 0 })
    }

    /// Returns the interface's MAC address.
    #[must_use]
    pub fn mac(&self) -> HostMac {
        self.mac
    }

    /// Returns how many frames the socket had no room for.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the kernel does not send it, unless the link is down or its queue full: then it is lost, as on a
    /// cable that is not connected.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        match sendto(self.socket.as_raw_fd(), frame, &self.link, MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENETDOWN | Errno::ENOBUFS | Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error).context("send a frame"),
        }
    }

    /// Receives the next frame; waits for at most this time.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn receive(&mut self, within: Duration) -> Result<Option<WireFrame>> {
        let until = Instant::now() + within;
        loop {
            if let Some(frame) = self.receive_now()? {
                return Ok(Some(frame));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let timeout =
                PollTimeout::try_from(left.as_micros().div_ceil(1000) as u64).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("wait for a frame"),
            }
        }
    }

    /// Receives a frame that is there, skipping what this host sent and other interfaces received.
    fn receive_now(&mut self) -> Result<Option<WireFrame>> {
        let mut buffer = [0; 2048];
        loop {
            let mut control = cmsg_space!(TimeSpec, u32);
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let (bytes, address, stamp) = {
                let descriptor = self.socket.as_raw_fd();
                match recvmsg::<LinkAddr>(descriptor, &mut parts, Some(&mut control), MsgFlags::empty()) {
                    Ok(message) => {
                        let mut stamp = None;
                        for it in message.cmsgs()? {
                            match it {
                                ControlMessageOwned::ScmTimestampns(time) => stamp = Some(time),
                                ControlMessageOwned::RxqOvfl(count) => self.dropped = count,
                                _ => {}
                            }
                        }
                        (message.bytes, message.address, stamp)
                    }
                    Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
                    Err(error) => return Err(error).context("receive a frame"),
                }
            };
            let is_here =
                |from: &LinkAddr| from.ifindex() == self.link.ifindex() && from.pkttype() != OUTGOING;
            if !address.as_ref().is_some_and(is_here) {
                continue;
            }
            if let Some(frame) = buffer.get(..bytes).and_then(NeighborFrame::read) {
                return Ok(Some(WireFrame { at: instant(stamp), frame }));
            }
        }
    }
}

/// Converts the kernel's time of reception.
fn instant(stamp: Option<TimeSpec>) -> Instant {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let received = stamp.map(|stamp| SystemTime::UNIX_EPOCH + Duration::from(stamp));
    let age = received.and_then(|received| clock.duration_since(received).ok()).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}
