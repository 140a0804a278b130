//! Discovery of unnumbered BGP peers: an ICMPv6 socket on each configured interface and the kernel's neighbor
//! table, around [`RouterDiscovery`].

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

/// The maximum length of a received packet; no advertisement on Ethernet is longer.
const BUFFER: usize = 1500;
/// The interval of attempts to open an interface that is missing or not usable.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The hop limit of a packet that no router has forwarded (RFC 4861, section 4).
const HOP_LIMIT: u32 = 255;

/// The discovered routers, by interface name.
pub type DiscoveredRouters = BTreeMap<String, DiscoveredRouter>;

/// The router on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoveredRouter {
    /// Its link-local address.
    pub router: Ipv6Addr,
    /// The number of other candidates on the interface.
    pub others: usize,
}

/// The discovery of routers on all interfaces with an unnumbered peer.
pub struct UnnumberedRouters {
    handle: Handle,
    seed: u64,
    found: watch::Sender<DiscoveredRouters>,
    changes: watch::Receiver<DiscoveredRouters>,
    watched: BTreeMap<String, Task>,
}

/// A task that is aborted when dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl UnnumberedRouters {
    /// Opens a netlink connection; must be called inside a runtime. Watches no interface yet. `seed` spreads
    /// the times of sent packets.
    ///
    /// # Errors
    /// When the netlink socket cannot be opened.
    pub fn new(seed: u64) -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let (found, changes) = watch::channel(DiscoveredRouters::new());
        Ok(Self { handle, seed, found, changes, watched: BTreeMap::new() })
    }

    /// Watches exactly these interfaces from now on. Must be called inside a runtime.
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

    /// Returns the discovered routers.
    pub fn found(&self) -> DiscoveredRouters {
        self.found.borrow().clone()
    }

    /// Waits until the discovered routers change.
    pub async fn changed(&mut self) {
        // Cannot fail: self holds the sender.
        let _ = self.changes.changed().await;
    }
}

/// The discovery on one interface.
struct InterfaceWatcher {
    interface: String,
    handle: Handle,
    found: watch::Sender<DiscoveredRouters>,
}

impl InterfaceWatcher {
    async fn run(self, seed: u64) {
        let mut logged = None;
        loop {
            let failure = match WatchedLink::open(&self.interface) {
                Ok(link) => self.watch(&link, seed).await,
                Err(error) => Err(error),
            };
            let failure = failure.err().map(|error| error.to_string());
            if let Some(error) = failure.as_ref().filter(|_| failure != logged) {
                tracing::warn!(interface = %self.interface, %error, "cannot discover routers, which requires CAP_NET_RAW; retrying");
            }
            logged = failure;
            self.publish(None);
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Runs the discovery until the interface is deleted or recreated.
    async fn watch(&self, link: &WatchedLink, seed: u64) -> io::Result<()> {
        let start = Instant::now();
        let mut discovery = RouterDiscovery::new(seed ^ u64::from(link.index), Duration::ZERO);
        let mut buffer = [0; BUFFER];
        while if_nametoindex(self.interface.as_str()) == Ok(link.index) {
            while let Some(packet) = discovery.poll_packet(start.elapsed()) {
                if let Err(error) = link.send(&packet) {
                    // The interface is down, or has no link-local address yet.
                    tracing::debug!(interface = %self.interface, %error, "cannot send an ICMPv6 packet");
                }
            }
            self.read_neighbors(link.index, &mut discovery).await;
            if let Some(router) = discovery.router().filter(|_| discovery.others() > 0) {
                self.probe(link.index, router).await;
            }
            let due = start + discovery.next_deadline();
            loop {
                let discovered = |router| DiscoveredRouter { router, others: discovery.others() };
                self.publish(discovery.router().map(discovered));
                tokio::select! {
                    received = link.receive(&mut buffer) => self.handle(received?, &buffer, &mut discovery),
                    () = tokio::time::sleep_until(due.into()) => break,
                }
            }
        }
        Ok(())
    }

    fn handle(&self, received: Received, buffer: &[u8], discovery: &mut RouterDiscovery) {
        let bytes = buffer.get(..received.octets).unwrap_or(buffer);
        if let Err(error) = discovery.handle_packet(received.source, received.hop_limit, bytes) {
            tracing::trace!(interface = %self.interface, source = %received.source, %error, "ignored a packet");
        }
    }

    async fn read_neighbors(&self, index: u32, discovery: &mut RouterDiscovery) {
        let mut entries = self.handle.neighbours().get().execute();
        loop {
            match entries.try_next().await {
                Ok(Some(entry)) if entry.header.ifindex == index => {
                    if let Some((address, state)) = router_entry(&entry) {
                        discovery.handle_neighbor(address, state);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "cannot list the kernel's neighbor table");
                    break;
                }
            }
        }
    }

    /// Makes the kernel probe a router that it would consider reachable for up to another minute: it may be
    /// gone, since there is another candidate.
    async fn probe(&self, index: u32, router: Ipv6Addr) {
        let request = self.handle.neighbours().add(index, router.into());
        let request = request.state(NeighbourState::Probe).flags(NeighbourFlags::Router).replace();
        if let Err(error) = request.execute().await {
            tracing::debug!(interface = %self.interface, %error, "cannot make the kernel probe a router");
        }
    }

    fn publish(&self, router: Option<DiscoveredRouter>) {
        self.found.send_if_modified(|found| {
            let before = match router {
                Some(router) => found.insert(self.interface.clone(), router),
                None => found.remove(&self.interface),
            };
            before != router
        });
    }
}

/// Returns the state of a router's neighbor entry; `None` for other hosts.
fn router_entry(entry: &NeighbourMessage) -> Option<(Ipv6Addr, NeighborState)> {
    use NeighbourState::{Delay, Failed, Incomplete, Permanent, Probe, Reachable, Stale};
    let address = entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(*address),
        _ => None,
    })?;
    let is_router = entry.header.flags.contains(NeighbourFlags::Router);
    match entry.header.state {
        // The next packet restarts the resolution of a failed entry, which then is incomplete most of the
        // time.
        Failed | Incomplete => Some((address, NeighborState::Failed)),
        Reachable | Stale | Delay | Probe | Permanent if is_router => Some((address, NeighborState::Router)),
        _ => None,
    }
}

/// An interface with a raw ICMPv6 socket.
struct WatchedLink {
    index: u32,
    /// A raw socket; tokio's wrapper serves for any datagram socket.
    socket: UdpSocket,
}

/// A received packet; its octets are in the caller's buffer.
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
    let hop_limit = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
        _ => None,
    });
    Ok(Received {
        octets: message.bytes,
        source: message.address.map_or(Ipv6Addr::UNSPECIFIED, |address| address.ip()),
        // Without the ancillary message, treat the packet as forwarded.
        hop_limit: hop_limit.unwrap_or(0),
    })
}
