//! A datagram to the client, on a port that no one listens on: which router says that the client is
//! unreachable.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use lb_explain::facts::Unreachable;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, setsockopt, sockopt,
};

/// The first port of traceroute, which hosts expect such datagrams on.
const PORT: u16 = 33_434;
/// How long an answer may take.
const WAIT: Duration = Duration::from_millis(400);
/// Bytes of the datagram.
const SIZE: usize = 32;

/// Returns what a router says of a packet for the client.
pub(super) fn unreachable(client: IpAddr) -> Option<Unreachable> {
    let probe = Probe::new(client)?;
    probe.0.send(&[0; SIZE]).ok()?;
    probe.wait();
    let error = probe.error()?;
    // The client's own answer, that no one listens on the port, shows that the way there is open.
    let router = error.from.filter(|from| *from != client)?;
    Some(Unreachable { router, says: says(&error)?.to_owned() })
}

/// Returns the meaning of an ICMP error about a route; `None` for others, such as that of a firewall that
/// rejects this port only.
const fn says(error: &IcmpError) -> Option<&'static str> {
    const NET: u8 = 0;
    const HOST: u8 = 1;
    const NET_UNKNOWN: u8 = 6;
    const HOST_UNKNOWN: u8 = 7;
    Some(match (error.is_v6, error.kind, error.code) {
        (false, 3, NET | NET_UNKNOWN) => "network unreachable",
        (false, 3, HOST | HOST_UNKNOWN) => "host unreachable",
        (true, 1, 0) => "no route to destination",
        (true, 1, 3) => "address unreachable",
        (true, 1, 6) => "route rejected",
        _ => return None,
    })
}

/// An ICMP error about a datagram.
struct IcmpError {
    from: Option<IpAddr>,
    is_v6: bool,
    kind: u8,
    code: u8,
}

/// A socket that learns of ICMP errors.
struct Probe(UdpSocket);

impl Probe {
    fn new(to: IpAddr) -> Option<Self> {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        match to {
            IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true).ok()?,
            IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true).ok()?,
        }
        socket.connect(SocketAddr::new(to, PORT)).ok()?;
        socket.set_read_timeout(Some(WAIT)).ok()?;
        Some(Self(socket))
    }

    /// Waits for an answer or an error; both may be missing.
    fn wait(&self) {
        let _ = self.0.recv(&mut [0; 16]);
    }

    /// Returns an ICMP error that has arrived.
    fn error(&self) -> Option<IcmpError> {
        let mut payload = [0; 256];
        let mut parts = [IoSliceMut::new(&mut payload)];
        let mut space = nix::cmsg_space!([u8; 128]);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let received = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
        received.cmsgs().ok()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4RecvErr(error, from) => {
                let from = from.map(|it| IpAddr::V4(SockaddrIn::from(it).ip()));
                Some(IcmpError { from, is_v6: false, kind: error.ee_type, code: error.ee_code })
            }
            ControlMessageOwned::Ipv6RecvErr(error, from) => {
                let from = from.map(|it| IpAddr::V6(SockaddrIn6::from(it).ip()));
                Some(IcmpError { from, is_v6: true, kind: error.ee_type, code: error.ee_code })
            }
            _ => None,
        })
    }
}
