//! SCTP associations (RFC 9260) on raw sockets: the part of the protocol that shows whether an association is
//! alive.
//!
//! The lab's kernel may lack SCTP, but its connection tracking follows associations nonetheless, including
//! checksums and verification tags. So this module implements both ends: the four-way handshake, heartbeats,
//! and an ABORT for packets at a pod that does not know the association.

mod packet;
mod server;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::packet::{SctpChunk, SctpPacket, SctpSocket, kind};
use crate::lab::LabHost;

pub use self::server::SctpServer;

/// The first association's port.
const FIRST_PORT: u16 = 20_000;
/// Interval of retransmissions in the handshake, and of heartbeats.
const INTERVAL: Duration = Duration::from_millis(100);

/// The results of a load's associations.
#[derive(Clone, Debug, Default)]
pub struct SctpReport {
    /// Associations that were established at some time.
    pub opened: usize,
    /// Associations ended by an ABORT.
    pub aborted: usize,
    /// Associations whose last heartbeats were not answered.
    pub silent: usize,
    /// Heartbeats that were answered.
    pub answered: u64,
    /// Open associations by pod.
    pub by_pod: BTreeMap<String, usize>,
}

/// Associations that send heartbeats until they are stopped.
#[derive(Debug)]
pub struct SctpLoad {
    stop: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    thread: JoinHandle<Result<SctpReport>>,
}

impl SctpLoad {
    /// Opens `count` associations from a host to an address, each from a port of its own.
    ///
    /// # Errors
    /// When the kernel gives no raw socket.
    pub fn start(host: &LabHost, target: SocketAddrV4, count: u16) -> Result<Self> {
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, opened) = (Arc::clone(&stop), Arc::clone(&open));
        let thread = host.thread(move || Associations::new(target, count)?.run(&stopped, &opened))?;
        Ok(Self { stop, open, thread })
    }

    /// Waits until this many are open.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn wait_open(&self, count: usize, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        while self.open.load(Ordering::Relaxed) < count {
            let open = self.open.load(Ordering::Relaxed);
            ensure!(Instant::now() < until, "{open} of {count} associations are open after {within:?}");
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }

    /// Ends the load.
    ///
    /// # Errors
    /// When a socket has failed.
    pub fn finish(self) -> Result<SctpReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the associations' thread panicked"))?
    }
}

/// The state of an association (COOKIE-WAIT, COOKIE-ECHOED, ESTABLISHED, or aborted).
#[derive(Clone, Debug, PartialEq, Eq)]
enum AssociationState {
    CookieWait,
    CookieEchoed { cookie: Vec<u8> },
    Open,
    Aborted,
}

#[derive(Clone, Debug)]
struct Association {
    state: AssociationState,
    /// The server's verification tag, once it is known.
    tag: u32,
    pod: String,
    sent: u64,
    heard: u64,
    answered: u64,
}

struct Associations {
    endpoint: SctpSocket,
    target: SocketAddrV4,
    all: Vec<Association>,
}

impl Associations {
    fn new(target: SocketAddrV4, count: u16) -> Result<Self> {
        let endpoint = SctpSocket::open()?;
        let fresh = Association {
            state: AssociationState::CookieWait,
            tag: 0,
            pod: String::new(),
            sent: 0,
            heard: 0,
            answered: 0,
        };
        Ok(Self { endpoint, target, all: vec![fresh; usize::from(count)] })
    }

    fn run(mut self, stop: &AtomicBool, open: &AtomicUsize) -> Result<SctpReport> {
        while !stop.load(Ordering::Relaxed) {
            for place in 0..self.all.len() {
                self.send(place)?;
            }
            let until = Instant::now() + INTERVAL;
            while Instant::now() < until {
                if let Some((from, packet)) = self.endpoint.receive()? {
                    self.take(from, &packet)?;
                }
            }
            let count = self.all.iter().filter(|client| client.state == AssociationState::Open).count();
            open.store(count, Ordering::Relaxed);
        }
        Ok(self.report())
    }

    fn send(&mut self, place: usize) -> Result<()> {
        let port = FIRST_PORT + u16::try_from(place)?;
        let client = &mut self.all[place];
        let (tag, chunk) = match &client.state {
            AssociationState::Aborted => return Ok(()),
            AssociationState::CookieWait => (0, SctpChunk::init(kind::INIT, own_tag(port))),
            AssociationState::CookieEchoed { cookie } => {
                (client.tag, SctpChunk::new(kind::COOKIE_ECHO, cookie))
            }
            AssociationState::Open => {
                client.sent += 1;
                (client.tag, SctpChunk::heartbeat(kind::HEARTBEAT, client.sent))
            }
        };
        let packet = SctpPacket { source: port, destination: self.target.port(), tag, chunk };
        self.endpoint.send(*self.target.ip(), &packet)
    }

    fn take(&mut self, from: Ipv4Addr, packet: &SctpPacket) -> Result<()> {
        let place = usize::from(packet.destination.wrapping_sub(FIRST_PORT));
        let Some(client) = self.all.get_mut(place) else { return Ok(()) };
        if from != *self.target.ip() || packet.source != self.target.port() {
            return Ok(());
        }
        match (packet.chunk.kind, &client.state) {
            (kind::ABORT, _) => client.state = AssociationState::Aborted,
            (kind::INIT_ACK, AssociationState::CookieWait) => {
                let (tag, cookie) = packet.chunk.cookie().context("an INIT ACK without a cookie")?;
                client.pod = server::pod_of(&cookie);
                client.tag = tag;
                client.state = AssociationState::CookieEchoed { cookie };
                self.send(place)?;
            }
            (kind::COOKIE_ACK, AssociationState::CookieEchoed { .. }) => {
                client.state = AssociationState::Open
            }
            (kind::HEARTBEAT_ACK, AssociationState::Open) => {
                client.answered += 1;
                client.heard = client.heard.max(packet.chunk.beat().unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    fn report(self) -> SctpReport {
        let mut report = SctpReport::default();
        for client in self.all {
            report.answered += client.answered;
            report.opened += usize::from(client.sent > 0);
            report.aborted += usize::from(client.state == AssociationState::Aborted);
            if client.state == AssociationState::Open {
                // Half a second of heartbeats.
                report.silent += usize::from(client.heard + 5 < client.sent);
                *report.by_pod.entry(client.pod).or_default() += 1;
            }
        }
        report
    }
}

/// Returns a tag for a port: conntrack accepts no zero.
fn own_tag(port: u16) -> u32 {
    0x5a00_0000 | u32::from(port)
}

/// Returns an address as an IPv4 address.
///
/// # Errors
/// When it is IPv6.
pub fn v4(address: SocketAddr) -> Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => anyhow::bail!("{address} is not IPv4"),
    }
}
