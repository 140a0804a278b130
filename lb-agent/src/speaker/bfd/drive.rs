//! What stands between the sessions and the world: a loop without an opinion.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use lb_bfd::demux::Demultiplexer;
use lb_bfd::session::{Change, Config, Discriminator, Hops, Profile, Received, Session};
use lb_bfd::state::State;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::notes::Notes;
use super::socket::{self, Came, Ear};
use super::{BfdViewed, Order, Watch, Watched, priority};
use crate::dataplane::bfd::{self, BfdSessions};
use crate::speaker::identity::hash;

/// Octets of a packet that matter, and a few more: what is longer is judged by its start.
const BUFFER: usize = 128;
/// Packets taken from one socket before the next one's turn and the timers'.
const BURST: usize = 256;
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
    ears: BTreeMap<Ear, UdpSocket>,
    /// What keeps ears from being had: said once.
    deaf: BTreeSet<String>,
    buffer: [u8; BUFFER],
}

struct Driven {
    name: String,
    watched: Watched,
    session: Session,
    /// Where packets go out, once there is a way.
    mouth: Option<UdpSocket>,
}

impl Driver {
    pub(super) fn new(seed: u64, noted: Option<BfdSessions>, alarmed: UnixStream, report: Report) -> Self {
        let start = Instant::now();
        Self {
            start,
            seed,
            alarmed,
            report,
            notes: noted.and_then(|sessions| Notes::new(sessions, start)),
            sessions: BTreeMap::new(),
            demultiplexer: Demultiplexer::default(),
            ears: BTreeMap::new(),
            deaf: BTreeSet::new(),
            buffer: [0; BUFFER],
        }
    }

    /// Runs until whoever gives orders is gone.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        if let Err(error) = priority::raise() {
            tracing::debug!(%error, "BFD runs with the priority of the rest");
        }
        loop {
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.listen();
            self.receive();
            let now = self.start.elapsed();
            for (discriminator, driven) in &mut self.sessions {
                driven.believe(*discriminator, self.notes.as_ref(), now);
                driven.session.handle_time(now);
                driven.send(self.seed, now);
            }
            self.tell();
            self.sleep();
        }
    }

    fn obey(&mut self, order: Order) {
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
                // Whoever asked may have gone.
                let _ = asked.send(self.sessions.values().map(view).collect());
            }
        }
    }

    /// Another profile is told to the router; another path is another session.
    fn watch(&mut self, mut watch: Watch) {
        let now = self.start.elapsed();
        let mut gone = Vec::new();
        for (discriminator, driven) in &mut self.sessions {
            match watch.remove(&driven.name) {
                Some(wanted) if driven.is_along(&wanted) => {
                    if driven.watched.profile != wanted.profile {
                        driven.session.set_profile(without_echo(wanted.profile), now);
                    }
                    driven.watched = wanted;
                }
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
        let wanted: BTreeSet<Ear> = self.sessions.values().map(|driven| Ear::of(&driven.watched)).collect();
        self.ears.retain(|ear, _| wanted.contains(ear));
        // A BGP session may be new where this one is not.
        for driven in self.sessions.values().filter(|driven| driven.session.state() == State::Up) {
            (self.report)(&driven.name, true);
        }
    }

    fn begin(&mut self, name: String, watched: Watched, now: Duration) {
        let local = self.discriminator(&name);
        let config = Config {
            local,
            hops: watched.hops,
            profile: without_echo(watched.profile),
            control_plane_independent: false,
            echo_receive: Duration::ZERO,
        };
        let session = Session::new(config, hash(self.seed, &name), now);
        self.sessions.insert(local, Driven { name, watched, session, mouth: None });
    }

    /// The router is told that this is no failure (RFC 5880 section 6.8.16).
    fn end(&mut self, discriminator: Discriminator, now: Duration) {
        self.demultiplexer.remove(discriminator);
        if let Some(notes) = &mut self.notes {
            notes.end(discriminator);
        }
        if let Some(mut driven) = self.sessions.remove(&discriminator) {
            driven.session.set_admin_down(true, now);
            driven.send(self.seed, now);
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
                Err(error) => {
                    let failure = format!("cannot receive BFD ({ear:?}): {error}");
                    if self.deaf.insert(failure.clone()) {
                        tracing::error!("{failure}");
                    }
                }
            }
        }
    }

    fn receive(&mut self) {
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
                let at = self.start.elapsed();
                take(&mut self.sessions, &self.demultiplexer, bytes, &came, at);
            }
        }
    }

    fn tell(&mut self) {
        for (discriminator, driven) in &mut self.sessions {
            while let Some(change) = driven.session.poll_change() {
                driven.log(&change);
                driven.note(*discriminator, self.notes.as_mut());
                // RFC 5882 section 3.2: a router that is AdminDown does not say that the way is gone.
                let is_down = change.from == State::Up && change.remote != State::AdminDown;
                if change.to == State::Up || is_down {
                    (self.report)(&driven.name, change.to == State::Up);
                }
            }
        }
    }

    fn sleep(&mut self) {
        let deadlines = self.sessions.values().filter_map(|driven| driven.session.next_deadline());
        let until = deadlines.min().unwrap_or(Duration::MAX);
        let time = until.saturating_sub(self.start.elapsed()).min(LONGEST_SLEEP);
        let sockets = self.ears.values().map(AsFd::as_fd);
        let mut waited: Vec<_> = std::iter::once(self.alarmed.as_fd())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        // Whatever it says: the loop looks at everything.
        let _ = ppoll(&mut waited, Some(TimeSpec::from_duration(time)), None);
        while matches!(self.alarmed.read(&mut [0; 64]), Ok(1..)) {}
    }
}

impl Driven {
    /// Whether a session would be the same but for its profile.
    fn is_along(&self, wanted: &Watched) -> bool {
        let Watched { address, source, device, hops, profile: _ } = &self.watched;
        (address, source, device, hops) == (&wanted.address, &wanted.source, &wanted.device, &wanted.hops)
    }

    /// Before a session is judged, what the kernel has seen of the router counts.
    fn believe(&mut self, discriminator: Discriminator, notes: Option<&Notes>, now: Duration) {
        let is_due = self.session.next_deadline().is_some_and(|deadline| deadline <= now);
        if let (Some(notes), State::Up, true) = (notes, self.session.state(), is_due)
            && let Some(at) = notes.heard(discriminator)
        {
            self.session.handle_heard(at);
        }
    }

    /// The program notes packets of sessions that are up.
    fn note(&self, discriminator: Discriminator, notes: Option<&mut Notes>) {
        let Some(notes) = notes else { return };
        let local = self.mouth.as_ref().and_then(|mouth| mouth.local_addr().ok());
        match (self.session.state(), local) {
            (State::Up, Some(local)) => {
                let minimum_ttl = match self.watched.hops {
                    Hops::Single => None,
                    Hops::Multi { minimum_ttl } => Some(minimum_ttl),
                };
                let (remote, local) = (self.watched.address, local.ip());
                notes.begin(discriminator, &bfd::Session { remote, local, minimum_ttl });
            }
            _ => notes.end(discriminator),
        }
    }

    fn send(&mut self, seed: u64, now: Duration) {
        while let Some(packet) = self.session.poll_packet(now) {
            if let Err(error) = self.say(&packet, seed) {
                // No way there, or nobody: which the router finds out by its silence.
                tracing::trace!(peer = %self.name, %error, "cannot send a BFD packet");
            }
        }
    }

    fn say(&mut self, packet: &[u8], seed: u64) -> io::Result<()> {
        let mouth = match self.mouth.take() {
            Some(mouth) => mouth,
            None => socket::mouth(&self.watched, hash(seed, &self.name))?,
        };
        match mouth.send(packet) {
            Ok(_) => {}
            // What an earlier packet met with.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                mouth.send(packet)?;
            }
            Err(error) => return Err(error),
        }
        self.mouth = Some(mouth);
        Ok(())
    }

    fn log(&self, change: &Change) {
        let peer = &self.name;
        match change.to {
            State::Up => tracing::info!(%peer, "BFD session is up"),
            to if change.from == State::Up => {
                tracing::warn!(%peer, state = to.name(), "BFD session is down: {}", change.diagnostic.words());
            }
            _ => {}
        }
    }
}

fn take(
    sessions: &mut BTreeMap<Discriminator, Driven>,
    demultiplexer: &Demultiplexer<Discriminator>,
    bytes: &[u8],
    came: &Came,
    at: Duration,
) {
    let taken = demultiplexer.find(bytes, &came.path).and_then(|found| match sessions.get_mut(&found) {
        Some(driven) => driven.session.handle_packet(&Received { bytes, ttl: came.ttl, at }),
        None => Ok(()),
    });
    if let Err(refusal) = taken {
        tracing::trace!(remote = %came.path.remote, "a BFD packet counts for nothing: {refusal}");
    }
}

fn without_echo(profile: Profile) -> Profile {
    Profile { echo: None, ..profile }
}
