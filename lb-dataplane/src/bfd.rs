//! The BFD maps: sessions (`lb_bfd`) and addresses (`lb_bfd_addrs`) for the program, and the packets that it
//! has noted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{HashMap, MapData};
use lb_common::map_table::name;
use lb_common::maps::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BfdAddress, BfdSession};
use lb_common::wire::bfd;

use crate::map_io::{MapsError, found, open, read_error, removed, written};
use crate::pins::Pins;

/// The BFD sessions and addresses that the program knows.
pub struct BfdMaps {
    sessions: HashMap<MapData, u32, BfdSession>,
    addresses: HashMap<MapData, [u8; 16], BfdAddress>,
}

/// A BFD session as the program knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSessionConfig {
    /// The peer's address.
    pub remote: IpAddr,
    /// This node's address towards the peer; of the same IP version.
    pub local: IpAddr,
    /// The minimum TTL or hop limit of a multihop session's packets (RFC 5883); `None` for a single-hop
    /// session (RFC 5881), whose packets have 255.
    pub minimum_ttl: Option<u8>,
}

/// The last valid packet of a session that the program has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPacket {
    /// Time since the start of `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// The second byte of that packet: state and flags, see [`bfd::STATE_MASK`].
    pub state: u8,
}

impl LastPacket {
    /// Returns whether the peer reported the session as up.
    pub const fn is_up(self) -> bool {
        self.state & bfd::STATE_MASK == bfd::UP
    }
}

impl BfdMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self { sessions: open(pins, name::BFD)?, addresses: open(pins, name::BFD_ADDRESSES)? })
    }

    /// Adds a session under this node's discriminator, and has the program note its packets. Replaces an
    /// existing session and clears its last packet.
    ///
    /// # Errors
    /// When the kernel refuses, because a map is full.
    pub fn write(&mut self, discriminator: u32, session: &BfdSessionConfig) -> Result<(), MapsError> {
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

    /// Removes a session; an unknown session is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, discriminator: u32) -> Result<(), MapsError> {
        removed(name::BFD, &discriminator, self.sessions.remove(&discriminator))
    }

    /// Replaces the addresses that the program knows, including those that a previous agent has left. Writes
    /// peers before local addresses, from which on the program refuses packets of unknown peers.
    ///
    /// # Errors
    /// When the kernel refuses, because a map is full. Packets to an address that is missing pass to the
    /// agent.
    pub fn set_addresses(&mut self, desired: &BTreeMap<IpAddr, BfdAddress>) -> Result<(), MapsError> {
        let desired: BTreeMap<_, _> =
            desired.iter().map(|(address, entry)| (octets(*address), *entry)).collect();
        let listens = |entry: &BfdAddress| entry.flags & (BFD_LISTENS | BFD_LISTENS_MULTIHOP) != 0;
        for now in [false, true] {
            for (key, entry) in desired.iter().filter(|(_, entry)| listens(entry) == now) {
                if found(name::BFD_ADDRESSES, self.addresses.get(key, 0))? != Some(*entry) {
                    written(name::BFD_ADDRESSES, entry, self.addresses.insert(key, entry, 0))?;
                }
            }
        }
        let installed: Result<Vec<_>, _> = self.addresses.keys().collect();
        for key in installed.map_err(|e| read_error(name::BFD_ADDRESSES, e))? {
            if !desired.contains_key(&key) {
                removed(name::BFD_ADDRESSES, &key, self.addresses.remove(&key))?;
            }
        }
        Ok(())
    }

    /// Returns the last packet of a session; `None` if there has been none since the session was written, or
    /// if there is no such session.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn last_packet(&self, discriminator: u32) -> Result<Option<LastPacket>, MapsError> {
        let session = self.session(discriminator)?.filter(|session| session.heard != 0);
        Ok(session.map(|s| LastPacket { at: Duration::from_nanos(s.heard), state: s.state as u8 }))
    }

    /// Returns the discriminators of all sessions, including those that a previous agent has left.
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

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
