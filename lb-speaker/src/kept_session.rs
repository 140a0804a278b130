//! A session as the keeper holds it: the journal of its octets, and a state that another agent can read.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lb_bgp::session::{ConnectionDirection, Handover, RefusedCapabilities, SessionRecord};
use lb_bgp::value::AddressFamily;
use lb_keeper::journal::Journal;
use lb_keeper::{Stream, StreamTerms};
use lb_runtime::random;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::desired::{Md5Key, Transport};

/// Version of the state.
const VERSION: u32 = 1;
/// Length of a journal from which it is replaced by a shorter one.
const LONG: u64 = 1 << 20;

/// The record of a session that the keeper holds.
#[derive(Debug)]
pub(super) struct KeptSession {
    /// The octets sent.
    pub(super) journal: Journal,
    /// What the keeper has; its [`lasted`](SessionRecord::lasted) is zero. `None` before the first time.
    held: Option<Handover>,
    /// Clock time of becoming Established.
    since: Duration,
    salt: [u8; 16],
}

/// The state of a session in the keeper, read by agents of this and later versions.
#[derive(Debug, Deserialize, Serialize)]
struct KeptState {
    v: u32,
    is_incoming: bool,
    /// Our OPEN.
    ours: String,
    /// The peer's OPEN.
    theirs: String,
    /// Refused capabilities.
    refused: Option<RefusedState>,
    /// AFIs of the families to be advertised again.
    refreshing: Vec<u16>,
    /// Time of becoming Established, in milliseconds since the machine's start.
    since: u64,
    salt: String,
    /// A digest of the transport. With the salt, equal passwords of two peers have different digests.
    transport: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct RefusedState {
    all: bool,
    families: Vec<u16>,
    codes: Vec<u8>,
}

/// A state that was read.
#[derive(Debug)]
pub(super) struct ReadState {
    /// The parameters of the session.
    pub(super) record: SessionRecord,
    since: Duration,
    salt: [u8; 16],
    transport: Vec<u8>,
}

/// Reasons why a state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// Not JSON of this form.
    #[error("its state is malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// Not base64.
    #[error("its state is malformed: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Written by a later version.
    #[error("its state has version {0}, and this agent reads {VERSION}")]
    Version(u32),
    /// The salt has another length.
    #[error("its state has a salt of a wrong length")]
    Salt,
}

/// What a session is kept as.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptIdentity<'a> {
    /// The name of the peer.
    pub(super) name: &'a str,
    /// Its transport.
    pub(super) transport: &'a Transport,
}

impl KeptSession {
    /// Returns the record of a session that has been up for `lasted`.
    ///
    /// # Errors
    /// If the kernel provides no clock or randomness.
    pub(super) fn new(journal: Journal, lasted: Duration) -> io::Result<Self> {
        let since = uptime()?.saturating_sub(lasted);
        Ok(Self { journal, held: None, since, salt: random::bytes()? })
    }

    /// Returns the record of an adopted session.
    pub(super) const fn adopted(journal: Journal, state: &ReadState) -> Self {
        Self { journal, held: None, since: state.since, salt: state.salt }
    }

    /// Returns whether a snapshot may be much shorter than the journal.
    pub(super) const fn is_long(&self) -> bool {
        let stream = self.journal.stream_len();
        stream > LONG && stream / 4 > self.journal.snapshot_len()
    }

    /// Returns the stream for the keeper, if it does not have it as it is.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub(super) fn changed(
        &mut self,
        socket: &TcpStream,
        identity: KeptIdentity<'_>,
        mut handover: Handover,
    ) -> io::Result<Option<Stream>> {
        handover.session.lasted = Duration::ZERO;
        if self.held.as_ref() == Some(&handover) {
            return Ok(None);
        }
        self.held = Some(handover);
        self.stream(socket, identity, &self.journal)
    }

    /// Returns the stream for the keeper, with another journal; `None` if the keeper does not have the
    /// session.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub(super) fn stream(
        &self,
        socket: &TcpStream,
        identity: KeptIdentity<'_>,
        journal: &Journal,
    ) -> io::Result<Option<Stream>> {
        let Some(handover) = &self.held else { return Ok(None) };
        let terms = StreamTerms {
            keepalive: handover.keepalive,
            keepalive_octets: handover.keepalive_message.clone(),
            farewell: handover.farewell.clone(),
            restartable: handover.is_restartable,
            state: serde_json::to_vec(&self.state(&handover.session, identity.transport))?,
        };
        Ok(Some(Stream {
            name: identity.name.to_owned(),
            socket: socket.as_fd().try_clone_to_owned()?,
            journal: journal.file().try_clone_to_owned()?,
            terms,
        }))
    }

    fn state(&self, record: &SessionRecord, transport: &Transport) -> KeptState {
        KeptState {
            v: VERSION,
            is_incoming: record.direction == ConnectionDirection::Incoming,
            ours: BASE64_STANDARD.encode(&record.ours),
            theirs: BASE64_STANDARD.encode(&record.theirs),
            refused: record.refused.as_ref().map(RefusedState::from),
            refreshing: record.refreshing.iter().map(|family| family.afi()).collect(),
            since: u64::try_from(self.since.as_millis()).unwrap_or(u64::MAX),
            salt: BASE64_STANDARD.encode(self.salt),
            transport: BASE64_STANDARD.encode(digest(&self.salt, transport)),
        }
    }
}

impl ReadState {
    /// Reads a state.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(super) fn read(state: &[u8]) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
        }
        let Versioned { v } = serde_json::from_slice(state)?;
        if v != VERSION {
            return Err(StateError::Version(v));
        }
        let state: KeptState = serde_json::from_slice(state)?;
        let since = Duration::from_millis(state.since);
        let direction =
            if state.is_incoming { ConnectionDirection::Incoming } else { ConnectionDirection::Outgoing };
        let record = SessionRecord {
            direction,
            ours: BASE64_STANDARD.decode(state.ours)?,
            theirs: BASE64_STANDARD.decode(state.theirs)?,
            refused: state.refused.map(RefusedCapabilities::from),
            refreshing: families(&state.refreshing),
            lasted: uptime().unwrap_or(since).saturating_sub(since),
        };
        let salt = BASE64_STANDARD.decode(state.salt)?.try_into().map_err(|_| StateError::Salt)?;
        Ok(Self { record, since, salt, transport: BASE64_STANDARD.decode(state.transport)? })
    }

    /// Returns whether the session has this transport.
    pub(super) fn is_over(&self, transport: &Transport) -> bool {
        self.transport == digest(&self.salt, transport)
    }
}

impl From<&RefusedCapabilities> for RefusedState {
    fn from(refused: &RefusedCapabilities) -> Self {
        match refused {
            RefusedCapabilities::All => Self { all: true, families: Vec::new(), codes: Vec::new() },
            RefusedCapabilities::Some { families, codes } => Self {
                all: false,
                families: families.iter().map(|family| family.afi()).collect(),
                codes: codes.iter().copied().collect(),
            },
        }
    }
}

impl From<RefusedState> for RefusedCapabilities {
    fn from(state: RefusedState) -> Self {
        if state.all {
            return Self::All;
        }
        let families = families(&state.families).into_iter().collect();
        Self::Some { families, codes: state.codes.into_iter().collect() }
    }
}

fn families(afis: &[u16]) -> Vec<AddressFamily> {
    let all = [AddressFamily::Ipv4, AddressFamily::Ipv6];
    all.into_iter().filter(|family| afis.contains(&family.afi())).collect()
}

/// Returns a digest that differs between transports, and from which no password can be read.
fn digest(salt: &[u8; 16], transport: &Transport) -> Vec<u8> {
    let Transport { address, port, source, device, key, minimum_ttl } = transport;
    let address_octets = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let parts = [
        Some(address_octets(address)),
        Some(port.to_be_bytes().to_vec()),
        source.as_ref().map(address_octets),
        device.as_ref().map(|device| device.as_bytes().to_vec()),
        key.as_ref().map(|key| Md5Key::octets(key).to_vec()),
        minimum_ttl.map(|ttl| vec![ttl]),
    ];
    let mut hasher = Sha256::new();
    hasher.update(salt);
    for part in parts {
        // Its length delimits a part; no part is as long as the number for an absent one.
        hasher.update(part.as_ref().map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hasher.update(part.unwrap_or_default());
    }
    hasher.finalize().to_vec()
}

/// Returns the time since the machine's start, which all processes share.
fn uptime() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME)?.into())
}

#[cfg(test)]
mod tests;
