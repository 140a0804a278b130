//! A keeper in a thread, and the two ends of a TCP stream.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lb_keeper::journal::Journal;
use lb_keeper::process::{self, KeeperOptions};
use lb_keeper::{ClientOptions, KeeperClient, Stream, StreamTerms, position};
use tempfile::TempDir;

/// Interval of the keepalives of all streams.
pub(crate) const KEEPALIVE: Duration = Duration::from_millis(200);

/// A keeper in a thread.
pub(crate) struct TestKeeper {
    pub(crate) socket: PathBuf,
    stop: UnixStream,
    thread: JoinHandle<()>,
}

impl TestKeeper {
    pub(crate) fn start(directory: &TempDir, bound: Duration) -> Self {
        let socket = directory.path().join("keeper.sock");
        let (stop, stopped) = UnixStream::pair().unwrap();
        let options = KeeperOptions {
            socket: socket.clone(),
            bound,
            exit_when_idle: false,
            release: "test".to_owned(),
        };
        let thread = std::thread::spawn(move || process::run(&options, stopped).unwrap());
        Self { socket, stop, thread }
    }

    pub(crate) fn stop(&mut self) {
        self.stop.write_all(b"x").unwrap();
    }

    /// Waits until it has stopped; returns how long that took.
    pub(crate) fn join(self) -> Duration {
        let start = Instant::now();
        self.thread.join().unwrap();
        start.elapsed()
    }

    /// Returns an agent that is connected.
    pub(crate) async fn agent(&self) -> KeeperClient {
        let agent = KeeperClient::start(self.socket.clone(), ClientOptions::default()).unwrap();
        until("connected", || agent.status().connected).await;
        agent
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The agent's end of a stream.
pub(crate) struct AgentEnd {
    pub(crate) socket: TcpStream,
    pub(crate) journal: Journal,
}

impl AgentEnd {
    pub(crate) fn of(stream: Stream) -> Self {
        Self { socket: stream.socket.into(), journal: Journal::open(stream.journal).unwrap() }
    }

    /// Appends and writes.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.journal.append(octets).unwrap();
        self.socket.write_all(octets).unwrap();
    }

    pub(crate) fn duplicates(&self, name: &str, restartable: bool) -> Stream {
        let terms = StreamTerms {
            keepalive: Some(KEEPALIVE),
            keepalive_octets: b"k".to_vec(),
            farewell: b"bye".to_vec(),
            restartable,
            state: b"state".to_vec(),
        };
        let socket = OwnedFd::from(self.socket.try_clone().unwrap());
        let journal = self.journal.file().try_clone_to_owned().unwrap();
        Stream { name: name.to_owned(), socket, journal, terms }
    }
}

/// The peer's end of a stream.
pub(crate) struct PeerEnd(pub(crate) TcpStream);

impl PeerEnd {
    /// Reads exactly these octets.
    pub(crate) fn expect(&mut self, octets: &[u8]) {
        let mut buffer = vec![0; octets.len()];
        self.0.read_exact(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer), String::from_utf8_lossy(octets));
    }

    /// Reads until the stream ends.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }

    /// Reads until nothing comes for three intervals of keepalives.
    pub(crate) fn until_silent(&mut self) -> String {
        self.0.set_read_timeout(Some(3 * KEEPALIVE)).unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => panic!("the stream has ended"),
                Ok(octets) => all.extend(&buffer[..octets]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        String::from_utf8(all).unwrap()
    }
}

/// Returns both ends of a new stream.
pub(crate) fn stream() -> (AgentEnd, PeerEnd) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let peer = listener.accept().unwrap().0;
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let journal = Journal::create(position::written(&socket).unwrap(), b"").unwrap();
    (AgentEnd { socket, journal }, PeerEnd(peer))
}
