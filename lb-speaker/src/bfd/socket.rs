//! UDP sockets for BFD: packets are sent with a TTL of 255, and received with their TTL and path (RFC 5881,
//! sections 4 and 5; RFC 5883, section 5).

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use lb_bfd::demux::SessionPath;
use lb_bfd::session::Hops;
use nix::cmsg_space;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4PacketInfo, Ipv4RecvTtl, Ipv6RecvHopLimit, Ipv6RecvPacketInfo, ReceiveTimestampns},
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::echo::stamp;
use super::target::BfdTarget;
use crate::address::{is_link_local, unspecified};

/// RFC 5881, section 4.
const SINGLE_HOP: u16 = 3784;
/// RFC 5883, section 5.
const MULTIHOP: u16 = 4784;
/// First source port (RFC 5881, section 4).
const FIRST_SOURCE_PORT: u16 = 49_152;
/// Number of source ports.
const SOURCE_PORTS: u64 = 16_384;
/// Number of ports to try.
const PORT_ATTEMPTS: u64 = 64;
const TTL: u32 = 255;
/// DSCP CS6, network control.
const TRAFFIC_CLASS: u32 = 48 << 2;

/// Identifies a receive socket: family, kind of hops, VRF if any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RxKey {
    any: IpAddr,
    multihop: bool,
    device: Option<String>,
}

/// A received packet; its octets are in the caller's buffer.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) octets: usize,
    pub(super) ttl: u8,
    pub(super) path: SessionPath,
    /// Time of arrival, wall clock.
    pub(super) stamp: Option<Duration>,
}

impl fmt::Display for RxKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", SocketAddr::new(self.any, self.port()))?;
        self.device.as_ref().map_or(Ok(()), |device| write!(formatter, " in VRF {device}"))
    }
}

impl RxKey {
    const fn port(&self) -> u16 {
        if self.multihop { MULTIHOP } else { SINGLE_HOP }
    }

    /// Returns the key of the socket that receives a target's packets.
    pub(super) fn of(target: &BfdTarget) -> Self {
        // The device of a link-local peer is its interface; the common socket receives its packets, too.
        let device = target.device.clone().filter(|_| !is_link_local(target.address));
        Self { any: unspecified(target.address), multihop: is_multihop(target), device }
    }

    /// Returns whether the socket is in a VRF, where addresses may overlap with those outside.
    pub(super) const fn is_in_vrf(&self) -> bool {
        self.device.is_some()
    }

    /// Opens the socket. The port is not shared: another daemon that has it keeps it.
    ///
    /// # Errors
    /// If the kernel rejects it.
    pub(super) fn open(&self) -> io::Result<UdpSocket> {
        let socket = open(self.any, self.device.as_deref())?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        if self.any.is_ipv4() {
            setsockopt(&socket, Ipv4RecvTtl, &true)?;
            setsockopt(&socket, Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
        socket.bind(&SocketAddr::new(self.any, self.port()).into())?;
        Ok(socket.into())
    }

    /// Receives one packet; `None` if there is none.
    ///
    /// # Errors
    /// If the socket fails.
    pub(super) fn receive(&self, socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
        let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int, TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let message = match received {
            Ok(message) => message,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let remote = message.address.as_ref().and_then(ip).unwrap_or(self.any);
        let mut datagram = Datagram {
            octets: message.bytes,
            // Without a TTL, the packet counts as too far away.
            ttl: 0,
            path: SessionPath { multihop: self.multihop, remote, local: None, link: None },
            stamp: None,
        };
        for control_message in message.cmsgs()? {
            match control_message {
                ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                    datagram.ttl = u8::try_from(ttl).unwrap_or(0);
                }
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    datagram.path.local = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                    datagram.path.link = u32::try_from(info.ipi_ifindex).ok();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    datagram.path.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    datagram.path.link = Some(info.ipi6_ifindex);
                }
                other => datagram.stamp = datagram.stamp.or(stamp(&other)),
            }
        }
        Ok(Some(datagram))
    }
}

/// Returns the path of a target's packets.
///
/// # Errors
/// If its interface does not exist.
pub(super) fn path(target: &BfdTarget) -> io::Result<SessionPath> {
    Ok(SessionPath {
        multihop: is_multihop(target),
        remote: target.address,
        local: target.source,
        link: link(target)?,
    })
}

/// Opens a socket that sends to a target. `seed` selects the source port.
///
/// # Errors
/// If the kernel rejects it, or no port is free.
pub(super) fn tx_socket(target: &BfdTarget, seed: u64) -> io::Result<UdpSocket> {
    let socket = open(target.address, target.device.as_deref())?;
    let source = target.source.unwrap_or(unspecified(target.address));
    let scope = link(target)?.unwrap_or(0);
    let mut bound = Err(io::ErrorKind::AddrInUse.into());
    for step in 0..PORT_ATTEMPTS {
        let port = FIRST_SOURCE_PORT + (seed.wrapping_add(step) % SOURCE_PORTS) as u16;
        bound = socket.bind(&with_scope(source, port, scope).into());
        if bound.as_ref().map_or_else(|error| error.kind() != io::ErrorKind::AddrInUse, |()| true) {
            break;
        }
    }
    bound?;
    let port = if is_multihop(target) { MULTIHOP } else { SINGLE_HOP };
    socket.connect(&with_scope(target.address, port, scope).into())?;
    Ok(socket.into())
}

fn open(family: IpAddr, device: Option<&str>) -> io::Result<Socket> {
    let domain = if family.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if family.is_ipv4() {
        socket.set_ttl_v4(TTL)?;
        socket.set_tos_v4(TRAFFIC_CLASS)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(TTL)?;
        socket.set_tclass_v6(TRAFFIC_CLASS)?;
    }
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    Ok(socket)
}

/// Returns the interface of a link-local target.
fn link(target: &BfdTarget) -> io::Result<Option<u32>> {
    match &target.device {
        Some(device) if is_link_local(target.address) => Ok(Some(if_nametoindex(device.as_str())?)),
        _ => Ok(None),
    }
}

fn with_scope(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            SocketAddrV6::new(address, port, 0, scope).into()
        }
        address => SocketAddr::new(address, port),
    }
}

fn is_multihop(target: &BfdTarget) -> bool {
    matches!(target.hops, Hops::Multi { .. })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
