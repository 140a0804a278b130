//! A stream of numbered datagrams to the VIPs, fast enough to show a gap of a millisecond.
//!
//! The pods only count: the way back does not lead through the program, and would cost as much again. The
//! sender never makes up for time in which it did not run, since a burst would overrun queues.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use socket2::{Domain, Protocol, Socket, Type};

use super::drops::OverloadDrops;
use super::is_soak;
use super::vips::{STREAM_PORT, VIPS};
use crate::lab::Lab;

/// Flows of each family, so that every pod receives some.
const FLOWS: usize = 12;
/// The sender's pace.
const TICK: Duration = Duration::from_millis(1);
/// More than this is not sent at once.
const LONGEST_BURST: Duration = Duration::from_millis(5);
/// Room for all datagrams of a time in which a receiver does not run.
const QUEUE: usize = 32 << 20;
/// How long the last datagrams may take.
const LAST: Duration = Duration::from_millis(300);
/// How long a receiver waits before it looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Datagrams a second.
#[must_use]
pub fn rate() -> u64 {
    if is_soak() { 10_000 } else { 2_000 }
}

/// A running stream.
#[derive(Debug)]
pub struct PacketStream<'lab> {
    lab: &'lab Lab,
    before: OverloadDrops,
    begun: Instant,
    stop: [Arc<AtomicBool>; 2],
    sender: JoinHandle<Result<Vec<Duration>>>,
    receivers: Vec<JoinHandle<Result<Vec<u64>>>>,
}

/// The fate of the datagrams.
#[derive(Clone, Debug, Default)]
pub struct StreamReport {
    /// Sent.
    pub sent: u64,
    /// Not received.
    pub lost: u64,
    /// Received more than once.
    pub duplicated: u64,
    /// What this machine dropped meanwhile for lack of time.
    pub machine: OverloadDrops,
    /// The longest time from one received datagram of a flow to the next, as sent.
    pub longest_gap: Duration,
    /// When the first and the last lost datagram were sent, since the stream's start.
    pub lost_between: Option<(Duration, Duration)>,
    /// The longest time in which the sender did not run.
    pub stalled: Duration,
}

impl<'lab> PacketStream<'lab> {
    /// Starts it from the client to all pods.
    ///
    /// # Errors
    /// When a host cannot be entered, or a socket not be opened.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        let stop = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let pods: Vec<String> = lab.topology().pods.iter().map(|pod| pod.name.clone()).collect();
        let mut receivers = Vec::new();
        for pod in pods {
            // A socket belongs to the host in which it was opened, whichever host uses it.
            let (socket, stopped) = (lab.host(&pod)?.run(receiver)?, Arc::clone(&stop[1]));
            receivers.push(std::thread::spawn(move || receive(&socket, &stopped)));
        }
        let before = OverloadDrops::read(lab, STREAM_PORT)?;
        let sockets = lab.client()?.run(senders)?;
        let stopped = Arc::clone(&stop[0]);
        let sender = std::thread::spawn(move || Ok(send(&sockets, rate(), &stopped)));
        Ok(Self { lab, before, begun: Instant::now(), stop, sender, receivers })
    }

    /// Returns how long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Ends it.
    ///
    /// # Errors
    /// When a socket failed.
    pub fn finish(self) -> Result<StreamReport> {
        self.stop[0].store(true, Ordering::Relaxed);
        let sent = self.sender.join().map_err(|_| anyhow!("the sender panicked"))??;
        sleep(LAST);
        // Read while the sockets are open: their counts go with them.
        let machine = OverloadDrops::read(self.lab, STREAM_PORT)?.since(self.before);
        self.stop[1].store(true, Ordering::Relaxed);
        let mut received = vec![0_u32; sent.len()];
        for receiver in self.receivers {
            for number in receiver.join().map_err(|_| anyhow!("a receiver panicked"))?? {
                if let Some(count) = received.get_mut(usize::try_from(number)?) {
                    *count += 1;
                }
            }
        }
        Ok(StreamReport { machine, ..StreamReport::of(&sent, &received, 2 * FLOWS) })
    }
}

impl StreamReport {
    /// Evaluates when datagrams were sent, and how often each was received, of this many flows in turn.
    fn of(sent: &[Duration], received: &[u32], flows: usize) -> Self {
        let lost: Vec<usize> = (0..sent.len()).filter(|at| received[*at] == 0).collect();
        let gaps = sent.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let gap = |flow: usize| {
            let arrived = (flow..sent.len()).step_by(flows).filter(|at| received[*at] > 0);
            let arrived: Vec<Duration> = arrived.map(|at| sent[at]).collect();
            arrived.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        };
        Self {
            sent: sent.len() as u64,
            lost: lost.len() as u64,
            duplicated: received.iter().map(|count| u64::from(count.saturating_sub(1))).sum(),
            machine: OverloadDrops::default(),
            longest_gap: (0..flows).map(gap).max().unwrap_or_default(),
            lost_between: lost.first().zip(lost.last()).map(|(first, last)| (sent[*first], sent[*last])),
            stalled: gaps.max().unwrap_or_default(),
        }
    }

    /// Returns how many datagrams were lost beyond what this machine dropped for lack of time.
    #[must_use]
    pub fn lost_by_fault(&self) -> u64 {
        self.lost.saturating_sub(self.machine.total())
    }
}

/// Opens a receiver's socket in the host of the thread.
fn receiver() -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, STREAM_PORT)).into())?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    setsockopt(&socket, RcvBufForce, &QUEUE)?;
    Ok(socket.into())
}

fn receive(socket: &UdpSocket, stop: &AtomicBool) -> Result<Vec<u64>> {
    let (mut numbers, mut buffer) = (Vec::new(), [0; 64]);
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let number = buffer[..length].first_chunk().copied();
                numbers.extend(number.map(u64::from_be_bytes));
            }
            Err(_) if stop.load(Ordering::Relaxed) => return Ok(numbers),
            Err(_) => {}
        }
    }
}

/// Opens the senders' sockets, which take turns over the families. They are not connected: an ICMP error
/// would otherwise cost the next datagram.
fn senders() -> Result<Vec<(UdpSocket, SocketAddr)>> {
    let mut sockets = Vec::new();
    for _ in 0..FLOWS {
        for vip in VIPS {
            let any: IpAddr =
                if vip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            sockets.push((UdpSocket::bind((any, 0))?, SocketAddr::new(vip, STREAM_PORT)));
        }
    }
    Ok(sockets)
}

/// Sends until it is stopped; returns when each datagram was sent. One that the kernel did not take has no
/// number.
fn send(sockets: &[(UdpSocket, SocketAddr)], rate: u64, stop: &AtomicBool) -> Vec<Duration> {
    let begun = Instant::now();
    let (mut times, mut pause) = (Vec::<Duration>::new(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let now = begun.elapsed();
        let step = Duration::from_micros(1_000_000 / rate);
        let mut due = pause + step * u32::try_from(times.len()).unwrap_or(u32::MAX);
        if now > due + LONGEST_BURST {
            pause += now - due;
            due = now;
        }
        while due <= now {
            let (socket, target) = &sockets[times.len() % sockets.len()];
            if socket.send_to(&(times.len() as u64).to_be_bytes(), target).is_ok() {
                times.push(begun.elapsed());
            }
            due += step;
        }
        sleep(TICK);
    }
    times
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::StreamReport;

    #[test]
    fn losses_duplicates_and_gaps_are_found() {
        let sent: Vec<Duration> = (0..12).map(Duration::from_millis).collect();
        let received = [1, 1, 1, 0, 2, 0, 1, 1, 1, 1, 1, 1];
        let report = StreamReport::of(&sent, &received, 2);
        assert_eq!((report.sent, report.lost, report.duplicated), (12, 2, 1));
        assert_eq!(report.longest_gap, Duration::from_millis(6), "flow 1 has 1, 7, 9, 11");
        assert_eq!(report.lost_between, Some((Duration::from_millis(3), Duration::from_millis(5))));
        assert_eq!(report.stalled, Duration::from_millis(1));
    }
}
