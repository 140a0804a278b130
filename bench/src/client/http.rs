//! HTTP requests at a fixed rate over persistent connections.
//!
//! The load is open: every request has an intended start, whether those before it have been answered or not,
//! and its latency counts from there. A server that stalls delays all requests that were due meanwhile, and
//! all of them are recorded. A client that waits for an answer before it sends the next request would record
//! one.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use super::Latencies;

/// How long a connection may take to open.
const OPENS_WITHIN: Duration = Duration::from_secs(3);
/// How long answers are awaited after the last request was due.
const PATIENCE: Duration = Duration::from_secs(5);

/// A load at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub struct HttpLoad {
    /// The target.
    pub target: SocketAddr,
    /// Requests per second.
    pub rate: u32,
    /// Connections that they are spread over.
    pub connections: usize,
    /// How long.
    pub duration: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct HttpReport {
    /// Latencies of answered requests, from their intended starts.
    pub latencies: Latencies,
    /// Requests without an answer, or with another status than 200.
    pub failed: u64,
    /// From the first intended start to the last answer.
    pub duration: Duration,
}

impl HttpReport {
    /// Returns the answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.latencies.count() as f64 / self.duration.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

struct Connection {
    stream: TcpStream,
    /// The intended start of its request, if it has one.
    intended: Option<Instant>,
    received: Vec<u8>,
}

struct Load {
    target: SocketAddr,
    request: Vec<u8>,
    connections: Vec<Connection>,
    /// Places of connections without a request, the one that rests longest first.
    idle: VecDeque<usize>,
    report: HttpReport,
}

impl HttpLoad {
    /// Runs it on this thread.
    ///
    /// # Errors
    /// When connections do not open at the start; later failures are counted.
    pub fn run(self) -> Result<HttpReport> {
        // By default the kernel may delay a wake-up by 50 µs.
        prctl::set_timerslack(1).context("set the timer slack")?;
        let connections = (0..self.connections).map(|_| Connection::open(self.target));
        let mut load = Load {
            target: self.target,
            request: format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.target).into_bytes(),
            connections: connections.collect::<Result<Vec<_>>>()?,
            idle: (0..self.connections).collect(),
            report: HttpReport { latencies: Latencies::new()?, failed: 0, duration: Duration::ZERO },
        };
        load.run(self.rate, self.duration)?;
        Ok(load.report)
    }
}

impl Connection {
    fn open(target: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&target, OPENS_WITHIN)
            .with_context(|| format!("connect to {target}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, intended: None, received: Vec::new() })
    }
}

impl Load {
    fn run(&mut self, rate: u32, duration: Duration) -> Result<()> {
        let interval = Duration::from_secs(1) / rate.max(1);
        let total = u64::try_from(duration.as_nanos() / interval.as_nanos().max(1))?;
        let begun = Instant::now();
        let until = begun + duration + PATIENCE;
        let (mut due, mut issued) = (begun, 0);
        let mut waiting = VecDeque::new();
        loop {
            let now = Instant::now();
            while issued < total && due <= now {
                waiting.push_back(due);
                due += interval;
                issued += 1;
            }
            self.send(&mut waiting);
            let in_flight = self.connections.iter().filter(|it| it.intended.is_some()).count();
            let is_over = issued == total && waiting.is_empty() && in_flight == 0;
            if is_over || now > until {
                self.report.failed += (in_flight + waiting.len()) as u64;
                self.report.duration = begun.elapsed();
                return Ok(());
            }
            let next = if issued < total { due } else { until };
            self.receive(next.saturating_duration_since(Instant::now()))?;
        }
    }

    /// Sends requests that are due, as long as there are connections without one.
    fn send(&mut self, waiting: &mut VecDeque<Instant>) {
        while let (Some(&place), false) = (self.idle.front(), waiting.is_empty()) {
            self.idle.pop_front();
            let Some(intended) = waiting.pop_front() else { return };
            let connection = &mut self.connections[place];
            connection.intended = Some(intended);
            if connection.stream.write_all(&self.request).is_err() {
                self.fail(place);
            }
        }
    }

    /// Waits until an answer arrives, at most this long, and takes all that have arrived.
    fn receive(&mut self, at_most: Duration) -> Result<()> {
        let busy: Vec<usize> =
            (0..self.connections.len()).filter(|place| self.connections[*place].intended.is_some()).collect();
        let mut polled: Vec<PollFd<'_>> = busy
            .iter()
            .map(|place| PollFd::new(self.connections[*place].stream.as_fd(), PollFlags::POLLIN))
            .collect();
        ppoll(&mut polled, Some(TimeSpec::from_duration(at_most)), None).context("wait for answers")?;
        let ready: Vec<usize> = busy
            .iter()
            .zip(&polled)
            .filter(|(_, it)| it.any().unwrap_or_default())
            .map(|(place, _)| *place)
            .collect();
        ready.into_iter().for_each(|place| self.read(place));
        Ok(())
    }

    fn read(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        let mut buffer = [0; 4096];
        match connection.stream.read(&mut buffer) {
            Ok(0) => return self.fail(place),
            Ok(length) => connection.received.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return self.fail(place),
        }
        match parse(&connection.received) {
            Answer::Incomplete => {}
            Answer::Whole { is_last } => {
                let intended = connection.intended.take();
                connection.received.clear();
                if let Some(intended) = intended {
                    self.report.latencies.record(intended.elapsed());
                }
                if is_last {
                    self.reopen(place);
                } else {
                    self.idle.push_back(place);
                }
            }
            Answer::Other => self.fail(place),
        }
    }

    fn fail(&mut self, place: usize) {
        self.report.failed += 1;
        self.reopen(place);
    }

    /// Replaces a connection. While the new one opens, requests that are due wait, and it counts.
    fn reopen(&mut self, place: usize) {
        self.connections[place].intended = None;
        if let Ok(connection) = Connection::open(self.target) {
            self.connections[place] = connection;
            self.idle.push_back(place);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Incomplete,
    /// Status 200, with all of its body.
    Whole {
        /// Whether the server closes the connection.
        is_last: bool,
    },
    /// Not an answer with status 200 and a length.
    Other,
}

/// Parses an answer.
fn parse(received: &[u8]) -> Answer {
    let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Answer::Incomplete;
    };
    let (Ok(text), body) = (std::str::from_utf8(&received[..head]), received.len() - head - 4) else {
        return Answer::Other;
    };
    let mut lines = text.split("\r\n");
    let is_ok = lines.next().is_some_and(|status| status.split(' ').nth(1) == Some("200"));
    let header = |name: &str| {
        lines.clone().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    };
    let Some(length) = header("Content-Length").and_then(|it| it.parse::<usize>().ok()).filter(|_| is_ok)
    else {
        return Answer::Other;
    };
    let is_last = header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if body < length { Answer::Incomplete } else { Answer::Whole { is_last } }
}

#[cfg(test)]
mod tests;
