//! The socket for echo packets: out to a neighbour's own MAC, since their IP address is ours, and back in before the
//! kernel's routing sees them, which takes nothing in from its own address.
//!
//! The neighbour's MAC is the one that its control packets come from; so this socket hears them, too.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use lb_bfd::echo::{self, Content, Packet};
use lb_bfd::session::Discriminator;
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, sendto, setsockopt, sockopt::ReceiveTimestampns,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// The EtherType of IPv4, in network order, as packet sockets name a protocol.
const IPV4: i32 = 0x0800_u16.to_be() as i32;

/// Lets in UDP, whole, to the ports of control packets over one hop and of echoes.
const FILTER: [SockFilter; 10] = [
    SockFilter::new(0x30, 0, 0, 9),      // A = protocol
    SockFilter::new(0x15, 0, 6, 17),     // UDP, or out
    SockFilter::new(0x28, 0, 0, 6),      // A = flags and offset
    SockFilter::new(0x45, 4, 0, 0x3fff), // a fragment: out
    SockFilter::new(0xb1, 0, 0, 0),      // X = length of the header
    SockFilter::new(0x48, 0, 0, 2),      // A = destination port
    SockFilter::new(0x15, 2, 0, 3784),   // control: in
    SockFilter::new(0x15, 1, 0, 3785),   // echo: in
    SockFilter::new(0x06, 0, 0, 0),      // out
    SockFilter::new(0x06, 0, 0, 0xffff), // in
];

/// The socket, and the key that echoes are told from forgeries by.
pub(super) struct Echoes {
    socket: Socket,
    key: RandomState,
}

/// A packet that the socket has heard.
pub(super) struct Heard {
    pub(super) packet: Option<Packet>,
    /// Where on which link it came from.
    pub(super) station: Option<LinkAddr>,
    /// When, by the time of day.
    pub(super) stamp: Option<Duration>,
}

/// The echoes of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// Where they go.
    pub(super) station: LinkAddr,
    sent: u64,
    /// The newest that has come back.
    returned: u64,
}

impl Exchange {
    /// None has been sent yet.
    pub(super) const fn with(station: LinkAddr) -> Self {
        Self { station, sent: 0, returned: 0 }
    }
}

impl Echoes {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, as a rule.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(IPV4)))?;
        socket.attach_filter(&FILTER)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        Ok(Self { socket, key: RandomState::new() })
    }

    /// Sends the next echo of a session.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn send(
        &self,
        discriminator: Discriminator,
        local: Ipv4Addr,
        exchange: &mut Exchange,
    ) -> io::Result<()> {
        exchange.sent += 1;
        let number = exchange.sent;
        let content = Content { discriminator, number, token: self.token(discriminator, number) };
        let packet = echo::build(local, &content);
        sendto(self.socket.as_raw_fd(), &packet, &exchange.station, MsgFlags::empty())?;
        Ok(())
    }

    /// Whether an echo is one of a session's, and newer than all that have come back.
    pub(super) fn takes(&self, content: &Content, exchange: &mut Exchange) -> bool {
        let is_due = exchange.returned < content.number && content.number <= exchange.sent;
        let is_ours = is_due && content.token == self.token(content.discriminator, content.number);
        if is_ours {
            exchange.returned = content.number;
        }
        is_ours
    }

    /// Takes one packet; `None` when there is none.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Heard>> {
        let mut control = cmsg_space!(TimeSpec);
        let (octets, station, stamp) = {
            let mut parts = [IoSliceMut::new(buffer)];
            let descriptor = self.socket.as_raw_fd();
            match recvmsg::<LinkAddr>(descriptor, &mut parts, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => {
                    let stamp = message.cmsgs()?.find_map(|said| stamp(&said));
                    (message.bytes, message.address, stamp)
                }
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Some(Heard { packet: buffer.get(..octets).and_then(echo::read), station, stamp }))
    }

    fn token(&self, discriminator: Discriminator, number: u64) -> u64 {
        self.key.hash_one((discriminator, number))
    }
}

impl AsFd for Echoes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// When the kernel received a packet, by the time of day.
pub(super) fn stamp(said: &ControlMessageOwned) -> Option<Duration> {
    match said {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(*time)),
        _ => None,
    }
}
