//! BFD sessions in `lb_bfd` and `lb_bfd_peers`: written for the program, and what it has noted read back.

use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{HashMap, MapData, MapError};
use lb_common::maps::{BfdSession, name};
use lb_common::wire::bfd;

use super::maps::{MapsError, open, read_error, removed, written};
use super::pins::Pins;

/// The sessions that the program knows.
pub struct BfdSessions {
    sessions: HashMap<MapData, u32, BfdSession>,
    peers: HashMap<MapData, [u8; 16], u32>,
}

/// What the program is told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The router.
    pub remote: IpAddr,
    /// This machine, as the router knows it; of the same IP version.
    pub local: IpAddr,
    /// The least TTL or hop limit of packets of a session over several hops (RFC 5883); `None` for a session over one
    /// hop (RFC 5881), where it is 255.
    pub minimum_ttl: Option<u8>,
}

/// When the program has seen the last valid packet of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Time since the start of `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// The second byte of that packet: state and flags, see [`bfd::STATE_MASK`].
    pub state: u8,
}

impl Heard {
    /// Whether the router said that the session is up.
    pub const fn is_up(self) -> bool {
        self.state & bfd::STATE_MASK == bfd::UP
    }
}

impl BfdSessions {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self { sessions: open(pins, name::BFD)?, peers: open(pins, name::BFD_PEERS)? })
    }

    /// Has the program note packets of a session, which is known by this machine's discriminator, and return the
    /// router's echoes. What was noted of a session that is there already is forgotten.
    ///
    /// # Errors
    /// When the kernel refuses: a map is full.
    pub fn write(&mut self, discriminator: u32, session: &Session) -> Result<(), MapsError> {
        let value = BfdSession {
            remote: octets(session.remote),
            local: octets(session.local),
            heard: 0,
            port: if session.minimum_ttl.is_some() { bfd::MULTIHOP_PORT } else { bfd::SINGLE_HOP_PORT },
            minimum_ttl: session.minimum_ttl.unwrap_or(bfd::TTL),
            pad: 0,
            state: 0,
        };
        written(name::BFD, session, self.sessions.insert(discriminator, value, 0))?;
        written(name::BFD_PEERS, session, self.peers.insert(value.remote, discriminator, 0))
    }

    /// Has the program forget a session. One that it does not know needs no removal.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, discriminator: u32) -> Result<(), MapsError> {
        let Some(session) = self.session(discriminator)? else { return Ok(()) };
        removed(name::BFD, &discriminator, self.sessions.remove(&discriminator))?;
        // Another session with the router may have taken the entry over; and that one may be gone before this one.
        let holder = found(name::BFD_PEERS, self.peers.get(&session.remote, 0))?;
        if holder != Some(discriminator) {
            return Ok(());
        }
        match self.other_with(session.remote)? {
            Some(other) => written(name::BFD_PEERS, &other, self.peers.insert(session.remote, other, 0)),
            None => removed(name::BFD_PEERS, &discriminator, self.peers.remove(&session.remote)),
        }
    }

    /// When the router of a session was last heard of; `None` where it was not since the session was written, and
    /// where there is no such session.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn heard(&self, discriminator: u32) -> Result<Option<Heard>, MapsError> {
        let session = self.session(discriminator)?.filter(|session| session.heard != 0);
        Ok(session.map(|s| Heard { at: Duration::from_nanos(s.heard), state: s.state as u8 }))
    }

    /// Discriminators of all sessions that the program knows, those that an agent before this one has left included.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn discriminators(&self) -> Result<Vec<u32>, MapsError> {
        self.sessions.keys().collect::<Result<_, _>>().map_err(|e| read_error(name::BFD, e))
    }

    fn session(&self, discriminator: u32) -> Result<Option<BfdSession>, MapsError> {
        found(name::BFD, self.sessions.get(&discriminator, 0))
    }

    fn other_with(&self, remote: [u8; 16]) -> Result<Option<u32>, MapsError> {
        for discriminator in self.discriminators()? {
            if self.session(discriminator)?.is_some_and(|session| session.remote == remote) {
                return Ok(Some(discriminator));
            }
        }
        Ok(None)
    }
}

/// An entry, if it is there.
fn found<V>(map: &'static str, result: Result<V, MapError>) -> Result<Option<V>, MapsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(read_error(map, error)),
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
