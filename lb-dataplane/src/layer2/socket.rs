//! The packet sockets of the announcer: one for ARP and one for Neighbor Discovery on each link.
#![allow(unsafe_code, reason = "no library builds the address of a packet socket")]

use std::io::{self, Read};

use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

/// EtherTypes in wire order.
const ARP: u16 = (libc::ETH_P_ARP as u16).to_be();
const IPV6: u16 = (libc::ETH_P_IPV6 as u16).to_be();

/// Bytes of a frame that are read: a claim is in the first hundred.
pub(super) const SNAP: usize = 256;

/// Accepts ICMPv6 Neighbor Solicitations and Advertisements (135, 136) directly behind the IPv6 header:
///
/// ```text
/// ldb [20]; jne #58, drop; ldb [54]; jeq #135, keep; jne #136, drop; keep: ret #256; drop: ret #0
/// ```
const FILTER: [SockFilter; 7] = [
    SockFilter::new(0x30, 0, 0, 20),
    SockFilter::new(0x15, 0, 4, 58),
    SockFilter::new(0x30, 0, 0, 54),
    SockFilter::new(0x15, 1, 0, 135),
    SockFilter::new(0x15, 0, 1, 136),
    SockFilter::new(0x06, 0, 0, SNAP as u32),
    SockFilter::new(0x06, 0, 0, 0),
];

/// The sockets of a link.
pub(super) struct LinkSockets {
    arp: Socket,
    ndp: Socket,
}

impl LinkSockets {
    /// Opens the sockets on an interface.
    ///
    /// # Errors
    /// Typically without CAP_NET_RAW, or when the interface has gone.
    pub(super) fn open(interface: u32) -> io::Result<Self> {
        // Without a protocol, a socket receives nothing until it is bound: no frame of another interface.
        let [arp, ndp] = [packet_socket()?, packet_socket()?];
        ndp.attach_filter(&FILTER)?;
        arp.bind(&address(interface, ARP)?)?;
        ndp.bind(&address(interface, IPV6)?)?;
        Ok(Self { arp, ndp })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the link is down, or its queue is full.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        let is_arp = frame.get(12..14) == Some(&ARP.to_ne_bytes());
        let socket = if is_arp { &self.arp } else { &self.ndp };
        socket.send(frame).map(drop)
    }

    /// Returns a received frame, cut to the buffer; `None` if there is none.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8; SNAP]) -> Option<&'b [u8]> {
        for mut socket in [&self.arp, &self.ndp] {
            if let Ok(length) = socket.read(buffer) {
                return buffer.get(..length);
            }
        }
        None
    }
}

fn packet_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Returns the address of all frames of a protocol, in wire order, on an interface.
fn address(interface: u32, protocol: u16) -> io::Result<SockAddr> {
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    let fill = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol,
            sll_ifindex: index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the storage is as large and as aligned as any socket address.
        unsafe { storage.cast::<libc::sockaddr_ll>().write(address) };
        // SAFETY: the pointer is valid; the length is that of the address just written.
        unsafe { length.write(size_of::<libc::sockaddr_ll>() as libc::socklen_t) };
        Ok(())
    };
    // SAFETY: the closure initializes address and length.
    let ((), address) = unsafe { SockAddr::try_init(fill) }?;
    Ok(address)
}
