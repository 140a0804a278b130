//! Routers on interfaces that are named instead of an address: an ICMPv6 socket on each, and the kernel's table of
//! neighbours, around [`RouterDiscovery`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use lb_bgp::unnumbered::{NeighborState, OutgoingPacket, RouterDiscovery};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use nix::cmsg_space;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt::Ipv6RecvHopLimit,
};
use rtnetlink::Handle;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Octets of a packet that are read: more than any advertisement on an Ethernet has.
const BUFFER: usize = 1500;
/// How long to wait for an interface that is not there, or not to be had.
const AGAIN: Duration = Duration::from_secs(1);
/// RFC 4861 section 4: what comes with less has come through a router.
const HOP_LIMIT: u32 = 255;

/// The routers that are known, by the names of their interfaces.
pub type DiscoveredRouters = BTreeMap<String, DiscoveredRouter>;

/// The router on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoveredRouter {
    /// Its link-local address.
    pub router: Ipv6Addr,
    /// How many others could be it.
    pub others: usize,
}

/// Who looks for routers.
pub struct UnnumberedRouters {
    handle: Handle,
    seed: u64,
    found: watch::Sender<DiscoveredRouters>,
    news: watch::Receiver<DiscoveredRouters>,
    watched: BTreeMap<String, Task>,
}

/// Ends with its handle.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl UnnumberedRouters {
    /// Looks at no interface yet; must be called inside a runtime. `seed` spreads what is sent.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn new(seed: u64) -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let (found, news) = watch::channel(DiscoveredRouters::new());
        Ok(Self { handle, seed, found, news, watched: BTreeMap::new() })
    }

    /// Looks at these interfaces from now on, and at no others. Must be called inside a runtime.
    pub fn watch(&mut self, interfaces: &BTreeSet<String>) {
        self.watched.retain(|interface, _| interfaces.contains(interface));
        self.found.send_if_modified(|found| {
            let before = found.len();
            found.retain(|interface, _| interfaces.contains(interface));
            found.len() != before
        });
        for interface in interfaces {
            self.watched.entry(interface.clone()).or_insert_with(|| {
                let watcher = InterfaceWatcher {
                    interface: interface.clone(),
                    handle: self.handle.clone(),
                    found: self.found.clone(),
                };
                Task(tokio::spawn(watcher.run(self.seed)))
            });
        }
    }

    /// The routers that are known now.
    pub fn found(&self) -> DiscoveredRouters {
        self.found.borrow().clone()
    }

    /// Waits until another router is known, or one no longer.
    pub async fn changed(&mut self) {
        // The sender is this value's own.
        let _ = self.news.changed().await;
    }
}

/// Who looks at one interface.
struct InterfaceWatcher {
    interface: String,
    handle: Handle,
    found: watch::Sender<DiscoveredRouters>,
}

impl InterfaceWatcher {
    async fn run(self, seed: u64) {
        let mut said = None;
        loop {
            let failure = match WatchedLink::open(&self.interface) {
                Ok(link) => self.look(&link, seed).await,
                Err(error) => Err(error),
            };
            let failure = failure.err().map(|error| error.to_string());
            if let Some(error) = failure.as_ref().filter(|_| failure != said) {
                tracing::warn!(interface = %self.interface, %error, "cannot look for a router, which takes CAP_NET_RAW");
            }
            said = failure;
            self.publish(None);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Until the interface is not the same any more.
    async fn look(&self, link: &WatchedLink, seed: u64) -> io::Result<()> {
        let start = Instant::now();
        let mut discovery = RouterDiscovery::new(seed ^ u64::from(link.index), Duration::ZERO);
        let mut buffer = [0; BUFFER];
        while if_nametoindex(self.interface.as_str()) == Ok(link.index) {
            while let Some(packet) = discovery.poll_packet(start.elapsed()) {
                if let Err(error) = link.send(&packet) {
                    // Down, or without a link-local address as yet.
                    tracing::debug!(interface = %self.interface, %error, "cannot say that we are here");
                }
            }
            self.ask_kernel(link.index, &mut discovery).await;
            if let Some(router) = discovery.router().filter(|_| discovery.others() > 0) {
                self.probe(link.index, router).await;
            }
            let due = start + discovery.next_deadline();
            loop {
                let seen = |router| DiscoveredRouter { router, others: discovery.others() };
                self.publish(discovery.router().map(seen));
                tokio::select! {
                    received = link.receive(&mut buffer) => self.take(received?, &buffer, &mut discovery),
                    () = tokio::time::sleep_until(due.into()) => break,
                }
            }
        }
        Ok(())
    }

    fn take(&self, came: Received, buffer: &[u8], discovery: &mut RouterDiscovery) {
        let bytes = buffer.get(..came.octets).unwrap_or(buffer);
        if let Err(refusal) = discovery.handle_packet(came.source, came.hop_limit, bytes) {
            tracing::trace!(interface = %self.interface, source = %came.source, "{refusal}");
        }
    }

    async fn ask_kernel(&self, index: u32, discovery: &mut RouterDiscovery) {
        let mut entries = self.handle.neighbours().get().execute();
        loop {
            match entries.try_next().await {
                Ok(Some(entry)) if entry.header.ifindex == index => {
                    if let Some((address, neighbour)) = router_entry(&entry) {
                        discovery.handle_neighbor(address, neighbour);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "the kernel does not tell its neighbours");
                    break;
                }
            }
        }
    }

    /// Has the kernel ask for a router that it believes in for up to a minute more: it may be gone, since there is
    /// another one.
    async fn probe(&self, index: u32, router: Ipv6Addr) {
        let request = self.handle.neighbours().add(index, router.into());
        let request = request.state(NeighbourState::Probe).flags(NeighbourFlags::Router).replace();
        if let Err(error) = request.execute().await {
            tracing::debug!(interface = %self.interface, %error, "cannot have the kernel ask for a router");
        }
    }

    fn publish(&self, seen: Option<DiscoveredRouter>) {
        self.found.send_if_modified(|found| {
            let before = match seen {
                Some(seen) => found.insert(self.interface.clone(), seen),
                None => found.remove(&self.interface),
            };
            before != seen
        });
    }
}

/// What the table of neighbours says of a router; `None` of others.
fn router_entry(entry: &NeighbourMessage) -> Option<(Ipv6Addr, NeighborState)> {
    use NeighbourState::{Delay, Failed, Incomplete, Permanent, Probe, Reachable, Stale};
    let address = entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(*address),
        _ => None,
    })?;
    let is_router = entry.header.flags.contains(NeighbourFlags::Router);
    match entry.header.state {
        // An entry that failed is asked for again with the next packet for it, and is incomplete for most of the time.
        Failed | Incomplete => Some((address, NeighborState::Failed)),
        Reachable | Stale | Delay | Probe | Permanent if is_router => Some((address, NeighborState::Router)),
        _ => None,
    }
}

/// A socket on one interface.
struct WatchedLink {
    index: u32,
    /// Of raw ICMPv6: to tokio, a socket is a socket.
    socket: UdpSocket,
}

/// A packet as it came; its octets are in the caller's buffer.
struct Received {
    octets: usize,
    source: Ipv6Addr,
    hop_limit: u8,
}

impl WatchedLink {
    fn open(interface: &str) -> io::Result<Self> {
        let index = if_nametoindex(interface)?;
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_multicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_if_v6(index)?;
        setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
        Ok(Self { index, socket: UdpSocket::from_std(socket.into())? })
    }

    fn send(&self, packet: &OutgoingPacket) -> io::Result<()> {
        let to = SocketAddrV6::new(packet.destination, 0, 0, self.index);
        self.socket.try_send_to(packet.bytes, to.into()).map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            self.socket.readable().await?;
            match self.socket.try_io(Interest::READABLE, || read(&self.socket, buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }
}

fn read(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = cmsg_space!(libc::c_int);
    let mut parts = [IoSliceMut::new(buffer)];
    let descriptor = socket.as_raw_fd();
    let message = recvmsg::<SockaddrIn6>(descriptor, &mut parts, Some(&mut control), MsgFlags::empty())?;
    let hop_limit = message.cmsgs()?.find_map(|said| match said {
        ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
        _ => None,
    });
    Ok(Received {
        octets: message.bytes,
        source: message.address.map_or(Ipv6Addr::UNSPECIFIED, |address| address.ip()),
        // What does not say how far it has come has come too far.
        hop_limit: hop_limit.unwrap_or(0),
    })
}
