//! The socket for echo packets: out to a neighbour's own MAC, since their IP address is ours, and back in before the
//! kernel's routing sees them, which takes nothing in from its own address.
//!
//! The neighbour's MAC is the one that its control packets come from; so this socket hears them, too.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use lb_bfd::echo::{self, BfdPortPacket, EchoPayload};
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

/// The socket, and what echoes are told from forgeries by.
pub(super) struct EchoSocket {
    socket: Socket,
    pub(super) key: EchoKey,
}

/// A secret of this process: nobody else can make the token of an echo.
pub(super) struct EchoKey(RandomState);

impl EchoKey {
    fn new() -> Self {
        Self(RandomState::new())
    }

    fn token(&self, discriminator: Discriminator, number: u64) -> u64 {
        self.0.hash_one((discriminator, number))
    }
}

/// A packet that the socket has heard.
pub(super) struct EchoDatagram {
    pub(super) packet: Option<BfdPortPacket>,
    /// Where on which link it came from.
    pub(super) station: Option<LinkAddr>,
    /// When, by the time of day.
    pub(super) stamp: Option<Duration>,
}

/// The echoes of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct EchoExchange {
    /// Where they go.
    pub(super) station: LinkAddr,
    sent: u64,
    /// The newest that has come back.
    returned: u64,
}

impl EchoExchange {
    /// None has been sent yet.
    pub(super) const fn new(station: LinkAddr) -> Self {
        Self { station, sent: 0, returned: 0 }
    }

    /// What the next echo of a session says.
    fn next(&mut self, discriminator: Discriminator, key: &EchoKey) -> EchoPayload {
        self.sent += 1;
        EchoPayload { discriminator, number: self.sent, token: key.token(discriminator, self.sent) }
    }

    /// Whether an echo is one that was sent, and newer than all that have come back.
    pub(super) fn accept(&mut self, payload: &EchoPayload, key: &EchoKey) -> bool {
        let is_due = self.returned < payload.number && payload.number <= self.sent;
        let is_ours = is_due && payload.token == key.token(payload.discriminator, payload.number);
        if is_ours {
            self.returned = payload.number;
        }
        is_ours
    }
}

impl EchoSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, as a rule.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(IPV4)))?;
        socket.attach_filter(&FILTER)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        Ok(Self { socket, key: EchoKey::new() })
    }

    /// Sends the next echo of a session.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn send(
        &self,
        discriminator: Discriminator,
        local: Ipv4Addr,
        echo_exchange: &mut EchoExchange,
    ) -> io::Result<()> {
        let packet = echo::build(local, &echo_exchange.next(discriminator, &self.key));
        sendto(self.socket.as_raw_fd(), &packet, &echo_exchange.station, MsgFlags::empty())?;
        Ok(())
    }

    /// Takes one packet; `None` when there is none.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<EchoDatagram>> {
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
        Ok(Some(EchoDatagram { packet: buffer.get(..octets).and_then(echo::read), station, stamp }))
    }
}

impl AsFd for EchoSocket {
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

#[cfg(test)]
mod tests {
    use nix::sys::socket::SockaddrLike;

    use super::*;

    /// Nothing is sent there.
    fn nowhere() -> LinkAddr {
        let interfaces = nix::ifaddrs::getifaddrs().unwrap();
        let mut addresses = interfaces.filter_map(|interface| interface.address);
        let link = addresses.find_map(|address| address.as_link_addr().copied()).unwrap();
        assert!(link.len() > 0);
        link
    }

    #[test]
    fn an_echo_counts_once_and_only_if_it_was_sent() {
        let (key, session) = (EchoKey::new(), Discriminator::MIN);
        let mut echo_exchange = EchoExchange::new(nowhere());
        let sent: Vec<EchoPayload> = (0..3).map(|_| echo_exchange.next(session, &key)).collect();
        assert!(echo_exchange.accept(&sent[1], &key));
        assert!(!echo_exchange.accept(&sent[1], &key), "again");
        assert!(!echo_exchange.accept(&sent[0], &key), "overtaken");
        let forged = EchoPayload { token: sent[2].token ^ 1, ..sent[2] };
        assert!(!echo_exchange.accept(&forged, &key), "forged");
        let foreign = EchoPayload { token: EchoKey::new().token(session, 3), ..sent[2] };
        assert!(!echo_exchange.accept(&foreign, &key), "of another process");
        let early = EchoPayload { number: 4, token: key.token(session, 4), ..sent[2] };
        assert!(!echo_exchange.accept(&early, &key), "not sent yet");
        assert!(echo_exchange.accept(&sent[2], &key));
    }
}
