//! The BFD thread: drives all sessions and their sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use lb_bfd::demux::Demultiplexer;
use lb_bfd::echo::BfdPortPacket;
use lb_bfd::session::{Discriminator, PacketError, ReceivedPacket};
use lb_bfd::state::BfdState;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use tokio::sync::oneshot;

use super::addresses;
use super::echo::EchoSocket;
use super::kernel_sessions::{BfdKernel, KernelSessions};
use super::priority;
use super::rx_timestamps::RxTimestamps;
use super::session_io::SessionIo;
use super::socket::{self, Datagram, RxKey};
use super::target::{BfdTarget, BfdTargets};
use super::view::{BfdSnapshot, BfdView};
use crate::identity::hash;
use lb_runtime::watchdog::Heart;

/// Receive buffer: a control packet and a margin; longer packets are judged by their start.
const BUFFER: usize = 128;
/// Maximum number of packets read from one socket before the next socket and the timers. A burst ends with
/// the first packet that arrived after it began; so all packets from before the timers' time have been read
/// when timers are checked, and later ones wait. By default a socket holds less than 300 packets; this bound
/// is for larger buffers or missing timestamps. At some microseconds per packet it takes a fraction of 10 ms,
/// the shortest interval.
const BURST: usize = 1024;
/// Maximum sleep: a socket that could not be opened is retried.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Called with a peer's name and whether it is reachable.
type StateReport = Box<dyn Fn(&str, bool) + Send>;

/// A command to the thread.
#[derive(Debug)]
pub(super) enum BfdCommand {
    /// Sets all targets.
    SetTargets(BfdTargets),
    /// Ends the thread, without a word to the routers.
    Leave,
    /// Requests a snapshot.
    View(oneshot::Sender<BfdView>),
}

/// The thread's state.
pub(super) struct BfdThread {
    start: Instant,
    seed: u64,
    wake_rx: UnixStream,
    report: StateReport,
    /// The sessions in the XDP program; `None` if not available.
    kernel_sessions: Option<KernelSessions>,
    sessions: BTreeMap<Discriminator, SessionIo>,
    demultiplexer: Demultiplexer<Discriminator>,
    timestamps: RxTimestamps,
    rx_sockets: BTreeMap<RxKey, UdpSocket>,
    /// Open while any target uses echoes.
    echo_socket: Option<EchoSocket>,
    /// Packets that matched no session.
    unknown: u64,
    /// Socket errors that have been logged.
    reported: BTreeSet<String>,
    /// When to update the program's addresses even without a known change: a route, and with it the local
    /// address, may have changed.
    addresses_due: Duration,
    /// When targets were first set. Until then, sessions of an earlier agent stay as they are.
    targets_since: Option<Duration>,
    buffer: [u8; BUFFER],
}

impl BfdThread {
    pub(super) fn new(
        seed: u64,
        kernel: Option<BfdKernel>,
        wake_rx: UnixStream,
        report: StateReport,
    ) -> Self {
        let start = Instant::now();
        Self {
            start,
            seed,
            wake_rx,
            report,
            kernel_sessions: kernel.and_then(|kernel| KernelSessions::new(kernel, start)),
            sessions: BTreeMap::new(),
            demultiplexer: Demultiplexer::default(),
            timestamps: RxTimestamps::new(start),
            rx_sockets: BTreeMap::new(),
            echo_socket: None,
            unknown: 0,
            reported: BTreeSet::new(),
            addresses_due: Duration::ZERO,
            targets_since: None,
            buffer: [0; BUFFER],
        }
    }

    /// Runs until the handle is dropped.
    pub(super) fn run(mut self, commands: &Receiver<BfdCommand>, heart: &Heart) {
        if let Err(error) = priority::raise_priority() {
            tracing::debug!(%error, "BFD runs without real-time priority");
        }
        loop {
            heart.beat();
            loop {
                match commands.try_recv() {
                    Ok(BfdCommand::Leave) | Err(TryRecvError::Disconnected) => return,
                    Ok(command) => self.handle_command(command),
                    Err(TryRecvError::Empty) => break,
                }
            }
            self.run_once();
            self.sleep();
        }
    }

    /// Handles received packets and expired timers.
    pub(super) fn run_once(&mut self) {
        self.listen();
        let now = self.timestamps.sample();
        if let Some(kernel_sessions) = &mut self.kernel_sessions {
            kernel_sessions.note_alive(now);
            if let Some(since) = self.targets_since {
                kernel_sessions.forget_left(now.saturating_sub(since));
            }
        }
        self.receive(now);
        self.receive_echoes(now);
        for (discriminator, session_io) in &mut self.sessions {
            session_io.apply_kernel_notes(self.kernel_sessions.as_ref(), now);
            session_io.session.handle_time(now);
            let is_sent = session_io.send(self.seed, self.echo_socket.as_ref(), now);
            if let Some(kernel_sessions) = &mut self.kernel_sessions {
                if is_sent {
                    kernel_sessions.note_sent(*discriminator, now);
                }
                session_io.update_kernel_entry(kernel_sessions);
            }
        }
        self.report_changes();
        self.update_addresses(now);
    }

    /// Updates the addresses from which the program passes packets.
    fn update_addresses(&mut self, now: Duration) {
        // Before the first targets, the addresses of an earlier agent stay.
        let is_due = self.targets_since.is_some() && now >= self.addresses_due;
        let Some(kernel_sessions) = self.kernel_sessions.as_mut().filter(|_| is_due) else { return };
        self.addresses_due = now + MAX_SLEEP;
        let addresses = self.sessions.iter().map(|(discriminator, session_io)| {
            let key = RxKey::of(&session_io.target);
            session_io.addresses(*discriminator, !key.is_in_vrf() && self.rx_sockets.contains_key(&key))
        });
        kernel_sessions.set_addresses(addresses::address_table(addresses));
    }

    /// Executes a command.
    pub(super) fn handle_command(&mut self, command: BfdCommand) {
        match command {
            BfdCommand::Leave => {}
            BfdCommand::SetTargets(targets) => self.set_targets(targets),
            BfdCommand::View(reply) => {
                let at = self.start.elapsed();
                let view = |session_io: &SessionIo| BfdSnapshot {
                    name: session_io.name.clone(),
                    target: session_io.target.clone(),
                    view: session_io.session.view(),
                    is_kept: session_io.session.config().control_plane_independent,
                    at,
                };
                let sessions = self.sessions.values().map(view).collect();
                // The requester may be gone.
                let _ = reply.send(BfdView { sessions, unknown: self.unknown });
            }
        }
    }

    /// Applies new profiles; another path is another session.
    fn set_targets(&mut self, mut targets: BfdTargets) {
        let now = self.start.elapsed();
        let mut removed = Vec::new();
        for (discriminator, session_io) in &mut self.sessions {
            match targets.remove(&session_io.name) {
                Some(desired) if session_io.has_same_path(&desired) => session_io.set(desired, now),
                other => {
                    removed.push(*discriminator);
                    targets.extend(other.map(|desired| (session_io.name.clone(), desired)));
                }
            }
        }
        for discriminator in removed {
            self.end_session(discriminator, now);
        }
        for (name, target) in targets {
            self.start_session(name, target, now);
        }
        self.targets_since.get_or_insert(now);
        self.addresses_due = Duration::ZERO;
        let desired: BTreeSet<RxKey> =
            self.sessions.values().map(|session_io| RxKey::of(&session_io.target)).collect();
        self.rx_sockets.retain(|key, _| desired.contains(key));
        // The BGP session may be newer than the BFD session.
        for session_io in
            self.sessions.values().filter(|session_io| session_io.session.state() == BfdState::Up)
        {
            (self.report)(&session_io.name, true);
        }
    }

    fn start_session(&mut self, name: String, target: BfdTarget, now: Duration) {
        let local = self.discriminator(&name);
        let left = self
            .kernel_sessions
            .as_mut()
            .and_then(|kernel_sessions| kernel_sessions.adopt(local, target.address, target.minimum_ttl()));
        let adopted = left
            .and_then(|left| SessionIo::adopt(name.clone(), target.clone(), local, &left, self.seed, now));
        if adopted.is_some() {
            tracing::info!(peer = %name, "adopted the BFD session of the previous agent");
        }
        let session_io = adopted.unwrap_or_else(|| SessionIo::new(name, target, local, self.seed, now));
        self.sessions.insert(local, session_io);
    }

    /// Announces AdminDown, so that the router does not count it as a failure (RFC 5880, section 6.8.16).
    fn end_session(&mut self, discriminator: Discriminator, now: Duration) {
        self.demultiplexer.remove(discriminator);
        if let Some(kernel_sessions) = &mut self.kernel_sessions {
            kernel_sessions.end(discriminator);
        }
        if let Some(mut session_io) = self.sessions.remove(&discriminator) {
            session_io.session.set_admin_down(true, now);
            session_io.send(self.seed, None, now);
        }
    }

    /// Returns the same discriminator after a restart: a router that still knows the session continues it.
    fn discriminator(&self, name: &str) -> Discriminator {
        let mut number = hash(self.seed, name) as u32;
        loop {
            match Discriminator::new(number) {
                Some(free) if !self.sessions.contains_key(&free) => return free,
                _ => number = number.wrapping_add(1),
            }
        }
    }

    /// Opens missing sockets, and updates the paths of the sessions.
    fn listen(&mut self) {
        for (discriminator, session_io) in &self.sessions {
            if let Ok(path) = socket::path(&session_io.target) {
                self.demultiplexer.insert(*discriminator, path, *discriminator);
            }
            let key = RxKey::of(&session_io.target);
            if self.rx_sockets.contains_key(&key) {
                continue;
            }
            match key.open() {
                Ok(socket) => drop(self.rx_sockets.insert(key, socket)),
                Err(error) => {
                    log_once(&mut self.reported, format!("cannot open BFD socket on {key}: {error}"))
                }
            }
        }
        if !self.sessions.values().any(|session_io| session_io.target.uses_echo()) {
            self.echo_socket = None;
        } else if self.echo_socket.is_none() {
            match EchoSocket::open() {
                Ok(echo_socket) => self.echo_socket = Some(echo_socket),
                Err(error) => log_once(
                    &mut self.reported,
                    format!("cannot open BFD echo socket, which requires CAP_NET_RAW: {error}"),
                ),
            }
        }
    }

    /// Hands in all packets that arrived before `now`.
    fn receive(&mut self, now: Duration) {
        for (key, socket) in &self.rx_sockets {
            for _ in 0..BURST {
                let datagram = match key.receive(socket, &mut self.buffer) {
                    Ok(Some(datagram)) => datagram,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "cannot receive BFD packets");
                        break;
                    }
                };
                let bytes = self.buffer.get(..datagram.octets).unwrap_or(&self.buffer);
                let stamped = self.timestamps.to_thread_time(datagram.stamp);
                let at = stamped.unwrap_or(now);
                if let Err(error) = dispatch(&mut self.sessions, &self.demultiplexer, bytes, &datagram, at) {
                    self.unknown += 1;
                    tracing::trace!(remote = %datagram.path.remote, "BFD packet without session: {error}");
                }
                if at > now {
                    break;
                }
            }
        }
    }

    /// Hands in all echoes that returned before `now`.
    fn receive_echoes(&mut self, now: Duration) {
        let Some(echo_socket) = &self.echo_socket else { return };
        for _ in 0..BURST {
            let datagram = match echo_socket.receive(&mut self.buffer) {
                Ok(Some(datagram)) => datagram,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive BFD echoes");
                    break;
                }
            };
            let at = self.timestamps.to_thread_time(datagram.stamp).unwrap_or(now);
            match (datagram.packet, datagram.station) {
                (Some(BfdPortPacket::Control { source, destination }), Some(station)) => {
                    for session_io in self.sessions.values_mut() {
                        session_io.learn_station(source, destination, station, now);
                    }
                }
                (Some(BfdPortPacket::Echo { address, payload }), _) => {
                    if let Some(session_io) = self.sessions.get_mut(&payload.discriminator) {
                        session_io.handle_echo(echo_socket, &payload, address, at);
                    }
                }
                _ => {}
            }
            if at > now {
                break;
            }
        }
    }

    fn report_changes(&mut self) {
        for session_io in self.sessions.values_mut() {
            while let Some(change) = session_io.session.poll_change() {
                session_io.log(&change);
                self.addresses_due = Duration::ZERO;
                // RFC 5882, section 3.2: AdminDown does not imply a broken path.
                let is_down = change.from == BfdState::Up && change.remote != BfdState::AdminDown;
                if change.to == BfdState::Up || is_down {
                    (self.report)(&session_io.name, change.to == BfdState::Up);
                }
            }
        }
    }

    fn sleep(&mut self) {
        let deadlines = self.sessions.values().filter_map(|session_io| session_io.session.next_deadline());
        let until = deadlines.min().unwrap_or(Duration::MAX);
        let longest = self.kernel_sessions.as_ref().map_or(MAX_SLEEP, |it| it.limit_sleep(MAX_SLEEP));
        let time = until.saturating_sub(self.start.elapsed()).min(longest);
        let sockets =
            self.rx_sockets.values().map(AsFd::as_fd).chain(self.echo_socket.as_ref().map(AsFd::as_fd));
        let mut waited: Vec<_> = std::iter::once(self.wake_rx.as_fd())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        // The result is irrelevant: the loop checks everything.
        let _ = ppoll(&mut waited, Some(TimeSpec::from_duration(time)), None);
        while matches!(self.wake_rx.read(&mut [0; 64]), Ok(1..)) {}
    }
}

/// Hands a packet to its session, which counts rejected packets.
///
/// # Errors
/// If it matches no session.
fn dispatch(
    sessions: &mut BTreeMap<Discriminator, SessionIo>,
    demultiplexer: &Demultiplexer<Discriminator>,
    bytes: &[u8],
    datagram: &Datagram,
    at: Duration,
) -> Result<(), PacketError> {
    let found = demultiplexer.find(bytes, &datagram.path)?;
    if let Some(session_io) = sessions.get_mut(&found) {
        match session_io.session.handle_packet(&ReceivedPacket { bytes, ttl: datagram.ttl, at }) {
            Ok(()) => session_io.link = datagram.path.link,
            Err(error) => {
                tracing::trace!(peer = %session_io.name, "BFD packet rejected: {error}");
            }
        }
    }
    Ok(())
}

/// Logs a failure once.
fn log_once(logged: &mut BTreeSet<String>, failure: String) {
    if !logged.contains(&failure) {
        tracing::error!("{failure}");
        logged.insert(failure);
    }
}
