//! The packet socket for echoes. They leave to the peer's MAC address, because their IP destination is ours,
//! and are received before the kernel's routing, which drops packets from its own address.
//!
//! The MAC address is learned from the peer's control packets, so this socket receives them, too.

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

/// The EtherType of IPv4 in network byte order, as packet sockets expect it.
const IPV4: i32 = 0x0800_u16.to_be() as i32;

/// Accepts unfragmented UDP to the ports of single-hop control packets and echoes.
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

/// The socket, and the key that authenticates echoes.
pub(super) struct EchoSocket {
    socket: Socket,
    pub(super) key: EchoKey,
}

/// A secret of this process that makes echo tokens unforgeable.
pub(super) struct EchoKey(RandomState);

impl EchoKey {
    fn new() -> Self {
        Self(RandomState::new())
    }

    fn token(&self, discriminator: Discriminator, number: u64) -> u64 {
        self.0.hash_one((discriminator, number))
    }
}

/// A received packet.
pub(super) struct EchoDatagram {
    pub(super) packet: Option<BfdPortPacket>,
    /// Link-layer address and interface of the sender.
    pub(super) station: Option<LinkAddr>,
    /// Time of arrival, wall clock.
    pub(super) stamp: Option<Duration>,
}

/// The echoes of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct EchoExchange {
    /// Destination.
    pub(super) station: LinkAddr,
    sent: u64,
    /// Number of the newest returned echo.
    returned: u64,
}

impl EchoExchange {
    /// Returns an exchange without any echo sent.
    pub(super) const fn new(station: LinkAddr) -> Self {
        Self { station, sent: 0, returned: 0 }
    }

    /// Returns the payload of the next echo.
    fn next(&mut self, discriminator: Discriminator, key: &EchoKey) -> EchoPayload {
        self.sent += 1;
        EchoPayload { discriminator, number: self.sent, token: key.token(discriminator, self.sent) }
    }

    /// Accepts an echo that was sent and is newer than all returned ones.
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
    /// Typically without CAP_NET_RAW.
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
    /// If the kernel rejects it.
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

    /// Receives one packet; `None` if there is none.
    ///
    /// # Errors
    /// If the socket fails.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<EchoDatagram>> {
        let mut control = cmsg_space!(TimeSpec);
        let (octets, station, stamp) = {
            let mut parts = [IoSliceMut::new(buffer)];
            let descriptor = self.socket.as_raw_fd();
            match recvmsg::<LinkAddr>(descriptor, &mut parts, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => {
                    let stamp = message.cmsgs()?.find_map(|control_message| stamp(&control_message));
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

/// Returns the kernel's receive time of a packet, wall clock.
pub(super) fn stamp(control_message: &ControlMessageOwned) -> Option<Duration> {
    match control_message {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(*time)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::SockaddrLike;

    use super::*;

    /// An address to which nothing is sent.
    fn nowhere() -> LinkAddr {
        let interfaces = nix::ifaddrs::getifaddrs().unwrap();
        let mut addresses = interfaces.filter_map(|interface| interface.address);
        let link = addresses.find_map(|address| address.as_link_addr().copied()).unwrap();
        assert!(link.len() > 0);
        link
    }

    #[test]
    fn an_echo_is_accepted_once_and_only_if_sent() {
        let (key, session) = (EchoKey::new(), Discriminator::MIN);
        let mut echo_exchange = EchoExchange::new(nowhere());
        let sent: Vec<EchoPayload> = (0..3).map(|_| echo_exchange.next(session, &key)).collect();
        assert!(echo_exchange.accept(&sent[1], &key));
        assert!(!echo_exchange.accept(&sent[1], &key), "again");
        assert!(!echo_exchange.accept(&sent[0], &key), "overtaken");
        let forged = EchoPayload { token: sent[2].token ^ 1, ..sent[2] };
        assert!(!echo_exchange.accept(&forged, &key), "forged");
        let foreign = EchoPayload { token: EchoKey::new().token(session, 3), ..sent[2] };
        assert!(!echo_exchange.accept(&foreign, &key), "from another process");
        let early = EchoPayload { number: 4, token: key.token(session, 4), ..sent[2] };
        assert!(!echo_exchange.accept(&early, &key), "not sent yet");
        assert!(echo_exchange.accept(&sent[2], &key));
    }
}
