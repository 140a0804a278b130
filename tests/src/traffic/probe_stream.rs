//! A stream of datagrams at intervals far below a millisecond, over a few flows in turn: it shows when a
//! Service stopped and resumed serving. Flows are short, as new clients come all the time: a flow that stays
//! with its node would show the end of the node, and not of the Service.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::iter::Cycle;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::prctl::set_timerslack;
use tokio::sync::watch;

use super::running::{Progress, RunningLoad};
use crate::lab::LabHost;
use crate::payload::DATAGRAM_HEADER;

/// By default, the kernel may wake a thread this much later than asked: half an interval.
const TIMER_SLACK_NANOSECONDS: u64 = 1000;
/// Answers have a greeting after the header.
const LONGEST_ANSWER: usize = 256;
/// Ports of the flows, one after the other: a random one may be that of a former flow, which a load balancer
/// still remembers as another node's.
const PORTS: Range<u16> = 10_000..65_000;
/// Probes of a flow; then another one, from another port, takes its place.
const PROBES_PER_FLOW: usize = 32;

/// A stream of probes to one address.
#[derive(Clone, Copy, Debug)]
pub struct ProbeStream {
    /// The target: the datagram port of a Service.
    pub target: SocketAddr,
    /// The time from one probe to the next.
    pub every: Duration,
    /// Number of flows at a time, which routers and load balancers spread over nodes.
    pub flows: usize,
    /// How long an answer may take.
    pub patience: Duration,
}

/// One probe of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamProbe {
    /// When it was sent, since the stream's start.
    pub sent: Duration,
    /// Whether it was answered in time.
    pub is_answered: bool,
}

/// All probes of a stream.
#[derive(Clone, Debug)]
pub struct ProbeStreamReport {
    /// The probes in the order in which they were sent.
    pub probes: Vec<StreamProbe>,
    /// The origin of their times.
    pub started: Instant,
}

impl ProbeStream {
    /// Probes `target` every 100 µs over 64 flows.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let (every, patience) = (Duration::from_micros(100), Duration::from_millis(300));
        Self { target, every, flows: 64, patience }
    }

    /// Starts it on a host. The load's `failed` counts probes whose patience has ended.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn start(self, host: &LabHost) -> Result<RunningLoad<ProbeStreamReport>> {
        // It has a thread of its own, and never waits for anything but the time.
        RunningLoad::start(host, move |progress, stop| async move { self.run(&progress, &stop) })
    }

    fn run(self, progress: &Arc<Progress>, stop: &watch::Receiver<bool>) -> Result<ProbeStreamReport> {
        set_timerslack(TIMER_SLACK_NANOSECONDS).context("set the thread's timer slack")?;
        let mut ports = PORTS.cycle();
        let sockets = (0..self.flows.max(1)).map(|_| self.open(&mut ports)).collect::<Result<Vec<_>>>()?;
        let (retired, probes) = (VecDeque::new(), Vec::new());
        let mut sender = Sender { stream: self, progress, ports, sockets, retired, probes, expired: 0 };
        let mut due = progress.start.elapsed();
        // A handle that was dropped has closed the channel.
        while !*stop.borrow() && stop.has_changed().is_ok() {
            sender.step()?;
            // Missed probes are not made up for: a burst shows no more than one.
            let now = progress.start.elapsed();
            due = (due + self.every).max(now);
            sleep(due.saturating_sub(now));
        }
        sender.finish()
    }

    /// Opens a socket on the first of these ports that is free.
    fn open(&self, ports: &mut impl Iterator<Item = u16>) -> Result<UdpSocket> {
        let any: IpAddr = match self.target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut sockets = ports.take(PORTS.len()).map(|port| UdpSocket::bind((any, port)));
        let socket = sockets.find_map(Result::ok).context("no port is free")?;
        socket.connect(self.target)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

struct Sender<'stream> {
    stream: ProbeStream,
    progress: &'stream Progress,
    ports: Cycle<Range<u16>>,
    sockets: Vec<UdpSocket>,
    /// Sockets of former flows, and when they sent their last probe: answers may still come.
    retired: VecDeque<(UdpSocket, Duration)>,
    probes: Vec<StreamProbe>,
    /// The number of probes, from the first, whose patience has ended.
    expired: usize,
}

impl Sender<'_> {
    /// Sends one probe, and reads the answers of the flow whose last probe was half a turn ago, and of a
    /// former one.
    fn step(&mut self) -> Result<()> {
        let number = self.probes.len();
        let (turn, flow) = (number / self.sockets.len(), number % self.sockets.len());
        let sent = self.progress.start.elapsed();
        // Flows are replaced in turn, and not all at once.
        if turn > 0 && (turn + flow) % PROBES_PER_FLOW == 0 {
            let former = std::mem::replace(&mut self.sockets[flow], self.stream.open(&mut self.ports)?);
            self.retired.push_back((former, sent));
        }
        let mut datagram = [0; DATAGRAM_HEADER];
        datagram[..8].copy_from_slice(&(number as u64).to_be_bytes());
        // The first attempt may report, and so clear, an ICMP error about an earlier probe.
        if self.sockets[flow].send(&datagram).is_err() {
            let _ = self.sockets[flow].send(&datagram);
        }
        self.probes.push(StreamProbe { sent, is_answered: false });
        let other = (number + self.sockets.len() / 2) % self.sockets.len();
        self.receive(|sender| sender.sockets.get(other))?;
        if let Some(place) = number.checked_rem(self.retired.len()) {
            self.receive(|sender| sender.retired.get(place).map(|it| &it.0))?;
        }
        if self.retired.front().is_some_and(|it| it.1 + 2 * self.stream.patience < sent) {
            self.retired.pop_front();
        }
        self.expire(sent);
        Ok(())
    }

    /// Reads all answers that a socket has.
    fn receive(&mut self, socket: impl Fn(&Self) -> Option<&UdpSocket>) -> Result<()> {
        let mut answer = [0; LONGEST_ANSWER];
        loop {
            let Some(socket) = socket(self) else { return Ok(()) };
            let length = match socket.recv(&mut answer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_icmp(&error) => continue,
                Err(error) => return Err(error).context("receive answers to probes"),
            };
            let now = self.progress.start.elapsed();
            let Some(number) = answer[..length].first_chunk() else { continue };
            let number = usize::try_from(u64::from_be_bytes(*number))?;
            let in_time = |probe: &&mut StreamProbe| now <= probe.sent + self.stream.patience;
            if let Some(probe) = self.probes.get_mut(number).filter(in_time) {
                probe.is_answered = true;
                Progress::add(&self.progress.open, 1);
            }
        }
    }

    /// Counts the probes without an answer whose patience has ended.
    fn expire(&mut self, now: Duration) {
        while let Some(probe) = self.probes.get(self.expired)
            && probe.sent + self.stream.patience < now
        {
            Progress::add(&self.progress.failed, usize::from(!probe.is_answered));
            self.expired += 1;
        }
    }

    /// Waits for the last answers.
    fn finish(mut self) -> Result<ProbeStreamReport> {
        let end = self.progress.start.elapsed() + self.stream.patience;
        while self.progress.start.elapsed() < end {
            for flow in 0..self.sockets.len() {
                self.receive(|sender| sender.sockets.get(flow))?;
            }
            for place in 0..self.retired.len() {
                self.receive(|sender| sender.retired.get(place).map(|it| &it.0))?;
            }
            sleep(Duration::from_millis(5));
        }
        Ok(ProbeStreamReport { probes: self.probes, started: self.progress.start })
    }
}

/// Whether the stack reports an ICMP error about an earlier probe.
fn is_icmp(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
    )
}
