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

use crate::lab::LabHost;

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
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
/// Where an OPEN's optional parameters begin, after the octet with their length.
const PARAMETERS: usize = 10;
/// NOTIFICATION: unsupported optional parameter.
const NO_PARAMETER: [u8; 2] = [2, 4];
/// NOTIFICATION: unsupported capability, and the one that it is about: extended message.
const NO_EXTENDED_MESSAGE: [u8; 4] = [2, 7, 6, 0];
/// What stands in the OPEN's two octets for an AS number that needs four (RFC 6793).
const AS_TRANS: [u8; 2] = 23_456u16.to_be_bytes();

/// What it does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeBehavior {
    /// Answers what is no BGP.
    Babbles,
    /// Hangs up at once.
    HangsUp,
    /// Opens a session, sends KEEPALIVEs, and reads nothing more.
    ReadsNothing,
    /// Opens a session, sends KEEPALIVEs, and notes when UPDATEs come.
    NotesUpdates,
    /// The same, but it knows no capabilities: it refuses an OPEN with optional parameters.
    TakesNoParameters,
    /// The same, but it refuses an OPEN with the capability "extended message", and names that.
    TakesNoExtendedMessages,
}

/// One that listens until it is dropped.
#[derive(Debug)]
pub struct FakeRouter {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    asn: u32,
    router_id: Ipv4Addr,
    manner: FakeBehavior,
    accepted: Mutex<Vec<Instant>>,
    updates: Mutex<Vec<Instant>>,
    opens: Mutex<Vec<Vec<u8>>>,
    is_alive: AtomicBool,
}

impl FakeRouter {
    /// Listens in a host.
    ///
    /// # Errors
    /// When somebody else does already.
    pub fn start(host: &LabHost, asn: u32, router_id: Ipv4Addr, manner: FakeBehavior) -> Result<Self> {
        let listener = host.run(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
            if manner == FakeBehavior::ReadsNothing {
                setsockopt(&listener, RcvBuf, &BUFFER)?;
            }
            Ok(listener)
        })?;
        let state = Arc::new(State {
            asn,
            router_id,
            manner,
            accepted: Mutex::default(),
            updates: Mutex::default(),
            opens: Mutex::default(),
            is_alive: AtomicBool::new(true),
        });
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

    /// The optional parameters of the OPENs that came so far.
    #[must_use]
    pub fn opens(&self) -> Vec<Vec<u8>> {
        self.state.opens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says nothing more on any connection, and keeps them.
    pub fn fall_silent(&self) {
        self.state.is_alive.store(false, Ordering::Relaxed);
    }
}

impl Drop for FakeRouter {
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
            FakeBehavior::HangsUp => Ok(()),
            FakeBehavior::Babbles => babble(stream),
            FakeBehavior::ReadsNothing => self.open_and_ignore(stream),
            FakeBehavior::NotesUpdates
            | FakeBehavior::TakesNoParameters
            | FakeBehavior::TakesNoExtendedMessages => self.open_and_note(&stream),
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
        let (_, body) = read_whole(&mut reader)?;
        let parameters = body.get(PARAMETERS..).unwrap_or_default();
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).push(parameters.to_vec());
        if let Some(refusal) = self.refusal(parameters) {
            return writer.write_all(&message(NOTIFICATION, refusal));
        }
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

    /// RFC 4271 section 4.2, with IPv4 unicast (RFC 4760) and an AS number of four octets (RFC 6793), or without any
    /// capability.
    fn open(&self) -> Vec<u8> {
        let mut body = vec![4];
        body.extend(u16::try_from(self.asn).map_or(AS_TRANS, u16::to_be_bytes));
        body.extend(HOLD_TIME.to_be_bytes());
        body.extend(self.router_id.octets());
        if self.manner == FakeBehavior::TakesNoParameters {
            body.push(0);
            return message(OPEN, &body);
        }
        let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4];
        capabilities.extend(self.asn.to_be_bytes());
        body.extend([capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
        body.extend(capabilities);
        message(OPEN, &body)
    }

    /// What it answers to an OPEN that it does not take.
    fn refusal(&self, parameters: &[u8]) -> Option<&'static [u8]> {
        let has_extended_message = || capabilities(parameters).any(|capability| capability == [6, 0]);
        match self.manner {
            FakeBehavior::TakesNoParameters if !parameters.is_empty() => Some(&NO_PARAMETER),
            FakeBehavior::TakesNoExtendedMessages if has_extended_message() => Some(&NO_EXTENDED_MESSAGE),
            _ => None,
        }
    }
}

/// The capabilities of a parameter that is a list of them (RFC 5492 section 4): code, length, value.
fn capabilities(parameters: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = parameters.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (capability, following) = rest.split_at_checked(2 + usize::from(*rest.get(1)?))?;
        rest = following;
        Some(capability)
    })
}

/// Reads a message, and says of what type it is.
fn read(stream: &mut impl Read) -> std::io::Result<u8> {
    read_whole(stream).map(|(kind, _)| kind)
}

/// Reads a message: its type, and what follows the header.
fn read_whole(stream: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 19];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0; length.saturating_sub(header.len())];
    stream.read_exact(&mut body)?;
    Ok((header[18], body))
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
