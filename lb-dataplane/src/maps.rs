//! The pinned maps: written by operations, read back as [`Contents`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use lb_common::map_table::name;
use lb_common::maps::{Announcer, CONFIG_DRAINING, CONFIG_LEAVING, Config, Link, Node, Standing, Traffic};
use lb_plan::contents::{Contents, Op};

use crate::map_io::{MapsError, capacity, cleared, entries, open, read_error, removed, written};
use crate::pins::Pins;
use crate::rings::RingMaps;
use crate::sources::SourceMaps;
use crate::vips::VipMaps;

/// How long other nodes have to learn of [`Maps::leave`] and [`Maps::say_leaving`]: they probe several times
/// in it.
pub const HAND_OVER: Duration = Duration::from_millis(500);

/// All maps that the agent writes.
pub struct Maps {
    vips: VipMaps,
    rings: RingMaps,
    nodes: Array<MapData, Node>,
    peers: HashMap<MapData, [u8; 16], u32>,
    peer_macs: HashMap<MapData, [u8; 8], u32>,
    arp: HashMap<MapData, [u8; 4], Announcer>,
    ndp: HashMap<MapData, [u8; 16], Announcer>,
    links: HashMap<MapData, u32, Link>,
    config: Array<MapData, Config>,
    vip_stats: PerCpuArray<MapData, Traffic>,
    vip_flows: PerCpuArray<MapData, u64>,
    flow_sets: u32,
    sources: SourceMaps,
}

/// The contents and sizes of the pinned maps.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// The contents.
    pub contents: Contents,
    /// Number of slots of the ring map.
    pub ring_slots: u32,
    /// Number of sets of the flow table.
    pub flow_sets: u32,
}

impl Installed {
    /// Reads the pinned maps and changes nothing; `None` if none of this layout are pinned.
    ///
    /// # Errors
    /// When a map cannot be opened or read.
    pub fn read(pins: &Pins) -> Result<Option<Self>, MapsError> {
        if !pins.map(name::CONFIG).exists() {
            return Ok(None);
        }
        let maps = Maps::open_as_they_are(pins)?;
        let (ring_slots, flow_sets) = (maps.ring_capacity() as u32, maps.flow_sets());
        Ok(Some(Self { contents: maps.read_back()?, ring_slots, flow_sets }))
    }
}

impl Maps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let mut maps = Self::open_as_they_are(pins)?;
        // An agent killed between two writes may have left `lb_leaders` out of date with `lb_rings`.
        if let Some(config) = maps.config()? {
            maps.rings.set_own(config.self_node)?;
        }
        Ok(maps)
    }

    /// Opens the pinned maps, and writes nothing.
    fn open_as_they_are(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self {
            vips: VipMaps::open(pins)?,
            rings: RingMaps::open(pins)?,
            nodes: open(pins, name::NODES)?,
            peers: open(pins, name::NODE_ADDRESSES)?,
            peer_macs: open(pins, name::NODE_MACS)?,
            arp: open(pins, name::ARP)?,
            ndp: open(pins, name::NDP)?,
            links: open(pins, name::LINKS)?,
            config: open(pins, name::CONFIG)?,
            vip_stats: open(pins, name::VIP_STATS)?,
            vip_flows: open(pins, name::VIP_FLOWS)?,
            flow_sets: capacity(pins, name::FLOWS)?,
            sources: SourceMaps::open(pins)?,
        })
    }

    /// Returns the number of slots of the ring map.
    pub const fn ring_capacity(&self) -> usize {
        self.rings.capacity()
    }

    /// Returns the number of sets of the flow table.
    pub const fn flow_sets(&self) -> u32 {
        self.flow_sets
    }

    /// Returns the configuration; `None` before it has been written.
    ///
    /// # Errors
    /// When the kernel refuses the lookup.
    pub fn config(&self) -> Result<Option<Config>, MapsError> {
        let config = self.config.get(&0, 0).map_err(|e| read_error(name::CONFIG, e))?;
        // All zero until it is written, as the kernel creates an array.
        Ok((config != Config::ZERO).then_some(config))
    }

    /// Makes the program state that this node drains and announces nothing. Returns false if it forwards
    /// nothing yet.
    ///
    /// # Errors
    /// When the kernel refuses to read or write the configuration.
    pub fn leave(&mut self) -> Result<bool, MapsError> {
        let Some(mut config) = self.config()? else { return Ok(false) };
        config.flags |= CONFIG_DRAINING | Config::standing_flags(Standing::Absent);
        self.apply(&Op::WriteConfig(Box::new(config)))?;
        Ok(true)
    }

    /// Makes the program state that this node, which drains, is about to be shut down. Returns false if it
    /// does not drain.
    ///
    /// # Errors
    /// When the kernel refuses to read or write the configuration.
    pub fn say_leaving(&mut self) -> Result<bool, MapsError> {
        let Some(mut config) = self.config()?.filter(Config::is_draining) else { return Ok(false) };
        config.flags |= CONFIG_LEAVING;
        self.apply(&Op::WriteConfig(Box::new(config)))?;
        Ok(true)
    }

    /// Applies one operation.
    ///
    /// # Errors
    /// When the kernel refuses it; then the operation has no effect.
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
            Op::WriteNodeAddress(address, index) => {
                written(name::NODE_ADDRESSES, op, self.peers.insert(address, u32::from(*index), 0))
            }
            Op::RemoveNodeAddress(address) => removed(name::NODE_ADDRESSES, op, self.peers.remove(address)),
            Op::WriteNodeMac(mac, index) => {
                written(name::NODE_MACS, op, self.peer_macs.insert(mac, u32::from(*index), 0))
            }
            Op::RemoveNodeMac(mac) => removed(name::NODE_MACS, op, self.peer_macs.remove(mac)),
            Op::WriteSlots { first, slots } => self.rings.write(*first as usize, slots),
            Op::ClearVipStats(number) => self.clear_vip_stats(*number, op),
            Op::WriteVip(key, vip) => self.vips.put(op, key, *vip),
            Op::RemoveVip(key) => self.vips.remove(op, key),
            Op::WriteAnnouncer(IpAddr::V4(vip), announcer) => {
                written(name::ARP, op, self.arp.insert(vip.octets(), announcer, 0))
            }
            Op::WriteAnnouncer(IpAddr::V6(vip), announcer) => {
                written(name::NDP, op, self.ndp.insert(vip.octets(), announcer, 0))
            }
            Op::RemoveAnnouncer(IpAddr::V4(vip)) => removed(name::ARP, op, self.arp.remove(&vip.octets())),
            Op::RemoveAnnouncer(IpAddr::V6(vip)) => removed(name::NDP, op, self.ndp.remove(&vip.octets())),
            Op::WriteSource(vip, range) => self.sources.write(*vip, range, op),
            Op::RemoveSource(vip, range) => self.sources.remove(*vip, range, op),
        }
    }

    fn clear_vip_stats(&mut self, number: u32, op: &Op) -> Result<(), MapsError> {
        cleared(name::VIP_STATS, op, &mut self.vip_stats, number)?;
        cleared(name::VIP_FLOWS, op, &mut self.vip_flows, number)?;
        self.sources.clear(number, op)
    }

    fn announcers(&self) -> Result<BTreeMap<IpAddr, Announcer>, MapsError> {
        let v4 = entries(name::ARP, &self.arp)?.into_iter().map(|(vip, it)| (IpAddr::from(vip), it));
        let v6 = entries(name::NDP, &self.ndp)?.into_iter().map(|(vip, it)| (IpAddr::from(vip), it));
        Ok(v4.chain(v6).collect())
    }

    /// Returns the current contents of the maps. Of the rings, reads only those that a VIP refers to.
    ///
    /// # Errors
    /// When the kernel refuses a lookup.
    pub fn read_back(&self) -> Result<Contents, MapsError> {
        let mut contents = Contents {
            links: entries(name::LINKS, &self.links)?,
            node_addresses: entries(name::NODE_ADDRESSES, &self.peers)?
                .into_iter()
                .map(|(k, v)| (k, v as u16))
                .collect(),
            node_macs: entries(name::NODE_MACS, &self.peer_macs)?
                .into_iter()
                .map(|(k, v)| (k, v as u16))
                .collect(),
            announcers: self.announcers()?,
            vips: self.vips.read_back()?,
            sources: self.sources.read()?,
            ..Contents::default()
        };
        contents.config = self.config()?;
        for (index, _) in (0u16..).zip(0..lb_common::maps::capacity::NODES) {
            let node = self.nodes.get(&u32::from(index), 0).map_err(|e| read_error(name::NODES, e))?;
            if node != Node::NONE || contents.node_addresses.values().any(|peer| *peer == index) {
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
