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

use super::addresses;
use super::driven::Driven;
use super::echo::Echoes;
use super::notes::Notes;
use super::socket::{self, Came, Ear};
use super::stamps::Stamps;
use super::{BfdView, BfdViewed, Order, Watch, Watched, priority};
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
/// No sleep is longer: a socket that could not be had is asked for again.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Told of each neighbour whether the way to it is there.
type Report = Box<dyn Fn(&str, bool) + Send>;

/// What the thread works on.
pub(super) struct Driver {
    start: Instant,
    seed: u64,
    alarmed: UnixStream,
    report: Report,
    /// What the program in the kernel notes; `None` where it does not.
    notes: Option<Notes>,
    sessions: BTreeMap<Discriminator, Driven>,
    demultiplexer: Demultiplexer<Discriminator>,
    stamps: Stamps,
    ears: BTreeMap<Ear, UdpSocket>,
    /// While somebody's echoes are wanted.
    echoes: Option<Echoes>,
    /// Packets of no session.
    unknown: u64,
    /// What keeps ears from being had: said once.
    deaf: BTreeSet<String>,
    /// When the program is told of addresses anew though nothing is known to have changed: a route may have, and with it
    /// the address that this machine speaks from.
    readdress: Duration,
    buffer: [u8; BUFFER],
}

impl Driver {
    pub(super) fn new(seed: u64, noted: Option<BfdMaps>, alarmed: UnixStream, report: Report) -> Self {
        let start = Instant::now();
        Self {
            start,
            seed,
            alarmed,
            report,
            notes: noted.and_then(|sessions| Notes::new(sessions, start)),
            sessions: BTreeMap::new(),
            demultiplexer: Demultiplexer::default(),
            stamps: Stamps::new(start),
            ears: BTreeMap::new(),
            echoes: None,
            unknown: 0,
            deaf: BTreeSet::new(),
            readdress: Duration::ZERO,
            buffer: [0; BUFFER],
        }
    }

    /// Runs until whoever gives orders is gone.
    pub(super) fn run(mut self, orders: &Receiver<Order>, heart: &Heart) {
        if let Err(error) = priority::raise() {
            tracing::debug!(%error, "BFD runs with the priority of the rest");
        }
        loop {
            heart.beat();
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.turn();
            self.sleep();
        }
    }

    /// Takes in what has come, and does what is due.
    pub(super) fn turn(&mut self) {
        self.listen();
        let now = self.stamps.look();
        self.receive(now);
        self.receive_echoes(now);
        for (discriminator, driven) in &mut self.sessions {
            driven.believe(*discriminator, self.notes.as_ref(), now);
            driven.session.handle_time(now);
            driven.send(self.seed, self.echoes.as_ref(), now);
        }
        self.tell();
        self.tell_addresses(now);
    }

    /// Has the program know whose packets are to be passed.
    fn tell_addresses(&mut self, now: Duration) {
        let Some(notes) = self.notes.as_mut().filter(|_| now >= self.readdress) else { return };
        self.readdress = now + LONGEST_SLEEP;
        let ends = self.sessions.iter().map(|(discriminator, driven)| {
            let ear = Ear::of(&driven.watched);
            driven.ends(*discriminator, !ear.is_in_vrf() && self.ears.contains_key(&ear))
        });
        notes.set_addresses(addresses::of(ends));
    }

    /// Does what it is told, or answers.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Watch(watch) => self.watch(watch),
            Order::View(asked) => {
                let at = self.start.elapsed();
                let view = |driven: &Driven| BfdViewed {
                    name: driven.name.clone(),
                    watched: driven.watched.clone(),
                    view: driven.session.view(),
                    at,
                };
                let sessions = self.sessions.values().map(view).collect();
                // Whoever asked may have gone.
                let _ = asked.send(BfdView { sessions, unknown: self.unknown });
            }
        }
    }

    /// Another profile is told to the router; another path is another session.
    fn watch(&mut self, mut watch: Watch) {
        let now = self.start.elapsed();
        let mut gone = Vec::new();
        for (discriminator, driven) in &mut self.sessions {
            match watch.remove(&driven.name) {
                Some(wanted) if driven.is_along(&wanted) => driven.set(wanted, now),
                other => {
                    gone.push(*discriminator);
                    watch.extend(other.map(|wanted| (driven.name.clone(), wanted)));
                }
            }
        }
        for discriminator in gone {
            self.end(discriminator, now);
        }
        for (name, watched) in watch {
            self.begin(name, watched, now);
        }
        self.readdress = Duration::ZERO;
        let wanted: BTreeSet<Ear> = self.sessions.values().map(|driven| Ear::of(&driven.watched)).collect();
        self.ears.retain(|ear, _| wanted.contains(ear));
        // A BGP session may be new where this one is not.
        for driven in self.sessions.values().filter(|driven| driven.session.state() == BfdState::Up) {
            (self.report)(&driven.name, true);
        }
    }

    fn begin(&mut self, name: String, watched: Watched, now: Duration) {
        let local = self.discriminator(&name);
        self.sessions.insert(local, Driven::new(name, watched, local, self.seed, now));
    }

    /// The router is told that this is no failure (RFC 5880 section 6.8.16).
    fn end(&mut self, discriminator: Discriminator, now: Duration) {
        self.demultiplexer.remove(discriminator);
        if let Some(notes) = &mut self.notes {
            notes.end(discriminator);
        }
        if let Some(mut driven) = self.sessions.remove(&discriminator) {
            driven.session.set_admin_down(true, now);
            driven.send(self.seed, None, now);
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
        for (discriminator, driven) in &self.sessions {
            if let Ok(path) = socket::path(&driven.watched) {
                self.demultiplexer.insert(*discriminator, path, *discriminator);
            }
            let ear = Ear::of(&driven.watched);
            if self.ears.contains_key(&ear) {
                continue;
            }
            match ear.open() {
                Ok(socket) => drop(self.ears.insert(ear, socket)),
                Err(error) => complain(&mut self.deaf, format!("cannot receive BFD ({ear:?}): {error}")),
            }
        }
        if !self.sessions.values().any(|driven| driven.watched.wants_echo()) {
            self.echoes = None;
        } else if self.echoes.is_none() {
            match Echoes::open() {
                Ok(echoes) => self.echoes = Some(echoes),
                Err(error) => complain(
                    &mut self.deaf,
                    format!("cannot send BFD echoes, which takes CAP_NET_RAW: {error}"),
                ),
            }
        }
    }

    /// Hands in all that came before now.
    fn receive(&mut self, now: Duration) {
        for (ear, socket) in &self.ears {
            for _ in 0..BURST {
                let came = match ear.receive(socket, &mut self.buffer) {
                    Ok(Some(came)) => came,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "cannot receive BFD");
                        break;
                    }
                };
                let bytes = self.buffer.get(..came.octets).unwrap_or(&self.buffer);
                let stamped = self.stamps.place(came.stamp);
                let at = stamped.unwrap_or(now);
                if let Err(refusal) = take(&mut self.sessions, &self.demultiplexer, bytes, &came, at) {
                    self.unknown += 1;
                    tracing::trace!(remote = %came.path.remote, "a BFD packet of no session: {refusal}");
                }
                if at > now {
                    break;
                }
            }
        }
    }

    /// Hands in the echoes that came back before now.
    fn receive_echoes(&mut self, now: Duration) {
        let Some(echoes) = &self.echoes else { return };
        for _ in 0..BURST {
            let heard = match echoes.receive(&mut self.buffer) {
                Ok(Some(heard)) => heard,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive BFD echoes");
                    break;
                }
            };
            let at = self.stamps.place(heard.stamp).unwrap_or(now);
            match (heard.packet, heard.station) {
                (Some(BfdPortPacket::Control { source, destination }), Some(station)) => {
                    for driven in self.sessions.values_mut() {
                        driven.learn(source, destination, station, now);
                    }
                }
                (Some(BfdPortPacket::Echo { address, payload }), _) => {
                    if let Some(driven) = self.sessions.get_mut(&payload.discriminator) {
                        driven.take_echo(echoes, &payload, address, at);
                    }
                }
                _ => {}
            }
            if at > now {
                break;
            }
        }
    }

    fn tell(&mut self) {
        for (discriminator, driven) in &mut self.sessions {
            while let Some(change) = driven.session.poll_change() {
                driven.log(&change);
                self.readdress = Duration::ZERO;
                driven.note(*discriminator, self.notes.as_mut());
                // RFC 5882 section 3.2: a router that is AdminDown does not say that the way is gone.
                let is_down = change.from == BfdState::Up && change.remote != BfdState::AdminDown;
                if change.to == BfdState::Up || is_down {
                    (self.report)(&driven.name, change.to == BfdState::Up);
                }
            }
        }
    }

    fn sleep(&mut self) {
        let deadlines = self.sessions.values().filter_map(|driven| driven.session.next_deadline());
        let until = deadlines.min().unwrap_or(Duration::MAX);
        let time = until.saturating_sub(self.start.elapsed()).min(LONGEST_SLEEP);
        let sockets = self.ears.values().map(AsFd::as_fd).chain(self.echoes.as_ref().map(AsFd::as_fd));
        let mut waited: Vec<_> = std::iter::once(self.alarmed.as_fd())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        // Whatever it says: the loop looks at everything.
        let _ = ppoll(&mut waited, Some(TimeSpec::from_duration(time)), None);
        while matches!(self.alarmed.read(&mut [0; 64]), Ok(1..)) {}
    }
}

/// Hands a packet to its session, which counts what it refuses.
///
/// # Errors
/// When there is no session that it is for.
fn take(
    sessions: &mut BTreeMap<Discriminator, Driven>,
    demultiplexer: &Demultiplexer<Discriminator>,
    bytes: &[u8],
    came: &Came,
    at: Duration,
) -> Result<(), PacketError> {
    let found = demultiplexer.find(bytes, &came.path)?;
    if let Some(driven) = sessions.get_mut(&found) {
        match driven.session.handle_packet(&ReceivedPacket { bytes, ttl: came.ttl, at }) {
            Ok(()) => driven.link = came.path.link,
            Err(refusal) => {
                tracing::trace!(peer = %driven.name, "a BFD packet counts for nothing: {refusal}");
            }
        }
    }
    Ok(())
}

/// Says what goes wrong, once.
fn complain(said: &mut BTreeSet<String>, failure: String) {
    if !said.contains(&failure) {
        tracing::error!("{failure}");
        said.insert(failure);
    }
}
