//! A pod's SCTP server: it takes part in handshakes, answers heartbeats of its associations and aborts
//! others.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;

use super::packet::{SctpChunk, SctpPacket, SctpSocket, kind};
use crate::lab::LabHost;

/// Bytes of a cookie for the pod's name, after the tags of both ends.
const NAME: usize = 16;
const TAGS: usize = 8;

/// A server in a pod, stopped on drop.
#[derive(Debug)]
pub struct SctpServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl SctpServer {
    /// Serves a port of a pod.
    ///
    /// # Errors
    /// When the kernel grants no raw socket.
    pub fn start(pod: &LabHost, port: u16) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let name = pod.name().to_owned();
        let endpoint = pod.run(SctpSocket::open)?;
        let stopped = Arc::clone(&stop);
        let mut server = SctpPod { endpoint, name, port, known: HashMap::new(), next_tag: 1 };
        let thread = pod.thread(move || {
            while !stopped.load(Ordering::Relaxed) {
                server.step()?;
            }
            Ok(())
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for SctpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its errors show as the clients' silence, and are counted there.
            let _ = thread.join();
        }
    }
}

struct SctpPod {
    endpoint: SctpSocket,
    name: String,
    port: u16,
    /// The tags of both ends, the pod's first, by address and port of the client.
    known: HashMap<(Ipv4Addr, u16), (u32, u32)>,
    next_tag: u32,
}

impl SctpPod {
    fn step(&mut self) -> Result<()> {
        let Some((from, packet)) = self.endpoint.receive()? else { return Ok(()) };
        if packet.destination != self.port {
            return Ok(());
        }
        let client = (from, packet.source);
        let (tag, chunk) = match packet.chunk.kind {
            kind::INIT => {
                let Some(theirs) = packet.chunk.initiate_tag() else { return Ok(()) };
                (theirs, SctpChunk::init_ack(self.next_tag, &self.cookie(theirs)))
            }
            kind::COOKIE_ECHO => {
                let Some((own, theirs)) = tags_of(&packet.chunk.value) else { return Ok(()) };
                if own != packet.tag {
                    return Ok(());
                }
                self.known.insert(client, (own, theirs));
                (theirs, SctpChunk::new(kind::COOKIE_ACK, &[]))
            }
            kind::HEARTBEAT => match self.known.get(&client) {
                Some((own, theirs)) if *own == packet.tag => {
                    (*theirs, SctpChunk::new(kind::HEARTBEAT_ACK, &packet.chunk.value))
                }
                // Out of the blue (RFC 9260 section 8.4).
                _ => (packet.tag, SctpChunk::new(kind::ABORT, &[])),
            },
            _ => return Ok(()),
        };
        self.next_tag += u32::from(packet.chunk.kind == kind::INIT);
        self.endpoint.send(from, &SctpPacket { source: self.port, destination: packet.source, tag, chunk })
    }

    fn cookie(&self, theirs: u32) -> Vec<u8> {
        let mut name = self.name.clone().into_bytes();
        name.resize(NAME, 0);
        [&self.next_tag.to_be_bytes(), &theirs.to_be_bytes(), name.as_slice()].concat()
    }
}

/// Returns the pod that made a cookie.
pub(super) fn pod_of(cookie: &[u8]) -> String {
    let name = cookie.get(TAGS..).unwrap_or_default();
    String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()
}

fn tags_of(cookie: &[u8]) -> Option<(u32, u32)> {
    let (own, rest) = cookie.split_first_chunk()?;
    Some((u32::from_be_bytes(*own), u32::from_be_bytes(*rest.first_chunk()?)))
}
