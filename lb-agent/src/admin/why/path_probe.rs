//! Probes of paths by a few UDP datagrams to a port that no one listens on: which router says that a client is
//! unreachable, and which nodes large packets do not reach.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use lb_explain::facts::{Blackhole, ClusterFacts, Unreachable};
use lb_explain::target::Vip;
use lb_plan::plan::NodePath;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, setsockopt, sockopt,
};

/// The first port of traceroute, which hosts expect such datagrams on.
const PORT: u16 = 33_434;
/// How long an answer may take.
const WAIT: Duration = Duration::from_millis(400);
/// Nodes that are probed.
const MOST: usize = 8;
/// A datagram that every path carries.
const SMALL: u16 = 128;
/// Bytes of the headers of IPv4 and IPv6 with that of UDP.
const HEADERS: [u16; 2] = [28, 48];

/// A node to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    node: String,
    address: IpAddr,
    /// The size that the path should carry.
    mtu: u16,
}

/// Returns the other nodes of a VIP's ring, with the MTUs that the program uses.
pub(super) fn targets(cluster: &ClusterFacts, vip: Vip) -> Vec<Target> {
    let is_it = |it: &&lb_plan::plan::VipState| {
        (it.address, it.port, it.protocol) == (vip.address, vip.port, vip.protocol)
    };
    let state = cluster.services.iter().flat_map(|service| &service.vips).find(is_it);
    let members = state.and_then(|vip| vip.ring.as_ref()).into_iter().flat_map(|ring| ring.members.iter());
    let nodes = members.filter_map(|share| cluster.nodes.iter().find(|node| node.name == share.node));
    let others = nodes.filter(|node| !node.is_self && matches!(node.way, NodePath::Mode(_)));
    let target = |node: &lb_plan::plan::NodeState| {
        let mtu = cluster.installed.nodes.get(&node.index)?.mtu;
        Some(Target { node: node.name.to_string(), address: node.address, mtu })
    };
    others.filter_map(target).take(MOST).collect()
}

/// Returns the nodes that answer a small datagram and no large one. A node that answers none may have a
/// firewall: nothing is said of it.
pub(super) fn blackholes(targets: &[Target]) -> Vec<Blackhole> {
    let probed = thread::scope(|scope| {
        let probes: Vec<_> = targets.iter().map(|target| scope.spawn(|| swallows(target))).collect();
        probes.into_iter().map(|probe| probe.join().unwrap_or(false)).collect::<Vec<_>>()
    });
    let lost = targets.iter().zip(probed).filter(|(_, is_lost)| *is_lost);
    lost.map(|(target, _)| Blackhole { node: target.node.clone(), mtu: target.mtu }).collect()
}

/// Returns whether the path swallows datagrams of the size that it should carry.
fn swallows(target: &Target) -> bool {
    let headers = if target.address.is_ipv4() { HEADERS[0] } else { HEADERS[1] };
    let large = target.mtu.saturating_sub(headers);
    let answers = |size: u16| Probe::new(target.address).is_some_and(|probe| probe.is_answered(size));
    // The last one tells a lost packet from a lost size.
    large > SMALL && answers(SMALL) && !answers(large) && answers(SMALL) && !answers(large)
}

/// Returns what a router says of a packet for the client.
pub(super) fn unreachable(client: IpAddr) -> Option<Unreachable> {
    let probe = Probe::new(client)?;
    probe.send(SMALL)?;
    probe.hears();
    let error = probe.error()?;
    // The client's own answer, that no one listens on the port, shows that the way there is open.
    let router = error.from.filter(|from| *from != client)?;
    Some(Unreachable { router, says: says(&error)?.to_owned() })
}

/// Returns the meaning of an ICMP error about a destination; `None` for others.
const fn says(error: &IcmpError) -> Option<&'static str> {
    const NET: u8 = 0;
    const HOST: u8 = 1;
    const NET_UNKNOWN: u8 = 6;
    const HOST_UNKNOWN: u8 = 7;
    Some(match (error.is_v6, error.kind, error.code) {
        (false, 3, NET | NET_UNKNOWN) => "network unreachable",
        (false, 3, HOST | HOST_UNKNOWN) => "host unreachable",
        (false, 3, 9 | 10 | 13) => "administratively prohibited",
        (true, 1, 0) => "no route to destination",
        (true, 1, 1) => "administratively prohibited",
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

/// A socket that sends datagrams without fragments, as sockets do by default, and learns of ICMP errors.
struct Probe(UdpSocket);

impl Probe {
    fn new(to: IpAddr) -> Option<Self> {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        if to.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true).ok()?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true).ok()?;
            setsockopt(&socket, sockopt::Ipv6DontFrag, &true).ok()?;
        }
        socket.connect(SocketAddr::new(to, PORT)).ok()?;
        socket.set_read_timeout(Some(WAIT)).ok()?;
        Some(Self(socket))
    }

    fn send(&self, size: u16) -> Option<()> {
        self.0.send(&vec![0; size.into()]).ok().map(drop)
    }

    /// Returns whether anything answers, if only by an error, such as that no one listens on the port.
    fn is_answered(&self, size: u16) -> bool {
        self.send(size).is_some() && self.hears()
    }

    /// Waits for an answer or an error.
    fn hears(&self) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        match self.0.recv(&mut [0; 16]) {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), WouldBlock | TimedOut),
        }
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
