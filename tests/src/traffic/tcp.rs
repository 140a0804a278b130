//! A load of long-lived TCP connections that checks every byte.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::report::{ConnectionFailure, FailureCause, TcpConnectionReport, TcpReport};
use super::running::{Progress, RunningLoad, stopped};
use crate::lab::LabHost;
use crate::payload::{Greeting, PayloadStream, transform};

/// A greeting is shorter than this.
const LONGEST_GREETING: usize = 128;

/// A load of TCP connections to one address: each sends a chunk, checks the answer, rests, and so on.
#[derive(Clone, Debug)]
pub struct TcpLoad {
    /// The target.
    pub target: SocketAddr,
    /// Number of connections.
    pub connections: usize,
    /// How many of them may be connecting at a time.
    pub connecting: usize,
    /// Bytes of a chunk.
    pub chunk: usize,
    /// How long a connection rests after an answer.
    pub rest: Duration,
    /// How long a connection waits for an answer before it counts as broken.
    pub patience: Duration,
}

impl TcpLoad {
    /// Creates a load of one connection to `target`: 512 bytes every 300 ms, patience 10 s.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        Self {
            target,
            connections: 1,
            connecting: 64,
            chunk: 512,
            rest: Duration::from_millis(300),
            patience: Duration::from_secs(10),
        }
    }

    /// Sets the number of connections.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets how long a connection rests after an answer.
    #[must_use]
    pub fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// Sets how long a connection waits for an answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the load on a host.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn start(self, host: &LabHost) -> Result<RunningLoad<TcpReport>> {
        RunningLoad::start(host, move |progress, stop| self.run(progress, stop))
    }

    async fn run(self, progress: Arc<Progress>, stop: watch::Receiver<bool>) -> Result<TcpReport> {
        let gate = Arc::new(Semaphore::new(self.connecting));
        let start = progress.start;
        let mut tasks = Vec::with_capacity(self.connections);
        for number in 0..self.connections {
            let permit = Arc::clone(&gate).acquire_owned().await?;
            let client = Client {
                load: self.clone(),
                start,
                progress: Arc::clone(&progress),
                stop: stop.clone(),
                record: TcpConnectionReport::default(),
            };
            tasks.push(tokio::spawn(async move {
                let connected = client.connect().await;
                drop(permit);
                connected.run(number).await
            }));
        }
        let mut connections = Vec::with_capacity(tasks.len());
        for task in tasks {
            connections.push(task.await.context("a connection's task")?);
        }
        Ok(TcpReport { connections, elapsed: start.elapsed() })
    }
}

/// One connection's client.
struct Client {
    load: TcpLoad,
    start: Instant,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
    record: TcpConnectionReport,
}

/// A client after its greeting, or after its failure.
struct Connected {
    client: Client,
    stream: Option<TcpStream>,
}

impl Client {
    async fn connect(mut self) -> Connected {
        match timeout(self.load.patience, greet(self.load.target)).await.unwrap_or_else(|_| Err(silence())) {
            Ok((stream, greeting)) => {
                self.record.opened = self.start.elapsed();
                self.record.pod = Some(greeting.pod);
                self.record.seen = Some(greeting.client);
                Progress::add(&self.progress.open, 1);
                Connected { client: self, stream: Some(stream) }
            }
            Err(error) => {
                self.fail(&error);
                Connected { client: self, stream: None }
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        let failure =
            ConnectionFailure { cause: cause(error), at: self.start.elapsed(), detail: error.to_string() };
        self.record.failure = Some(failure);
        Progress::add(&self.progress.failed, 1);
    }

    async fn exchange_until_stopped(&mut self, stream: &mut TcpStream, number: usize) -> io::Result<()> {
        let mut payload = PayloadStream::new(number as u64);
        let mut chunk = vec![0; self.load.chunk];
        let mut answer = vec![0; self.load.chunk];
        loop {
            payload.fill(&mut chunk);
            exchange(stream, &mut chunk, &mut answer, self.load.patience).await?;
            self.record.bytes += chunk.len() as u64;
            Progress::add(&self.progress.bytes, chunk.len());
            tokio::select! {
                () = stopped(&mut self.stop) => return close(stream, self.load.patience).await,
                unexpected = unexpected(stream) => return Err(unexpected),
                () = sleep(self.load.rest) => (),
            }
        }
    }
}

impl Connected {
    async fn run(self, number: usize) -> TcpConnectionReport {
        let Self { mut client, stream } = self;
        if let Some(mut stream) = stream
            && let Err(error) = client.exchange_until_stopped(&mut stream, number).await
        {
            client.fail(&error);
        }
        client.record
    }
}

async fn greet(target: SocketAddr) -> io::Result<(TcpStream, Greeting)> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() > LONGEST_GREETING {
            return Err(mismatch("an unterminated greeting"));
        }
        line.push(stream.read_u8().await?);
    }
    let greeting = Greeting::from_line(&String::from_utf8_lossy(&line));
    Ok((stream, greeting.ok_or_else(|| mismatch("not a greeting"))?))
}

/// Sends a chunk and checks what comes back.
async fn exchange(
    stream: &mut TcpStream,
    chunk: &mut [u8],
    answer: &mut [u8],
    patience: Duration,
) -> io::Result<()> {
    let both = async {
        stream.write_all(chunk).await?;
        stream.read_exact(answer).await
    };
    timeout(patience, both).await.unwrap_or_else(|_| Err(silence()))?;
    transform(chunk);
    if chunk == answer { Ok(()) } else { Err(mismatch("a wrong byte came back")) }
}

/// Waits for an error of a resting connection: a reset is seen when it comes, not at the next chunk.
async fn unexpected(stream: &TcpStream) -> io::Error {
    match stream.peek(&mut [0]).await {
        Ok(0) => io::ErrorKind::UnexpectedEof.into(),
        Ok(_) => mismatch("an unexpected byte came"),
        Err(error) => error,
    }
}

/// Closes this side; the server must then close its own without another byte.
async fn close(stream: &mut TcpStream, patience: Duration) -> io::Result<()> {
    stream.shutdown().await?;
    match timeout(patience, stream.read(&mut [0])).await.unwrap_or_else(|_| Err(silence()))? {
        0 => Ok(()),
        _ => Err(mismatch("a byte came after the last one")),
    }
}

fn silence() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

fn mismatch(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn cause(error: &io::Error) -> FailureCause {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the standard library's list has no end")]
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FailureCause::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => FailureCause::Reset,
        io::ErrorKind::UnexpectedEof => FailureCause::Closed,
        io::ErrorKind::TimedOut => FailureCause::Timeout,
        io::ErrorKind::InvalidData => FailureCause::Mismatch,
        _ => FailureCause::Other,
    }
}
