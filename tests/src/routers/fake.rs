//! A router that does what no router should, or looks at a clock as none does: a listener on the port of BGP with
//! manners of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::socket::{setsockopt, sockopt::RcvBuf};

use crate::lab::Host;

/// The port of BGP.
const PORT: u16 = 179;
/// Octets of its receive buffer: the kernel takes no less, and others' windows fill at once.
const BUFFER: usize = 2048;
/// Time between two KEEPALIVEs: below a third of the shortest hold time.
const KEEPALIVE_EVERY: Duration = Duration::from_millis(500);
/// Seconds that it offers to wait.
const HOLD_TIME: u16 = 9;
const MARKER: [u8; 16] = [0xff; 16];
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const KEEPALIVE: u8 = 4;
/// What stands in the OPEN's two octets for an AS number that needs four (RFC 6793).
const AS_TRANS: [u8; 2] = 23_456u16.to_be_bytes();

/// What it does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers what is no BGP.
    Babbles,
    /// Hangs up at once.
    HangsUp,
    /// Opens a session, sends KEEPALIVEs, and reads nothing more.
    ReadsNothing,
    /// Opens a session, sends KEEPALIVEs, and notes when UPDATEs come.
    NotesUpdates,
}

/// One that listens until it is dropped.
#[derive(Debug)]
pub struct Fake {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    asn: u32,
    router_id: Ipv4Addr,
    manner: Manner,
    accepted: Mutex<Vec<Instant>>,
    updates: Mutex<Vec<Instant>>,
    is_alive: AtomicBool,
}

impl Fake {
    /// Listens in a host.
    ///
    /// # Errors
    /// When somebody else does already.
    pub fn start(host: &Host, asn: u32, router_id: Ipv4Addr, manner: Manner) -> Result<Self> {
        let listener = host.run(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
            if manner == Manner::ReadsNothing {
                setsockopt(&listener, RcvBuf, &BUFFER)?;
            }
            Ok(listener)
        })?;
        let (accepted, updates, is_alive) = (Mutex::default(), Mutex::default(), AtomicBool::new(true));
        let state = Arc::new(State { asn, router_id, manner, accepted, updates, is_alive });
        let serving = Arc::clone(&state);
        // Ends with the test's process: what it listens in ends with the lab.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                note(&serving.accepted);
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.treat(stream));
            }
        });
        Ok(Self { state })
    }

    /// When connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> Vec<Instant> {
        self.state.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When UPDATEs came so far.
    #[must_use]
    pub fn updates(&self) -> Vec<Instant> {
        self.state.updates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says nothing more on any connection, and keeps them.
    pub fn fall_silent(&self) {
        self.state.is_alive.store(false, Ordering::Relaxed);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.fall_silent();
    }
}

fn note(moments: &Mutex<Vec<Instant>>) {
    moments.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
}

impl State {
    /// That the other side hangs up is what is tested.
    fn treat(&self, stream: TcpStream) {
        let _: std::io::Result<()> = match self.manner {
            Manner::HangsUp => Ok(()),
            Manner::Babbles => babble(stream),
            Manner::ReadsNothing => self.open_and_ignore(stream),
            Manner::NotesUpdates => self.open_and_note(&stream),
        };
    }

    fn open_and_ignore(&self, mut stream: TcpStream) -> std::io::Result<()> {
        read(&mut stream)?;
        stream.write_all(&self.open())?;
        while self.is_alive.load(Ordering::Relaxed) {
            stream.write_all(&message(KEEPALIVE, &[]))?;
            thread::sleep(KEEPALIVE_EVERY);
        }
        // The connection stays until the other side ends it: its window is shut, so nothing else is seen of that.
        loop {
            thread::sleep(KEEPALIVE_EVERY);
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
        }
    }

    fn open_and_note(&self, stream: &TcpStream) -> std::io::Result<()> {
        let (mut reader, mut writer) = (stream, stream);
        read(&mut reader)?;
        writer.write_all(&self.open())?;
        thread::scope(|scope| {
            scope.spawn(|| -> std::io::Result<()> {
                while self.is_alive.load(Ordering::Relaxed) {
                    writer.write_all(&message(KEEPALIVE, &[]))?;
                    thread::sleep(KEEPALIVE_EVERY);
                }
                Ok(())
            });
            loop {
                if read(&mut reader)? == UPDATE {
                    note(&self.updates);
                }
            }
        })
    }

    /// RFC 4271 section 4.2, with IPv4 unicast (RFC 4760) and an AS number of four octets (RFC 6793).
    fn open(&self) -> Vec<u8> {
        let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4];
        capabilities.extend(self.asn.to_be_bytes());
        let mut body = vec![4];
        body.extend(AS_TRANS);
        body.extend(HOLD_TIME.to_be_bytes());
        body.extend(self.router_id.octets());
        body.extend([capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
        body.extend(capabilities);
        message(OPEN, &body)
    }
}

/// Reads a message, and says of what type it is.
fn read(stream: &mut impl Read) -> std::io::Result<u8> {
    let mut header = [0; 19];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    stream.read_exact(&mut vec![0; length.saturating_sub(header.len())])?;
    Ok(header[18])
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = MARKER.to_vec();
    message.extend((body.len() as u16 + 19).to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

fn babble(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 19])?;
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
}
