//! A load of numbered datagrams that checks every byte.
//!
//! ```text
//! question   flow (8) │ number (8) │ payload
//! answer     flow (8) │ number (8) │ payload, transformed │ greeting
//! ```

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::report::{UdpFlowReport, UdpReport};
use super::running::{Progress, RunningLoad, stopped};
use crate::lab::LabHost;
use crate::payload::{DATAGRAM_HEADER, Greeting, PayloadStream, transform};

/// How long the last answers may take.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// More than a question and a greeting.
const LONGEST_ANSWER: usize = 2048;

/// A load of UDP flows to one address, each from a port of its own.
#[derive(Clone, Debug)]
pub struct UdpLoad {
    /// The target.
    pub target: SocketAddr,
    /// Number of flows.
    pub flows: usize,
    /// Bytes of payload in a datagram.
    pub payload: usize,
    /// Interval between datagrams of a flow.
    pub interval: Duration,
}

impl UdpLoad {
    /// Creates a load of one flow to `target`: 200 bytes every 50 ms.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        Self { target, flows: 1, payload: 200, interval: Duration::from_millis(50) }
    }

    /// Sets the number of flows.
    #[must_use]
    pub fn flows(mut self, flows: usize) -> Self {
        self.flows = flows;
        self
    }

    /// Sets the interval between datagrams of a flow.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Starts the load on a host.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn start(self, host: &LabHost) -> Result<RunningLoad<UdpReport>> {
        RunningLoad::start(host, move |progress, stop| self.run(progress, stop))
    }

    async fn run(self, progress: Arc<Progress>, stop: watch::Receiver<bool>) -> Result<UdpReport> {
        let start = progress.start;
        let mut tasks = Vec::with_capacity(self.flows);
        for number in 0..self.flows as u64 {
            let sender = Sender::new(&self, number, Arc::clone(&progress)).await?;
            tasks.push(tokio::spawn(sender.run(self.interval, stop.clone())));
            // Stagger the flows, so that they do not send in one burst.
            sleep(self.interval / u32::try_from(self.flows)?).await;
        }
        let mut flows = Vec::with_capacity(tasks.len());
        for task in tasks {
            flows.push(task.await.context("a flow's task")?);
        }
        Ok(UdpReport { flows, elapsed: start.elapsed() })
    }
}

/// One flow's client.
struct Sender {
    number: u64,
    socket: UdpSocket,
    payload: usize,
    progress: Arc<Progress>,
    waiting: HashSet<u64>,
    last_answer: Instant,
    record: UdpFlowReport,
}

impl Sender {
    async fn new(load: &UdpLoad, number: u64, progress: Arc<Progress>) -> io::Result<Self> {
        let any: SocketAddr = match load.target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(load.target).await?;
        Ok(Self {
            number,
            socket,
            payload: load.payload,
            progress,
            waiting: HashSet::new(),
            last_answer: Instant::now(),
            record: UdpFlowReport::default(),
        })
    }

    async fn run(mut self, every: Duration, mut stop: watch::Receiver<bool>) -> UdpFlowReport {
        let mut ticks = interval(every);
        // Do not catch up in a burst after not being scheduled.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; LONGEST_ANSWER];
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = ticks.tick() => self.send().await,
                received = self.socket.recv(&mut buffer) => self.receive(received, &mut buffer),
            }
        }
        let last_answers = async {
            while !self.waiting.is_empty() {
                let received = self.socket.recv(&mut buffer).await;
                self.receive(received, &mut buffer);
            }
        };
        // Answers that have not come by now are lost, and counted as such.
        let _ = timeout(LAST_ANSWERS, last_answers).await;
        self.note_silence();
        self.record
    }

    async fn send(&mut self) {
        let number = self.record.sent;
        let datagram = self.question(number);
        self.record.sent += 1;
        // A datagram that the stack rejects counts as lost.
        if self.socket.send(&datagram).await.is_ok() {
            self.waiting.insert(number);
        }
    }

    fn receive(&mut self, received: io::Result<usize>, buffer: &mut [u8]) {
        // An ICMP error on the socket is about a datagram that is lost anyway.
        let Ok(length) = received else { return };
        let Some(greeting) = self.check(&mut buffer[..length]) else {
            self.record.wrong += 1;
            return;
        };
        self.note_silence();
        self.last_answer = Instant::now();
        if self.record.answered == 0 {
            self.progress.open.fetch_add(1, Ordering::Relaxed);
        }
        self.record.answered += 1;
        self.record.bytes += self.payload as u64;
        Progress::add(&self.progress.bytes, self.payload);
        *self.record.pods.entry(greeting.pod).or_default() += 1;
        self.record.seen = Some(greeting.client);
    }

    /// Checks every byte of an answer to an unanswered question.
    fn check(&mut self, answer: &mut [u8]) -> Option<Greeting> {
        let (echoed, greeting) = answer.split_at_mut_checked(DATAGRAM_HEADER + self.payload)?;
        transform(&mut echoed[DATAGRAM_HEADER..]);
        let number = u64::from_be_bytes(echoed.get(8..DATAGRAM_HEADER)?.try_into().ok()?);
        if !self.waiting.remove(&number) || echoed != self.question(number) {
            return None;
        }
        Greeting::from_line(&String::from_utf8_lossy(greeting))
    }

    fn question(&self, number: u64) -> Vec<u8> {
        let mut datagram = vec![0; DATAGRAM_HEADER + self.payload];
        datagram[..8].copy_from_slice(&self.number.to_be_bytes());
        datagram[8..DATAGRAM_HEADER].copy_from_slice(&number.to_be_bytes());
        PayloadStream::new((self.number << 32) | number).fill(&mut datagram[DATAGRAM_HEADER..]);
        datagram
    }

    fn note_silence(&mut self) {
        self.record.longest_silence = self.record.longest_silence.max(self.last_answer.elapsed());
    }
}
