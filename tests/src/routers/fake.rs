//! A fake router that misbehaves, or records the times of messages: a listener on the BGP port.

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
/// Size of its receive buffer: the kernel's minimum, so that the sender's window fills at once.
const BUFFER: usize = 2048;
/// Interval of KEEPALIVEs: below a third of the shortest hold time.
const KEEPALIVE_EVERY: Duration = Duration::from_millis(500);
/// Its hold time in seconds.
const HOLD_TIME: u16 = 9;
const MARKER: [u8; 16] = [0xff; 16];
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
/// Offset of an OPEN's optional parameters, after the octet with their length.
const PARAMETERS: usize = 10;
/// NOTIFICATION: unsupported optional parameter.
const NO_PARAMETER: [u8; 2] = [2, 4];
/// NOTIFICATION: unsupported capability, with the capability in question: extended message.
const NO_EXTENDED_MESSAGE: [u8; 4] = [2, 7, 6, 0];
/// The OPEN's two-octet AS number for an AS number that needs four octets (RFC 6793).
const AS_TRANS: [u8; 2] = 23_456u16.to_be_bytes();

/// Its behavior on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeBehavior {
    /// Answers with something other than BGP.
    AnswersGarbage,
    /// Closes the connection at once.
    Closes,
    /// Opens a session, sends KEEPALIVEs, and reads nothing more.
    ReadsNothing,
    /// Opens a session, sends KEEPALIVEs, and records the times of UPDATEs.
    RecordsUpdates,
    /// Likewise, but rejects an OPEN with optional parameters, as a router without capabilities does.
    RejectsParameters,
    /// Likewise, but rejects an OPEN with the capability "extended message", and names it.
    RejectsExtendedMessages,
}

/// A fake router, which listens until it is dropped.
#[derive(Debug)]
pub struct FakeRouter {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    asn: u32,
    router_id: Ipv4Addr,
    behavior: FakeBehavior,
    accepted: Mutex<Vec<Instant>>,
    updates: Mutex<Vec<Instant>>,
    opens: Mutex<Vec<Vec<u8>>>,
    is_alive: AtomicBool,
}

impl FakeRouter {
    /// Listens in a host.
    ///
    /// # Errors
    /// When the port is in use.
    pub fn start(host: &LabHost, asn: u32, router_id: Ipv4Addr, behavior: FakeBehavior) -> Result<Self> {
        let listener = host.run(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
            if behavior == FakeBehavior::ReadsNothing {
                setsockopt(&listener, RcvBuf, &BUFFER)?;
            }
            Ok(listener)
        })?;
        let state = Arc::new(State {
            asn,
            router_id,
            behavior,
            accepted: Mutex::default(),
            updates: Mutex::default(),
            opens: Mutex::default(),
            is_alive: AtomicBool::new(true),
        });
        let serving = Arc::clone(&state);
        // The thread ends with the test's process; its network namespace ends with the lab.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                note(&serving.accepted);
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.handle(stream));
            }
        });
        Ok(Self { state })
    }

    /// Returns the times of accepted connections.
    #[must_use]
    pub fn accepted(&self) -> Vec<Instant> {
        self.state.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the times of UPDATEs.
    #[must_use]
    pub fn updates(&self) -> Vec<Instant> {
        self.state.updates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the optional parameters of the OPENs received.
    #[must_use]
    pub fn opens(&self) -> Vec<Vec<u8>> {
        self.state.opens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops sending on all connections, and keeps them open.
    pub fn stop_sending(&self) {
        self.state.is_alive.store(false, Ordering::Relaxed);
    }
}

impl Drop for FakeRouter {
    fn drop(&mut self) {
        self.stop_sending();
    }
}

fn note(moments: &Mutex<Vec<Instant>>) {
    moments.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
}

impl State {
    /// Handles a connection; it is expected that the other side closes it.
    fn handle(&self, stream: TcpStream) {
        let _: std::io::Result<()> = match self.behavior {
            FakeBehavior::Closes => Ok(()),
            FakeBehavior::AnswersGarbage => answer_garbage(stream),
            FakeBehavior::ReadsNothing => self.open_and_ignore(stream),
            FakeBehavior::RecordsUpdates
            | FakeBehavior::RejectsParameters
            | FakeBehavior::RejectsExtendedMessages => self.open_and_record(&stream),
        };
    }

    fn open_and_ignore(&self, mut stream: TcpStream) -> std::io::Result<()> {
        read(&mut stream)?;
        stream.write_all(&self.open())?;
        while self.is_alive.load(Ordering::Relaxed) {
            stream.write_all(&message(KEEPALIVE, &[]))?;
            thread::sleep(KEEPALIVE_EVERY);
        }
        // Keep the connection until the other side ends it: with a closed window, nothing else shows that.
        loop {
            thread::sleep(KEEPALIVE_EVERY);
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
        }
    }

    fn open_and_record(&self, stream: &TcpStream) -> std::io::Result<()> {
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

    /// Builds an OPEN (RFC 4271 section 4.2), with IPv4 unicast (RFC 4760) and an AS number of four octets
    /// (RFC 6793), or without any capability.
    fn open(&self) -> Vec<u8> {
        let mut body = vec![4];
        body.extend(u16::try_from(self.asn).map_or(AS_TRANS, u16::to_be_bytes));
        body.extend(HOLD_TIME.to_be_bytes());
        body.extend(self.router_id.octets());
        if self.behavior == FakeBehavior::RejectsParameters {
            body.push(0);
            return message(OPEN, &body);
        }
        let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4];
        capabilities.extend(self.asn.to_be_bytes());
        body.extend([capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
        body.extend(capabilities);
        message(OPEN, &body)
    }

    /// Returns the NOTIFICATION for an OPEN that it rejects.
    fn refusal(&self, parameters: &[u8]) -> Option<&'static [u8]> {
        let has_extended_message = || capabilities(parameters).any(|capability| capability == [6, 0]);
        match self.behavior {
            FakeBehavior::RejectsParameters if !parameters.is_empty() => Some(&NO_PARAMETER),
            FakeBehavior::RejectsExtendedMessages if has_extended_message() => Some(&NO_EXTENDED_MESSAGE),
            _ => None,
        }
    }
}

/// Iterates over the capabilities in optional parameters (RFC 5492 section 4): code, length, value.
fn capabilities(parameters: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = parameters.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (capability, following) = rest.split_at_checked(2 + usize::from(*rest.get(1)?))?;
        rest = following;
        Some(capability)
    })
}

/// Reads a message and returns its type.
fn read(stream: &mut impl Read) -> std::io::Result<u8> {
    read_whole(stream).map(|(kind, _)| kind)
}

/// Reads a message and returns its type and its body.
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

fn answer_garbage(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 19])?;
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
}
