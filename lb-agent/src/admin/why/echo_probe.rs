//! Pings of other nodes in two sizes: which of them large packets do not reach.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use lb_common::wire::checksum;
use lb_explain::facts::{Blackhole, ClusterFacts};
use lb_explain::target::TargetVip;
use lb_plan::plan::{NodePath, NodeState, VipState};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// How long an answer may take.
const WAIT: Duration = Duration::from_millis(400);
/// Nodes that are probed.
const MOST: usize = 8;
/// An ICMP message that every path carries.
const SMALL: u16 = 64;
/// Bytes of an ICMP header.
const HEADER: usize = 8;
/// Types of an echo request and its reply, in IPv4 and IPv6.
const ECHO: [(u8, u8); 2] = [(8, 0), (128, 129)];

/// A node to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    node: String,
    address: IpAddr,
    /// The size that the path should carry.
    mtu: u16,
}

/// What is known of the paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// Nodes that have answered.
    pub(super) probed: usize,
    /// Those that large packets do not reach.
    pub(super) blackholes: Vec<Blackhole>,
}

/// Returns the other nodes of the rings of VIPs, with the MTUs that the program uses.
pub(super) fn targets(cluster: &ClusterFacts, vips: &[TargetVip]) -> Vec<Target> {
    let is_asked = |it: &&VipState| {
        let vip = TargetVip { address: it.address, port: it.port, protocol: it.protocol };
        vips.contains(&vip)
    };
    let states = cluster.services.iter().flat_map(|service| &service.vips).filter(is_asked);
    let members = states.filter_map(|vip| vip.ring.as_ref()).flat_map(|ring| ring.members.iter());
    let names: BTreeSet<_> = members.map(|share| &share.node).collect();
    let is_target = |node: &&NodeState| {
        !node.is_self && names.contains(&node.name) && matches!(node.way, NodePath::Mode(_))
    };
    let target = |node: &NodeState| {
        let mtu = cluster.installed.nodes.get(&node.index)?.mtu;
        Some(Target { node: node.name.to_string(), address: node.address, mtu })
    };
    cluster.nodes.iter().filter(is_target).filter_map(target).take(MOST).collect()
}

/// Probes the paths to nodes. Of a node that answers no ping at all, nothing is said.
pub(super) fn probe(targets: &[Target]) -> Paths {
    let found: Vec<Option<bool>> = thread::scope(|scope| {
        let probes: Vec<_> = targets.iter().map(|target| scope.spawn(|| swallows(target))).collect();
        probes.into_iter().map(|probe| probe.join().ok().flatten()).collect()
    });
    let lost = targets.iter().zip(&found).filter(|(_, swallows)| **swallows == Some(true));
    Paths {
        probed: found.iter().flatten().count(),
        blackholes: lost
            .map(|(target, _)| Blackhole { node: target.node.clone(), mtu: target.mtu })
            .collect(),
    }
}

/// Returns whether the path swallows packets of the size that it should carry; `None` without an answer to
/// smaller ones.
fn swallows(target: &Target) -> Option<bool> {
    let ip_header = if target.address.is_ipv4() { 20 } else { 40 };
    let large = target.mtu.saturating_sub(ip_header);
    let mut ping = Ping::open(target.address).ok()?;
    let mut answers = |size| ping.is_answered(size);
    if !answers(SMALL) {
        return None;
    }
    // A packet that is lost by chance is sent again.
    Some(!answers(large) && !answers(large))
}

/// A socket that sends echo requests to a host, which are not fragmented while they fit the MTU.
struct Ping {
    socket: OwnedFd,
    is_v4: bool,
    sequence: u16,
}

impl Ping {
    fn open(to: IpAddr) -> nix::Result<Self> {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(to, 0)))?;
        Ok(Self { socket, is_v4: to.is_ipv4(), sequence: 0 })
    }

    /// Sends a request of this size, and waits for the reply.
    fn is_answered(&mut self, size: u16) -> bool {
        self.sequence += 1;
        let request = self.request(size);
        if send(self.socket.as_raw_fd(), &request, MsgFlags::empty()).is_err() {
            return false;
        }
        let until = Instant::now() + WAIT;
        loop {
            match self.receive(until) {
                Ok(message) if self.is_reply(&message) => return true,
                // Another message of that host.
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    fn request(&self, size: u16) -> Vec<u8> {
        let [high, low] = self.identifier();
        let [first, second] = self.sequence.to_be_bytes();
        let mut header = [ECHO[usize::from(!self.is_v4)].0, 0, 0, 0, high, low, first, second];
        // The rest is zero and does not count. In IPv6 the kernel computes the checksum.
        if self.is_v4 {
            let check = checksum::finish(checksum::sum(&header));
            header[2..4].copy_from_slice(&check);
        }
        let mut request = header.to_vec();
        request.resize(usize::from(size).max(HEADER), 0);
        request
    }

    /// Returns an identifier that no other socket of this process has.
    fn identifier(&self) -> [u8; 2] {
        (self.socket.as_raw_fd() as u16 ^ std::process::id() as u16).to_be_bytes()
    }

    fn receive(&self, until: Instant) -> io::Result<Vec<u8>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout = TimeVal::microseconds(i64::try_from(left.as_micros()).unwrap_or(i64::MAX));
        setsockopt(&self.socket, sockopt::ReceiveTimeout, &timeout)?;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        buffer.truncate(length);
        Ok(buffer)
    }

    fn is_reply(&self, message: &[u8]) -> bool {
        // Raw IPv4 sockets receive the IP header, too: its length is in words.
        let start = if self.is_v4 { usize::from(message.first().unwrap_or(&0) & 15) * 4 } else { 0 };
        let Some(header) = message.get(start..).and_then(|icmp| icmp.first_chunk::<HEADER>()) else {
            return false;
        };
        let [kind, code, _, _, high, low, first, second] = *header;
        let is_kind = kind == ECHO[usize::from(!self.is_v4)].1 && code == 0;
        is_kind && [high, low] == self.identifier() && [first, second] == self.sequence.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_answers_pings_of_its_mtu_swallows_none() {
        let target =
            |address: &str, mtu| Target { node: "n1".into(), address: address.parse().unwrap(), mtu };
        // Without CAP_NET_RAW nothing is known.
        if Ping::open([127, 0, 0, 1].into()).is_err() {
            return;
        }
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(swallows(&target(address, 1500)), Some(false), "{address}");
        }
    }
}
