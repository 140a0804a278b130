//! The pinned maps, written by operations and read back as [`Contents`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::Ipv4Addr;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use lb_common::map_table::name;
use lb_common::maps::{Announcer, Config, Link, Node, Traffic};
use lb_plan::contents::{Contents, Op};

use super::mapping::MappedWords;
use super::pins::Pins;
use super::rings::RingMaps;
use super::sources::SourceMaps;
use super::vips::VipMaps;

/// A map that would not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// A map cannot be opened.
    #[error("cannot open map {map}: {source}")]
    Open {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// A map cannot be read.
    #[error("cannot read map {map}: {source}")]
    Read {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// An entry cannot be written; mostly the map is full.
    #[error("cannot write {entry} to map {map}: {source}")]
    Write {
        /// Its name.
        map: &'static str,
        /// The entry, for people.
        entry: String,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// A map cannot be mapped into memory.
    #[error("cannot map a table into memory: {0}")]
    Mapping(#[source] std::io::Error),
    /// A slot outside the map.
    #[error("slot {0} is outside lb_rings")]
    NoSuchSlot(usize),
    /// A bucket outside the map.
    #[error("bucket {0} is outside {1}")]
    NoSuchBucket(usize, &'static str),
}

/// All maps that the agent writes.
pub struct Maps {
    vips: VipMaps,
    rings: RingMaps,
    nodes: Array<MapData, Node>,
    peers: HashMap<MapData, [u8; 16], u32>,
    peer_macs: HashMap<MapData, [u8; 8], u32>,
    arp: HashMap<MapData, [u8; 4], Announcer>,
    links: HashMap<MapData, u32, Link>,
    config: Array<MapData, Config>,
    vip_stats: PerCpuArray<MapData, Traffic>,
    flow_sets: u32,
    sources: SourceMaps,
}

pub(super) fn open<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    map: &'static str,
) -> Result<T, MapsError> {
    MapData::from_pin(pins.map(map))
        .and_then(Map::from_map_data)
        .and_then(T::try_from)
        .map_err(|source| MapsError::Open { map, source: Box::new(source) })
}

/// How many entries a pinned map has room for.
fn entries_of(pins: &Pins, name: &'static str) -> Result<u32, MapsError> {
    let opened = MapData::from_pin(pins.map(name)).and_then(|map| Ok(map.info()?.max_entries()));
    opened.map_err(|source| MapsError::Open { map: name, source: Box::new(source) })
}

/// Maps a pinned array whose entries have that many 64-bit words.
///
/// # Errors
/// When it is not pinned or cannot be mapped.
pub fn open_mapped(pins: &Pins, name: &'static str, words: usize) -> Result<MappedWords, MapsError> {
    let opened = MapData::from_pin(pins.map(name)).and_then(|map| Ok((map.info()?.max_entries(), map)));
    let (entries, map) = opened.map_err(|source| MapsError::Open { map: name, source: Box::new(source) })?;
    MappedWords::new(map.fd(), entries as usize * words).map_err(MapsError::Mapping)
}

impl Maps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let mut maps = Self {
            vips: VipMaps::open(pins)?,
            rings: RingMaps::open(pins)?,
            nodes: open(pins, name::NODES)?,
            peers: open(pins, name::NODE_ADDRESSES)?,
            peer_macs: open(pins, name::NODE_MACS)?,
            arp: open(pins, name::ARP)?,
            links: open(pins, name::LINKS)?,
            config: open(pins, name::CONFIG)?,
            vip_stats: open(pins, name::VIP_STATS)?,
            flow_sets: entries_of(pins, name::FLOWS)?,
            sources: SourceMaps::open(pins)?,
        };
        // An agent that was killed between two writes may have left `lb_leaders` behind `lb_rings`.
        let config = maps.config.get(&0, 0).map_err(|e| read_error(name::CONFIG, e))?;
        if config != Config::ZERO {
            maps.rings.set_own(config.self_node)?;
        }
        Ok(maps)
    }

    /// Slots that the map of rings has.
    pub const fn ring_capacity(&self) -> usize {
        self.rings.capacity()
    }

    /// Sets of flows that the table has.
    pub const fn flow_sets(&self) -> u32 {
        self.flow_sets
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// When the kernel refuses; the operation has then done nothing.
    pub fn apply(&mut self, op: &Op) -> Result<(), MapsError> {
        match op {
            Op::WriteConfig(config) => {
                written(name::CONFIG, op, self.config.set(0, **config, 0))?;
                self.rings.set_own(config.self_node)
            }
            Op::WriteLink(ifindex, link) => written(name::LINKS, op, self.links.insert(ifindex, link, 0)),
            Op::RemoveLink(ifindex) => removed(name::LINKS, op, self.links.remove(ifindex)),
            Op::WriteNode(index, node) => {
                written(name::NODES, op, self.nodes.set(u32::from(*index), node, 0))
            }
            Op::RemoveNode(index) => {
                written(name::NODES, op, self.nodes.set(u32::from(*index), Node::NONE, 0))
            }
            Op::WritePeer(address, index) => {
                written(name::NODE_ADDRESSES, op, self.peers.insert(address, u32::from(*index), 0))
            }
            Op::RemovePeer(address) => removed(name::NODE_ADDRESSES, op, self.peers.remove(address)),
            Op::WritePeerMac(mac, index) => {
                written(name::NODE_MACS, op, self.peer_macs.insert(mac, u32::from(*index), 0))
            }
            Op::RemovePeerMac(mac) => removed(name::NODE_MACS, op, self.peer_macs.remove(mac)),
            Op::WriteSlots { first, slots } => self.rings.write(*first as usize, slots),
            Op::ClearVipStats(number) => self.clear_vip_stats(*number, op),
            Op::WriteVip(key, vip) => self.vips.put(op, key, *vip),
            Op::RemoveVip(key) => self.vips.remove(op, key),
            Op::WriteArp(vip, announcer) => {
                written(name::ARP, op, self.arp.insert(vip.octets(), announcer, 0))
            }
            Op::RemoveArp(vip) => removed(name::ARP, op, self.arp.remove(&vip.octets())),
            Op::WriteSource(vip, range) => self.sources.write(*vip, range, op),
            Op::RemoveSource(vip, range) => self.sources.remove(*vip, range, op),
        }
    }

    fn clear_vip_stats(&mut self, number: u32, op: &Op) -> Result<(), MapsError> {
        cleared(name::VIP_STATS, op, &mut self.vip_stats, number)?;
        self.sources.clear(number, op)
    }

    /// What the maps hold now. Of the rings only those that a VIP leads to are read.
    ///
    /// # Errors
    /// When the kernel refuses a look-up.
    pub fn read_back(&self) -> Result<Contents, MapsError> {
        let mut contents = Contents {
            links: entries(name::LINKS, &self.links)?,
            peers: entries(name::NODE_ADDRESSES, &self.peers)?
                .into_iter()
                .map(|(k, v)| (k, v as u16))
                .collect(),
            peer_macs: entries(name::NODE_MACS, &self.peer_macs)?
                .into_iter()
                .map(|(k, v)| (k, v as u16))
                .collect(),
            arp: entries(name::ARP, &self.arp)?.into_iter().map(|(k, v)| (Ipv4Addr::from(k), v)).collect(),
            vips: self.vips.read_back()?,
            sources: self.sources.read()?,
            ..Contents::default()
        };
        let config = self.config.get(&0, 0).map_err(|e| read_error(name::CONFIG, e))?;
        // Never written: all zero, as the kernel makes an array.
        contents.config = (config != Config::ZERO).then_some(config);
        for (index, _) in (0u16..).zip(0..lb_common::maps::capacity::NODES) {
            let node = self.nodes.get(&u32::from(index), 0).map_err(|e| read_error(name::NODES, e))?;
            if node != Node::NONE || contents.peers.values().any(|peer| *peer == index) {
                contents.nodes.insert(index, node);
            }
        }
        for vip in contents.vips.values() {
            let region = (vip.ring as usize)..=(vip.ring as usize + vip.mask as usize);
            contents
                .rings
                .entry(vip.ring)
                .or_insert_with(|| region.filter_map(|slot| self.rings.slot(slot)).collect());
        }
        Ok(contents)
    }
}

fn entries<K: aya::Pod + Ord, V: aya::Pod>(
    map: &'static str,
    entries: &HashMap<MapData, K, V>,
) -> Result<BTreeMap<K, V>, MapsError> {
    entries.iter().collect::<Result<_, _>>().map_err(|e| read_error(map, e))
}

pub(super) fn read_error(map: &'static str, source: MapError) -> MapsError {
    MapsError::Read { map, source: Box::new(source) }
}

pub(super) fn written(
    map: &'static str,
    entry: &impl Debug,
    result: Result<(), MapError>,
) -> Result<(), MapsError> {
    result.map_err(|source| MapsError::Write { map, entry: format!("{entry:?}"), source: Box::new(source) })
}

/// Sets the counters of all CPUs in an entry to zero.
pub(super) fn cleared<V: aya::Pod + Default>(
    map: &'static str,
    entry: &impl Debug,
    counters: &mut PerCpuArray<MapData, V>,
    number: u32,
) -> Result<(), MapsError> {
    let cpus = nr_cpus().map_err(|(_, error)| MapsError::Mapping(error))?;
    let zero = PerCpuValues::try_from(vec![V::default(); cpus]).map_err(MapsError::Mapping)?;
    written(map, entry, counters.set(number, zero, 0))
}

/// As [`written`]; what is not there needs no removal.
pub(super) fn removed(
    map: &'static str,
    entry: &impl Debug,
    result: Result<(), MapError>,
) -> Result<(), MapsError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => written(map, entry, other),
    }
}
