//! What stands between the sessions and the world: a loop without an opinion.

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
use super::kernel_stamps::KernelStamps;
use super::priority;
use super::rx_timestamps::RxTimestamps;
use super::session_io::SessionIo;
use super::socket::{self, Datagram, RxKey};
use super::target::{BfdTarget, BfdTargets};
use super::view::{BfdSnapshot, BfdView};
use crate::identity::hash;
use lb_dataplane::bfd::BfdMaps;
use lb_runtime::watchdog::Heart;

/// Octets of a packet that matter, and a few more: what is longer is judged by its start.
const BUFFER: usize = 128;
/// Packets taken from one socket before the next one's turn and the timers', at most. A burst ends with the first
/// packet that came after it began; so whatever came before the timers' time has been read when they are judged, and
/// what comes meanwhile waits. A socket holds less than 300 packets unless the machine was told otherwise; this bound
/// is for one that holds more, or stamps none: with some microseconds a packet, it is a fraction of the 10 ms that are
/// the shortest interval.
const BURST: usize = 1024;
/// No sleep is longer: a socket that could not be had is reply for again.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Told of each neighbour whether the way to it is there.
type StateReport = Box<dyn Fn(&str, bool) + Send>;

/// What the thread is told or asked.
#[derive(Debug)]
pub(super) enum BfdCommand {
    /// Watch these from now on, and nobody else.
    SetTargets(BfdTargets),
    /// How do they stand?
    View(oneshot::Sender<BfdView>),
}

/// What the thread works on.
pub(super) struct BfdThread {
    start: Instant,
    seed: u64,
    wake_rx: UnixStream,
    report: StateReport,
    /// What the program in the kernel notes; `None` where it does not.
    kernel_stamps: Option<KernelStamps>,
    sessions: BTreeMap<Discriminator, SessionIo>,
    demultiplexer: Demultiplexer<Discriminator>,
    timestamps: RxTimestamps,
    rx_sockets: BTreeMap<RxKey, UdpSocket>,
    /// While somebody's echoes are wanted.
    echo_socket: Option<EchoSocket>,
    /// Packets of no session.
    unknown: u64,
    /// What keeps ears from being had: said once.
    reported: BTreeSet<String>,
    /// When the program is told of addresses anew though nothing is known to have changed: a route may have, and with it
    /// the address that this machine speaks from.
    addresses_due: Duration,
    buffer: [u8; BUFFER],
}

impl BfdThread {
    pub(super) fn new(
        seed: u64,
        kernel_sessions: Option<BfdMaps>,
        wake_rx: UnixStream,
        report: StateReport,
    ) -> Self {
        let start = Instant::now();
        Self {
            start,
            seed,
            wake_rx,
            report,
            kernel_stamps: kernel_sessions.and_then(|sessions| KernelStamps::new(sessions, start)),
            sessions: BTreeMap::new(),
            demultiplexer: Demultiplexer::default(),
            timestamps: RxTimestamps::new(start),
            rx_sockets: BTreeMap::new(),
            echo_socket: None,
            unknown: 0,
            reported: BTreeSet::new(),
            addresses_due: Duration::ZERO,
            buffer: [0; BUFFER],
        }
    }

    /// Runs until whoever gives orders is removed.
    pub(super) fn run(mut self, commands: &Receiver<BfdCommand>, heart: &Heart) {
        if let Err(error) = priority::raise_priority() {
            tracing::debug!(%error, "BFD runs with the priority of the rest");
        }
        loop {
            heart.beat();
            loop {
                match commands.try_recv() {
                    Ok(command) => self.handle_command(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.run_once();
            self.sleep();
        }
    }

    /// Takes in what has come, and does what is due.
    pub(super) fn run_once(&mut self) {
        self.listen();
        let now = self.timestamps.sample();
        self.receive(now);
        self.receive_echoes(now);
        for (discriminator, session_io) in &mut self.sessions {
            session_io.apply_kernel_stamp(*discriminator, self.kernel_stamps.as_ref(), now);
            session_io.session.handle_time(now);
            session_io.send(self.seed, self.echo_socket.as_ref(), now);
        }
        self.report_changes();
        self.update_addresses(now);
    }

    /// Has the program know whose packets are to be passed.
    fn update_addresses(&mut self, now: Duration) {
        let Some(kernel_stamps) = self.kernel_stamps.as_mut().filter(|_| now >= self.addresses_due) else {
            return;
        };
        self.addresses_due = now + MAX_SLEEP;
        let addresses = self.sessions.iter().map(|(discriminator, session_io)| {
            let key = RxKey::of(&session_io.target);
            session_io.addresses(*discriminator, !key.is_in_vrf() && self.rx_sockets.contains_key(&key))
        });
        kernel_stamps.set_addresses(addresses::of(addresses));
    }

    /// Does what it is told, or answers.
    pub(super) fn handle_command(&mut self, command: BfdCommand) {
        match command {
            BfdCommand::SetTargets(targets) => self.set_targets(targets),
            BfdCommand::View(reply) => {
                let at = self.start.elapsed();
                let view = |session_io: &SessionIo| BfdSnapshot {
                    name: session_io.name.clone(),
                    target: session_io.target.clone(),
                    view: session_io.session.view(),
                    at,
                };
                let sessions = self.sessions.values().map(view).collect();
                // Whoever reply may have removed.
                let _ = reply.send(BfdView { sessions, unknown: self.unknown });
            }
        }
    }

    /// Another profile is told to the router; another path is another session.
    fn set_targets(&mut self, mut targets: BfdTargets) {
        let now = self.start.elapsed();
        let mut removed = Vec::new();
        for (discriminator, session_io) in &mut self.sessions {
            match targets.remove(&session_io.name) {
                Some(wanted) if session_io.has_same_path(&wanted) => session_io.set(wanted, now),
                other => {
                    removed.push(*discriminator);
                    targets.extend(other.map(|wanted| (session_io.name.clone(), wanted)));
                }
            }
        }
        for discriminator in removed {
            self.end_session(discriminator, now);
        }
        for (name, target) in targets {
            self.start_session(name, target, now);
        }
        self.addresses_due = Duration::ZERO;
        let wanted: BTreeSet<RxKey> =
            self.sessions.values().map(|session_io| RxKey::of(&session_io.target)).collect();
        self.rx_sockets.retain(|key, _| wanted.contains(key));
        // A BGP session may be new where this one is not.
        for session_io in
            self.sessions.values().filter(|session_io| session_io.session.state() == BfdState::Up)
        {
            (self.report)(&session_io.name, true);
        }
    }

    fn start_session(&mut self, name: String, target: BfdTarget, now: Duration) {
        let local = self.discriminator(&name);
        self.sessions.insert(local, SessionIo::new(name, target, local, self.seed, now));
    }

    /// The router is told that this is no failure (RFC 5880 section 6.8.16).
    fn end_session(&mut self, discriminator: Discriminator, now: Duration) {
        self.demultiplexer.remove(discriminator);
        if let Some(kernel_stamps) = &mut self.kernel_stamps {
            kernel_stamps.end(discriminator);
        }
        if let Some(mut session_io) = self.sessions.remove(&discriminator) {
            session_io.session.set_admin_down(true, now);
            session_io.send(self.seed, None, now);
        }
    }

    /// The same after a restart: a router that still knows the session goes on with it.
    fn discriminator(&self, name: &str) -> Discriminator {
        let mut number = hash(self.seed, name) as u32;
        loop {
            match Discriminator::new(number) {
                Some(free) if !self.sessions.contains_key(&free) => return free,
                _ => number = number.wrapping_add(1),
            }
        }
    }

    /// Opens what sockets are missing, and learns along which paths sessions go.
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
                Err(error) => log_once(&mut self.reported, format!("cannot receive BFD ({key:?}): {error}")),
            }
        }
        if !self.sessions.values().any(|session_io| session_io.target.uses_echo()) {
            self.echo_socket = None;
        } else if self.echo_socket.is_none() {
            match EchoSocket::open() {
                Ok(echo_socket) => self.echo_socket = Some(echo_socket),
                Err(error) => log_once(
                    &mut self.reported,
                    format!("cannot send BFD echoes, which takes CAP_NET_RAW: {error}"),
                ),
            }
        }
    }

    /// Hands in all that came before now.
    fn receive(&mut self, now: Duration) {
        for (key, socket) in &self.rx_sockets {
            for _ in 0..BURST {
                let datagram = match key.receive(socket, &mut self.buffer) {
                    Ok(Some(datagram)) => datagram,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "cannot receive BFD");
                        break;
                    }
                };
                let bytes = self.buffer.get(..datagram.octets).unwrap_or(&self.buffer);
                let stamped = self.timestamps.to_thread_time(datagram.stamp);
                let at = stamped.unwrap_or(now);
                if let Err(refusal) = dispatch(&mut self.sessions, &self.demultiplexer, bytes, &datagram, at)
                {
                    self.unknown += 1;
                    tracing::trace!(remote = %datagram.path.remote, "a BFD packet of no session: {refusal}");
                }
                if at > now {
                    break;
                }
            }
        }
    }

    /// Hands in the echoes that came back before now.
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
        for (discriminator, session_io) in &mut self.sessions {
            while let Some(change) = session_io.session.poll_change() {
                session_io.log(&change);
                self.addresses_due = Duration::ZERO;
                session_io.update_kernel_entry(*discriminator, self.kernel_stamps.as_mut());
                // RFC 5882 section 3.2: a router that is AdminDown does not say that the way is removed.
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
        let time = until.saturating_sub(self.start.elapsed()).min(MAX_SLEEP);
        let sockets =
            self.rx_sockets.values().map(AsFd::as_fd).chain(self.echo_socket.as_ref().map(AsFd::as_fd));
        let mut waited: Vec<_> = std::iter::once(self.wake_rx.as_fd())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        // Whatever it says: the loop looks at everything.
        let _ = ppoll(&mut waited, Some(TimeSpec::from_duration(time)), None);
        while matches!(self.wake_rx.read(&mut [0; 64]), Ok(1..)) {}
    }
}

/// Hands a packet to its session, which counts what it refuses.
///
/// # Errors
/// When there is no session that it is for.
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
            Err(refusal) => {
                tracing::trace!(peer = %session_io.name, "a BFD packet counts for nothing: {refusal}");
            }
        }
    }
    Ok(())
}

/// Says what goes wrong, once.
fn log_once(said: &mut BTreeSet<String>, failure: String) {
    if !said.contains(&failure) {
        tracing::error!("{failure}");
        said.insert(failure);
    }
}
