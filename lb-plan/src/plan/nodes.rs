//! The nodes: their indices, and the way to each.

mod identity;
mod numbering;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::hash::FlowKeys;
use lb_common::map_table::name;
use lb_common::maps::{
    self, AddressFilter, CONFIG_DRAINING, CONFIG_IPIP, CONFIG_TOLD_TO_DRAIN, Config, Link, MacFilter,
    UPLINKS, capacity,
};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_common::tag::{self, TagKeys};

use super::room::Room;
use super::settings::{Facts, Settings};
use super::state::{NodePath, NodeState, Share};
use crate::contents::{Contents, peer_key, peer_mac_key};
use crate::model::{Exclusion, Model, Node, NodeName, Tier, exclusion};
use lb_api::problem::{Problem, Reason};
use way::Resolved;

/// The nodes that have an index, in order of their names.
pub(super) struct Roster<'a> {
    own: &'a NodeName,
    seats: BTreeMap<&'a NodeName, Seat<'a>>,
}

struct Seat<'a> {
    index: NodeIndex,
    node: &'a Node,
    way: Resolved,
    draining: bool,
    excluded: Option<Exclusion>,
    silent: bool,
}

impl<'a> Roster<'a> {
    /// `None` where this machine is not among the nodes: then nothing can be planned.
    pub(super) fn take(
        model: &'a Model,
        facts: &Facts,
        settings: &'a Settings,
        installed: &Contents,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let own = &settings.node;
        if !model.nodes.contains_key(own) {
            problems.push(Problem::general(Reason::OwnNodeUnknown { node: own.to_string() }));
            return None;
        }
        let indices = numbering::number(&model.nodes, own, installed);
        let identities = identity::identities(model.nodes.keys(), problems);
        let mut seats = BTreeMap::new();
        for (node_name, node) in &model.nodes {
            let Some(&index) = indices.get(node_name) else {
                let reason = Reason::MapFull { map: name::NODES, capacity: capacity::NODES };
                problems.push(Problem::about(node_name.reference(), reason));
                continue;
            };
            let way = if node_name == own {
                Resolved::OWN
            } else {
                way::resolve(node, facts, settings.forwarding, installed.nodes.get(&index)).unwrap_or_else(
                    |reason| {
                        problems.push(Problem::about(node_name.reference(), reason));
                        Resolved::NOWHERE
                    },
                )
            };
            let draining = node.is_draining() || (node_name == own && settings.draining);
            let id = identities.get(node_name).copied().unwrap_or_default();
            let discriminator =
                if node_name == own { 0 } else { tag::discriminator(settings.liveness.nonce, index) };
            let entry = maps::Node { id, discriminator, ..way.entry };
            let silent = node_name != own && facts.silent.contains(&node.primary());
            let excluded = exclusion(node, settings.ignore_exclude_label);
            let way = Resolved { entry, ..way };
            seats.insert(node_name, Seat { index, node, way, draining, excluded, silent });
        }
        seats.contains_key(own).then_some(Self { own, seats })
    }

    /// Index of a node.
    pub(super) fn index(&self, node: &NodeName) -> Option<NodeIndex> {
        self.seats.get(node).map(|seat| seat.index)
    }

    /// This machine's name.
    pub(super) fn own(&self) -> &'a NodeName {
        self.own
    }

    /// Whether a node is to get no new flows.
    pub(super) fn is_draining(&self, node: &NodeName) -> bool {
        self.seats.get(node).is_some_and(|seat| seat.draining)
    }

    /// How good a target a member of a ring is.
    pub(super) fn tier(&self, member: &Share) -> Tier {
        let seat = self.seats.get(&member.node);
        Tier {
            excluded: seat.is_some_and(|seat| seat.excluded.is_some()),
            terminating: member.terminating,
            draining: seat.is_some_and(|seat| seat.draining),
        }
    }

    /// Whether a node may announce.
    pub(super) fn may_announce(&self, node: &NodeName) -> bool {
        self.seats.get(node).is_some_and(|seat| seat.excluded.is_none())
    }

    /// Whether no node is a target.
    pub(super) fn are_all_excluded(&self) -> bool {
        self.seats.values().all(|seat| seat.excluded.is_some())
    }

    /// Whether a node takes no new flows now, or is not there.
    pub(super) fn is_silent(&self, node: &NodeName) -> bool {
        self.seats.get(node).is_none_or(|seat| seat.silent)
    }

    /// Which indices are those of nodes that are there, or installed: a Node object that is gone for a moment takes
    /// no connections with it, so a node that is away stays a former leader for as long as the others do.
    pub(super) fn seated(&self, installed: &Contents) -> Vec<bool> {
        marked(self.indices().chain(installed.peers.values().copied()))
    }

    fn indices(&self) -> impl Iterator<Item = NodeIndex> {
        self.seats.values().map(|seat| seat.index)
    }

    /// All nodes with equal shares.
    pub(super) fn equal_shares(&self) -> Vec<Share> {
        self.seats.keys().map(|name| Share { node: (*name).clone(), weight: 1, terminating: false }).collect()
    }

    /// The nodes with their indices.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&'a NodeName, &'a Node, NodeIndex)> {
        self.seats.iter().map(|(name, seat)| (*name, seat.node, seat.index))
    }

    /// What holds for the whole machine.
    pub(super) fn config(&self, settings: &Settings, links: &BTreeMap<u32, Link>) -> Config {
        let own = self.seats.get(self.own);
        let addresses = || own.into_iter().flat_map(|seat| seat.node.addresses());
        let v4 = |address: &IpAddr| if let IpAddr::V4(v4) = address { Some(v4.octets()) } else { None };
        let v6 = |address: &IpAddr| if let IpAddr::V6(v6) = address { Some(v6.octets()) } else { None };
        let (mut uplinks, mut uplink_links) = ([0; UPLINKS], [Link::NONE; UPLINKS]);
        for (place, (index, link)) in links.iter().take(UPLINKS).enumerate() {
            (uplinks[place], uplink_links[place]) = (*index, *link);
        }
        let TagKeys { current, other } = settings.tag_keys;
        let other = other.unwrap_or(current);
        Config {
            flow_keys: FlowKeys::of(&settings.hash_key),
            tag_keys: [current.key, other.key],
            probe_nonce: settings.liveness.nonce,
            address4: addresses().find_map(v4).unwrap_or_default(),
            self_node: own.map_or(NO_NODE, |seat| seat.index),
            flags: if own.is_some_and(|seat| seat.draining) { CONFIG_DRAINING } else { 0 }
                | if settings.draining { CONFIG_TOLD_TO_DRAIN } else { 0 }
                | if settings.accept_ipip { CONFIG_IPIP } else { 0 },
            address6: addresses().find_map(v6).unwrap_or_default(),
            echo_rate: settings.echo_rate,
            id: own.map_or(0, |seat| seat.way.entry.id),
            liveness_limit: settings.liveness.limit,
            hold_ticks: settings.liveness.orphan_grace,
            tag_key_ids: [current.id, other.id],
            pad: [0; 6],
            uplinks,
            uplink_links,
            icmp_error_rate: settings.icmp_error_rate,
            flow_mask: settings.flow_sets - 1,
            vips: AddressFilter::EMPTY,
            node_macs: MacFilter::EMPTY,
        }
    }

    /// Writes the nodes and how they are known. Nodes that are gone and stand in a ring stay too, until no slot names
    /// them: those of a ring that stays as it is (`kept`, by first slot), and former leaders, with their addresses,
    /// under which they are recognised when they are back.
    pub(super) fn install(
        &self,
        contents: &mut Contents,
        kept: &BTreeSet<u32>,
        installed: &Contents,
        problems: &mut Vec<Problem>,
    ) {
        let named = kept.iter().filter_map(|first| contents.rings.get(first)).flat_map(|ring| ring.iter());
        for index in named.flat_map(numbering::named_in).collect::<BTreeSet<_>>() {
            let node = installed.nodes.get(&index).copied().unwrap_or(maps::Node::NONE);
            contents.nodes.insert(index, node);
        }
        contents.nodes.extend(self.seats.values().map(|seat| (seat.index, seat.way.entry)));
        self.install_away(contents, installed);
        self.install_peers(contents, installed, problems);
        self.install_peer_macs(contents, installed, problems);
    }

    fn install_away(&self, contents: &mut Contents, installed: &Contents) {
        let is_there = marked(self.indices());
        let is_there = |index: NodeIndex| is_there.get(usize::from(index)).is_some_and(|is_there| *is_there);
        if installed.peers.values().all(|index| is_there(*index)) {
            return;
        }
        let named = numbering::named_in_all(contents.rings.values());
        let is_named = |index: NodeIndex| named.get(usize::from(index)).is_some_and(|named| *named);
        let is_away = |index: NodeIndex| is_named(index) && !is_there(index);
        let entries = installed.nodes.iter().filter(|(index, _)| is_away(**index));
        contents.nodes.extend(entries.map(|(index, entry)| (*index, *entry)));
        let addresses = installed.peers.iter().filter(|(_, index)| is_away(**index));
        contents.peers.extend(addresses.map(|(address, index)| (*address, *index)));
        let macs = installed.peer_macs.iter().filter(|(_, index)| is_away(**index));
        contents.peer_macs.extend(macs.map(|(mac, index)| (*mac, *index)));
    }

    fn install_peers(&self, contents: &mut Contents, installed: &Contents, problems: &mut Vec<Problem>) {
        let mut room = Room::new(&mut contents.peers, &installed.peers, capacity::NODE_ADDRESSES);
        for (node_name, seat) in &self.seats {
            let mut keys = seat.node.addresses().iter().map(|address| peer_key(*address));
            if !keys.all(|key| room.insert(key, seat.index)) {
                let reason =
                    Reason::MapFull { map: name::NODE_ADDRESSES, capacity: capacity::NODE_ADDRESSES };
                problems.push(Problem::about(node_name.reference(), reason));
            }
        }
    }

    fn install_peer_macs(&self, contents: &mut Contents, installed: &Contents, problems: &mut Vec<Problem>) {
        let mut room = Room::new(&mut contents.peer_macs, &installed.peer_macs, capacity::NODE_ADDRESSES);
        for (node_name, seat) in &self.seats {
            let mac = seat.way.on_link_mac.map(peer_mac_key);
            // A node whose way is not resolved for now keeps its MAC with its entry.
            let before = seat.way.is_kept.then(|| mac_of(installed, seat.index)).flatten();
            if let Some(key) = mac.or(before)
                && !room.insert(key, seat.index)
            {
                let reason = Reason::MapFull { map: name::NODE_MACS, capacity: capacity::NODE_ADDRESSES };
                problems.push(Problem::about(node_name.reference(), reason));
            }
        }
    }

    /// The nodes, to be shown.
    pub(super) fn states(&self) -> Vec<NodeState> {
        let state = |(name, seat): (&&NodeName, &Seat<'_>)| NodeState {
            name: (*name).clone(),
            index: seat.index,
            id: seat.way.entry.id,
            address: seat.node.primary(),
            way: if *name == self.own { NodePath::Own } else { NodePath::of(&seat.way.entry) },
            is_self: *name == self.own,
            draining: seat.draining,
            drain: seat.node.drain.as_ref().map(ToString::to_string),
            excluded: seat.excluded,
        };
        self.seats.iter().map(state).collect()
    }
}

/// Of every index that there can be, whether it is one of these.
fn marked(indices: impl Iterator<Item = NodeIndex>) -> Vec<bool> {
    let mut marked = vec![false; capacity::NODES];
    for index in indices {
        if let Some(is_marked) = marked.get_mut(usize::from(index)) {
            *is_marked = true;
        }
    }
    marked
}

fn mac_of(installed: &Contents, index: NodeIndex) -> Option<[u8; 8]> {
    installed.peer_macs.iter().find(|(_, owner)| **owner == index).map(|(mac, _)| *mac)
}
