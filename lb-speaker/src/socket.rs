//! TCP sockets for BGP: with TCP-MD5 (RFC 2385), a source address, and a minimum TTL (RFC 5082).
#![allow(unsafe_code, reason = "two socket options that no crate provides")]

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::desired::{MAX_KEY_LEN, Md5Key, Transport};

/// Required by routers with TTL security, harmless to others (RFC 5082, section 3).
const TTL: u32 = 255;
/// DSCP CS6, network control, as routers use for BGP (RFC 4594, section 3.2).
const TRAFFIC_CLASS: u32 = 48 << 2;
/// Maximum number of connections waiting to be accepted.
const BACKLOG: i32 = 128;

/// Reasons for a failed connection or listener.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// The kernel rejects the socket or one of its options.
    #[error("cannot set up the socket: {0}")]
    Option(#[source] io::Error),
    /// TCP-MD5 is not available.
    #[error("cannot set the TCP-MD5 password: {0}; check that the kernel has CONFIG_TCP_MD5SIG")]
    Md5Key(#[source] io::Error),
    /// The interface or VRF does not exist or is not permitted.
    #[error("cannot use interface or VRF {name}: {source}")]
    Device {
        /// Its name.
        name: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The address or port is not available.
    #[error("cannot bind to {address}: {source}{}", hint(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
    /// The peer refuses or does not answer.
    #[error("{remote}: {source}")]
    Connect {
        /// The peer.
        remote: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Connects to a peer, without a time-out of its own.
///
/// # Errors
/// See [`SocketError`].
pub(super) async fn connect(transport: &Transport) -> Result<TcpStream, SocketError> {
    let remote = remote(transport)?;
    let socket = open(remote.ip(), transport.device.as_deref())?;
    if let Some(key) = &transport.key {
        set_md5_key(&socket, remote.ip(), Some(key), None).map_err(SocketError::Md5Key)?;
    }
    if let Some(source) = transport.source {
        let address = SocketAddr::new(source, 0);
        socket.bind(&address.into()).map_err(|source| SocketError::Bind { address, source })?;
    }
    set_minimum_ttl(&socket, remote.ip(), transport).map_err(SocketError::Option)?;
    TcpSocket::from_std_stream(socket.into())
        .connect(remote)
        .await
        .map_err(|source| SocketError::Connect { remote, source })
}

/// Explains "permission denied" for an address.
fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "; a port below 1024 requires CAP_NET_BIND_SERVICE"
    } else {
        ""
    }
}

/// Listens on all addresses of one family.
///
/// # Errors
/// See [`SocketError`].
pub(super) fn listen(any: IpAddr, port: u16, device: Option<&str>) -> Result<TcpListener, SocketError> {
    let address = SocketAddr::new(any, port);
    let socket = open(any, device)?;
    // A successor must not wait for the predecessor's connections in TIME_WAIT.
    socket.set_reuse_address(true).map_err(SocketError::Option)?;
    socket.bind(&address.into()).map_err(|source| SocketError::Bind { address, source })?;
    socket.listen(BACKLOG).map_err(SocketError::Option)?;
    TcpListener::from_std(socket.into()).map_err(SocketError::Option)
}

/// Sets the minimum TTL of received segments.
///
/// # Errors
/// If the kernel rejects it.
pub(super) fn set_minimum_ttl(socket: &impl AsFd, remote: IpAddr, transport: &Transport) -> io::Result<()> {
    let Some(minimum) = transport.minimum_ttl else { return Ok(()) };
    let minimum = libc::c_int::from(minimum);
    match remote {
        IpAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &minimum),
        IpAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &minimum),
    }
}

/// Sets the TCP-MD5 key for a peer; `None` removes it. On a listener in a VRF, the peer is in that VRF.
///
/// # Errors
/// If the kernel rejects it.
pub(super) fn set_md5_key(
    socket: &impl AsFd,
    remote: IpAddr,
    key: Option<&Md5Key>,
    device: Option<&str>,
) -> io::Result<()> {
    let signature = Md5Signature::new(remote, key, device)?;
    let name = if device.is_some() { libc::TCP_MD5SIG_EXT } else { libc::TCP_MD5SIG };
    match set(socket, libc::IPPROTO_TCP, name, &signature) {
        // There was no key.
        Err(error) if key.is_none() && error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        outcome => outcome,
    }
}

/// Returns the peer's address, with the interface if link-local.
fn remote(transport: &Transport) -> Result<SocketAddr, SocketError> {
    match (transport.address, &transport.device) {
        (IpAddr::V6(address), Some(device)) if address.is_unicast_link_local() => {
            let index =
                index_of(device).map_err(|source| SocketError::Device { name: device.clone(), source })?;
            Ok(SocketAddrV6::new(address, transport.port, 0, index).into())
        }
        (address, _) => Ok(SocketAddr::new(address, transport.port)),
    }
}

fn open(family: IpAddr, device: Option<&str>) -> Result<Socket, SocketError> {
    let domain = if family.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(SocketError::Option)?;
    configure(&socket, family).map_err(SocketError::Option)?;
    if let Some(name) = device {
        let error = |source| SocketError::Device { name: name.to_owned(), source };
        socket.bind_device(Some(name.as_bytes())).map_err(error)?;
    }
    Ok(socket)
}

fn configure(socket: &Socket, family: IpAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // Messages are written as a whole: waiting for more gains nothing.
    socket.set_tcp_nodelay(true)?;
    if family.is_ipv4() {
        socket.set_ttl_v4(TTL)?;
        socket.set_tos_v4(TRAFFIC_CLASS)
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(TTL)?;
        socket.set_tclass_v6(TRAFFIC_CLASS)
    }
}

fn index_of(device: &str) -> io::Result<u32> {
    Ok(if_nametoindex(device)?)
}

/// The kernel's `struct tcp_md5sig`, which `libc` does not have.
#[repr(C, align(8))]
struct Md5Signature {
    /// A `struct sockaddr_storage`: family and address; the kernel reads nothing else.
    address: [u8; 128],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: u32,
    key: [u8; MAX_KEY_LEN],
}

const _: () = assert!(size_of::<Md5Signature>() == 216);

impl Md5Signature {
    /// `TCP_MD5SIG_FLAG_IFINDEX`: the interface is given.
    const HAS_INTERFACE: u8 = 2;

    fn new(remote: IpAddr, key: Option<&Md5Key>, device: Option<&str>) -> io::Result<Self> {
        let mut signature = Self {
            address: [0; 128],
            flags: if device.is_some() { Self::HAS_INTERFACE } else { 0 },
            prefix_length: 0,
            key_length: 0,
            interface: device.map_or(Ok(0), index_of)?,
            key: [0; MAX_KEY_LEN],
        };
        let (family, at, octets) = match remote {
            IpAddr::V4(address) => (libc::AF_INET, 4, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, 8, address.octets().to_vec()),
        };
        let [low, high] = (family as u16).to_ne_bytes();
        (signature.address[0], signature.address[1]) = (low, high);
        for (to, from) in signature.address[at..].iter_mut().zip(octets) {
            *to = from;
        }
        let key = key.map_or(&[][..], Md5Key::octets);
        signature.key_length = key.len() as u16;
        for (to, from) in signature.key.iter_mut().zip(key) {
            *to = *from;
        }
        Ok(signature)
    }
}

fn set<T>(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads `size_of::<T>()` bytes from `value`, which is a live `T` without padding that
    // matters to it, and keeps no pointer.
    let outcome = unsafe {
        libc::setsockopt(
            descriptor,
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests;
