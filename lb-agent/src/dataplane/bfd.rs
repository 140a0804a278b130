//! BFD sessions in `lb_bfd` and their addresses in `lb_bfd_addrs`: written for the program, and what it has noted read
//! back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{HashMap, MapData, MapError};
use lb_common::map_table::name;
use lb_common::maps::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BfdAddress, BfdSession};
use lb_common::wire::bfd;

use super::maps::{MapsError, open, read_error, removed, written};
use super::pins::Pins;

/// The sessions that the program knows.
pub struct BfdSessions {
    sessions: HashMap<MapData, u32, BfdSession>,
    addresses: HashMap<MapData, [u8; 16], BfdAddress>,
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
        Ok(Self { sessions: open(pins, name::BFD)?, addresses: open(pins, name::BFD_ADDRESSES)? })
    }

    /// Has the program note packets of a session, which is known by this machine's discriminator. What was noted of a
    /// session that is there already is forgotten.
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
        written(name::BFD, session, self.sessions.insert(discriminator, value, 0))
    }

    /// Has the program forget a session. One that it does not know needs no removal.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, discriminator: u32) -> Result<(), MapsError> {
        removed(name::BFD, &discriminator, self.sessions.remove(&discriminator))
    }

    /// Has the program know these addresses and no others, those that an agent before this one has left included.
    ///
    /// Peers are known before anything is refused that is from no peer.
    ///
    /// # Errors
    /// When the kernel refuses: a map is full. What could not be written passes to the agent.
    pub fn set_addresses(&mut self, wanted: &BTreeMap<IpAddr, BfdAddress>) -> Result<(), MapsError> {
        let wanted: BTreeMap<_, _> =
            wanted.iter().map(|(address, entry)| (octets(*address), *entry)).collect();
        let listens = |entry: &BfdAddress| entry.flags & (BFD_LISTENS | BFD_LISTENS_MULTIHOP) != 0;
        for now in [false, true] {
            for (key, entry) in wanted.iter().filter(|(_, entry)| listens(entry) == now) {
                if found(name::BFD_ADDRESSES, self.addresses.get(key, 0))? != Some(*entry) {
                    written(name::BFD_ADDRESSES, entry, self.addresses.insert(key, entry, 0))?;
                }
            }
        }
        let installed: Result<Vec<_>, _> = self.addresses.keys().collect();
        for key in installed.map_err(|e| read_error(name::BFD_ADDRESSES, e))? {
            if !wanted.contains_key(&key) {
                removed(name::BFD_ADDRESSES, &key, self.addresses.remove(&key))?;
            }
        }
        Ok(())
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
