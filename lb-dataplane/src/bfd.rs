//! The BFD maps: sessions (`lb_bfd`) and addresses (`lb_bfd_addrs`) for the program, and the packets that it
//! has noted.
//!
//! A session whose agent ends stays in the map, and the program answers the router in its place. The next
//! agent adopts it ([`BfdMaps::sessions`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aya::maps::{HashMap, MapData};
use lb_common::map_table::name;
#[cfg(doc)]
use lb_common::maps::capacity;
use lb_common::maps::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BfdAddress, BfdSession, Config, agent_cell};
use lb_common::wire::bfd;
use nix::time::{ClockId, clock_gettime};

use crate::map_io::{MapsError, entries, found, open, open_mapped, read_error, removed, written};
use crate::mapping::MappedWords;
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
    /// The peer's last packet, without its Poll and Final bits.
    pub theirs: [u8; bfd::LENGTH],
    /// The packet that answers it.
    pub ours: [u8; bfd::LENGTH],
    /// Silence of the agent after which the program answers; `None`: it never does.
    pub late_after: Option<Duration>,
    /// Minimum time between two answers.
    pub answer_interval: Duration,
    /// Time without a sign of life of the agent after which the program stops answering.
    pub dead_after: Duration,
    /// The agent's UDP source port.
    pub source_port: u16,
    /// Number of the session in `lb_agent`, below [`capacity::BFD`].
    pub number: u16,
}

/// The last valid packet of a session that the program has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPacket {
    /// Time since the start of `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// The packet, without its Poll and Final bits.
    pub bytes: [u8; bfd::LENGTH],
}

/// A session in the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstalledSession {
    /// What an agent has written, with the peer's last packet.
    pub config: BfdSessionConfig,
    /// When that packet arrived, since the start of `CLOCK_MONOTONIC`; `None` if the program has seen none.
    pub heard: Option<Duration>,
}

impl BfdMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self { sessions: open(pins, name::BFD)?, addresses: open(pins, name::BFD_ADDRESSES)? })
    }

    /// Writes a session under this node's discriminator, and has the program note its packets. What the
    /// program has noted of the same session stays.
    ///
    /// # Errors
    /// When the kernel refuses, because a map is full.
    pub fn write(&mut self, discriminator: u32, session: &BfdSessionConfig) -> Result<(), MapsError> {
        let mut value = BfdSession {
            remote: octets(session.remote),
            local: octets(session.local),
            theirs: bfd::words(&session.theirs),
            ours: bfd::words(&session.ours),
            heard: 0,
            answered: 0,
            late_after: session.late_after.map_or(0, nanoseconds),
            answer_interval: nanoseconds(session.answer_interval),
            dead_after: nanoseconds(session.dead_after),
            port: if session.minimum_ttl.is_some() { bfd::MULTIHOP_PORT } else { bfd::SINGLE_HOP_PORT },
            source_port: session.source_port.to_be_bytes(),
            number: session.number,
            minimum_ttl: session.minimum_ttl.unwrap_or(bfd::TTL),
            pad: 0,
        };
        if let Some(known) = self.session(discriminator)?
            && (known.remote, known.local, known.port) == (value.remote, value.local, value.port)
            && bfd::is_same_sender(&known.theirs, &value.theirs)
            && known.heard != 0
        {
            (value.theirs, value.heard, value.answered) = (known.theirs, known.heard, known.answered);
        }
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
        Ok(session.map(|session| LastPacket {
            at: Duration::from_nanos(session.heard),
            bytes: bfd::bytes(&session.theirs),
        }))
    }

    /// Returns all sessions by discriminator, including those that a previous agent has left.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn sessions(&self) -> Result<BTreeMap<u32, InstalledSession>, MapsError> {
        let installed = entries(name::BFD, &self.sessions)?;
        Ok(installed.into_iter().map(|(discriminator, session)| (discriminator, session.into())).collect())
    }

    fn session(&self, discriminator: u32) -> Result<Option<BfdSession>, MapsError> {
        found(name::BFD, self.sessions.get(&discriminator, 0))
    }
}

impl From<BfdSession> for InstalledSession {
    fn from(session: BfdSession) -> Self {
        let time = Duration::from_nanos;
        let some = |nanoseconds: u64| Some(time(nanoseconds)).filter(|time| !time.is_zero());
        Self {
            config: BfdSessionConfig {
                remote: address(session.remote),
                local: address(session.local),
                minimum_ttl: (session.port == bfd::MULTIHOP_PORT).then_some(session.minimum_ttl),
                theirs: bfd::bytes(&session.theirs),
                ours: bfd::bytes(&session.ours),
                late_after: some(session.late_after),
                answer_interval: time(session.answer_interval),
                dead_after: time(session.dead_after),
                source_port: u16::from_be_bytes(session.source_port),
                number: session.number,
            },
            heard: some(session.heard),
        }
    }
}

/// The cells of `lb_agent`: the agent's signs of life.
#[derive(Debug)]
pub struct AgentCells(MappedWords);

impl AgentCells {
    /// Maps the pinned cells.
    ///
    /// # Errors
    /// When they are not pinned or cannot be mapped.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        open_mapped(pins, name::AGENT, 1).map(Self)
    }

    /// Notes that the agent is alive at this time, since the start of `CLOCK_MONOTONIC`.
    pub fn note_alive(&self, now: Duration) {
        self.note(agent_cell::ALIVE, now);
    }

    /// Notes that the agent has sent a packet of the BFD session with this number.
    pub fn note_bfd_sent(&self, number: u16, now: Duration) {
        self.note(agent_cell::bfd_sent(number), now);
    }

    /// Returns when another node last probed this one, since the start of `CLOCK_MONOTONIC`; zero: never.
    pub(crate) fn probed(&self) -> Duration {
        Duration::from_nanos(self.0.read(agent_cell::PROBED as usize).unwrap_or_default())
    }

    /// Returns whether other nodes have taken over what this node announces, because its agent was gone.
    pub fn is_abandoned(&self, config: &Config) -> bool {
        let [alive, probed] = [agent_cell::ALIVE, agent_cell::PROBED]
            .map(|cell| self.0.read(cell as usize).unwrap_or_default());
        config.is_abandoned(alive, probed, nanoseconds(monotonic()))
    }

    fn note(&self, cell: u32, now: Duration) {
        let within = self.0.write(cell as usize, nanoseconds(now));
        debug_assert!(within, "the map has a cell for every session");
    }
}

/// Returns the time since the start of `CLOCK_MONOTONIC`, the program's clock.
pub(crate) fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn address(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).to_canonical()
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
