//! The nodes: their indices and next hops.

mod identity;
mod next_hop;
mod numbering;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::hash::FlowKeys;
use lb_common::map_table::name;
use lb_common::maps::{
    self, AddressFilter, CONFIG_ALONE, CONFIG_DRAIN_REQUESTED, CONFIG_DRAINING, CONFIG_IPIP, Config, Link,
    MacFilter, UPLINKS, capacity,
};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_common::tag::{self, TagKeys};

use super::bounded_map::BoundedMap;
use super::settings::{Facts, Settings};
use super::status::{NodePath, NodeState, Share};
use crate::contents::{Contents, address_key, mac_key};
use lb_api::problem::{PlanReason, Problem};
use lb_model::{Exclusion, Model, Node, NodeName, Tier, exclusion};
use next_hop::Resolved;

/// The nodes that have an index, ordered by name.
pub(super) struct NodeTable<'a> {
    own: &'a NodeName,
    by_name: BTreeMap<&'a NodeName, IndexedNode<'a>>,
}

struct IndexedNode<'a> {
    index: NodeIndex,
    node: &'a Node,
    resolved: Resolved,
    draining: bool,
    excluded: Option<Exclusion>,
    silent: bool,
}

impl<'a> NodeTable<'a> {
    /// Builds the table; `None` if this machine is not among the nodes: then no plan is possible.
    pub(super) fn take(
        model: &'a Model,
        facts: &Facts,
        settings: &'a Settings,
        installed: &Contents,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let own = &settings.node;
        if !model.nodes.contains_key(own) {
            problems.push(Problem::general(PlanReason::OwnNodeUnknown { node: own.to_string() }));
            return None;
        }
        let indices = numbering::number(&model.nodes, own, installed);
        let identities = identity::identities(model.nodes.keys(), problems);
        let mut by_name = BTreeMap::new();
        for (node_name, node) in &model.nodes {
            let Some(&index) = indices.get(node_name) else {
                let reason = PlanReason::MapFull { map: name::NODES, capacity: capacity::NODES };
                problems.push(Problem::about(node_name.reference(), reason));
                continue;
            };
            let resolved = if node_name == own {
                Resolved::OWN
            } else {
                next_hop::resolve(node, facts, settings.forwarding, installed.nodes.get(&index))
                    .unwrap_or_else(|reason| {
                        problems.push(Problem::about(node_name.reference(), reason));
                        Resolved::UNREACHABLE
                    })
            };
            let draining =
                node.is_draining() || (node_name == own && (settings.draining || settings.unhealthy));
            let id = identities.get(node_name).copied().unwrap_or_default();
            let discriminator =
                if node_name == own { 0 } else { tag::discriminator(settings.liveness.nonce, index) };
            let entry = maps::Node { id, discriminator, ..resolved.entry };
            let silent = node_name != own && facts.silent.contains(&node.primary());
            let excluded = exclusion(node, settings.ignore_exclude_label);
            let resolved = Resolved { entry, ..resolved };
            by_name.insert(node_name, IndexedNode { index, node, resolved, draining, excluded, silent });
        }
        by_name.contains_key(own).then_some(Self { own, by_name })
    }

    /// Returns the index of a node.
    pub(super) fn index(&self, node: &NodeName) -> Option<NodeIndex> {
        self.by_name.get(node).map(|indexed| indexed.index)
    }

    /// This machine's name.
    pub(super) fn own(&self) -> &'a NodeName {
        self.own
    }

    /// Returns the rank of a ring member as a target of new flows.
    pub(super) fn tier(&self, member: &Share) -> Tier {
        let indexed = self.by_name.get(&member.node);
        Tier {
            excluded: indexed.is_some_and(|indexed| indexed.excluded.is_some()),
            terminating: member.terminating,
            draining: indexed.is_some_and(|indexed| indexed.draining),
        }
    }

    /// Returns whether a node may announce.
    pub(super) fn may_announce(&self, node: &NodeName) -> bool {
        self.by_name.get(node).is_some_and(|indexed| indexed.excluded.is_none())
    }

    /// Returns whether no node is a target.
    pub(super) fn are_all_excluded(&self) -> bool {
        self.by_name.values().all(|indexed| indexed.excluded.is_some())
    }

    /// Returns whether a node takes no new flows now, or does not exist.
    pub(super) fn is_silent(&self, node: &NodeName) -> bool {
        self.by_name.get(node).is_none_or(|indexed| indexed.silent)
    }

    /// Returns the nodes that take no new flows now, this machine too if it drains.
    pub(super) fn idle(&self) -> BTreeSet<NodeIndex> {
        let idle = self.by_name.values().filter(|indexed| indexed.silent || indexed.draining);
        idle.map(|indexed| indexed.index).collect()
    }

    /// For every index, whether it denotes a node that exists or is installed. A Node object that is missing
    /// for a moment takes no connections with it, so its node stays a former leader for as long as the others
    /// do.
    pub(super) fn known_indices(&self, installed: &Contents) -> Vec<bool> {
        marked(self.indices().chain(installed.node_addresses.values().copied()))
    }

    fn indices(&self) -> impl Iterator<Item = NodeIndex> {
        self.by_name.values().map(|indexed| indexed.index)
    }

    /// Returns all nodes with equal shares.
    pub(super) fn equal_shares(&self) -> Vec<Share> {
        self.by_name
            .keys()
            .map(|name| Share { node: (*name).clone(), weight: 1, terminating: false })
            .collect()
    }

    /// Returns the nodes with their indices.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&'a NodeName, &'a Node, NodeIndex)> {
        self.by_name.iter().map(|(name, indexed)| (*name, indexed.node, indexed.index))
    }

    /// Returns the configuration, which holds for the whole machine.
    pub(super) fn config(&self, settings: &Settings, facts: &Facts, links: &BTreeMap<u32, Link>) -> Config {
        let own = self.by_name.get(self.own);
        let addresses = || own.into_iter().flat_map(|indexed| indexed.node.addresses());
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
            self_node: own.map_or(NO_NODE, |indexed| indexed.index),
            flags: if own.is_some_and(|indexed| indexed.draining) { CONFIG_DRAINING } else { 0 }
                | if settings.draining { CONFIG_DRAIN_REQUESTED } else { 0 }
                | if settings.accept_ipip { CONFIG_IPIP } else { 0 }
                | if facts.was_alone { CONFIG_ALONE } else { 0 }
                | Config::standing_flags(facts.standing),
            address6: addresses().find_map(v6).unwrap_or_default(),
            echo_rate: settings.echo_rate,
            id: own.map_or(0, |indexed| indexed.resolved.entry.id),
            liveness_limit: settings.liveness.limit,
            hold_ticks: settings.liveness.hold,
            agent_limit: u32::try_from(settings.agent_limit.as_millis()).unwrap_or(u32::MAX),
            tag_key_ids: [current.id, other.id],
            pad: [0; 2],
            uplinks,
            uplink_links,
            icmp_error_rate: settings.icmp_error_rate,
            flow_mask: settings.flow_sets - 1,
            vips: AddressFilter::EMPTY,
            node_macs: MacFilter::EMPTY,
        }
    }

    /// Writes the nodes with their addresses. Nodes without a Node object stay too until no slot refers to
    /// them: those of a ring that stays as installed (`kept`, by first slot), and former leaders with the
    /// addresses by which they are recognized when they return.
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
        contents.nodes.extend(self.by_name.values().map(|indexed| (indexed.index, indexed.resolved.entry)));
        self.install_away(contents, installed);
        self.install_peers(contents, installed, problems);
        self.install_peer_macs(contents, installed, problems);
    }

    fn install_away(&self, contents: &mut Contents, installed: &Contents) {
        let is_there = marked(self.indices());
        let is_there = |index: NodeIndex| is_there.get(usize::from(index)).is_some_and(|is_there| *is_there);
        if installed.node_addresses.values().all(|index| is_there(*index)) {
            return;
        }
        let named = numbering::named_in_all(contents.rings.values());
        let is_named = |index: NodeIndex| named.get(usize::from(index)).is_some_and(|named| *named);
        let is_away = |index: NodeIndex| is_named(index) && !is_there(index);
        let entries = installed.nodes.iter().filter(|(index, _)| is_away(**index));
        contents.nodes.extend(entries.map(|(index, entry)| (*index, *entry)));
        let addresses = installed.node_addresses.iter().filter(|(_, index)| is_away(**index));
        contents.node_addresses.extend(addresses.map(|(address, index)| (*address, *index)));
        let macs = installed.node_macs.iter().filter(|(_, index)| is_away(**index));
        contents.node_macs.extend(macs.map(|(mac, index)| (*mac, *index)));
    }

    fn install_peers(&self, contents: &mut Contents, installed: &Contents, problems: &mut Vec<Problem>) {
        let mut room = BoundedMap::new(
            &mut contents.node_addresses,
            &installed.node_addresses,
            capacity::NODE_ADDRESSES,
        );
        for (node_name, indexed) in &self.by_name {
            let mut keys = indexed.node.addresses().iter().map(|address| address_key(*address));
            if !keys.all(|key| room.insert(key, indexed.index)) {
                let reason =
                    PlanReason::MapFull { map: name::NODE_ADDRESSES, capacity: capacity::NODE_ADDRESSES };
                problems.push(Problem::about(node_name.reference(), reason));
            }
        }
    }

    fn install_peer_macs(&self, contents: &mut Contents, installed: &Contents, problems: &mut Vec<Problem>) {
        let mut room =
            BoundedMap::new(&mut contents.node_macs, &installed.node_macs, capacity::NODE_ADDRESSES);
        for (node_name, indexed) in &self.by_name {
            let mac = indexed.resolved.on_link_mac.map(mac_key);
            // A node whose next hop is unresolved for now keeps its MAC with its entry.
            let before = indexed.resolved.is_kept.then(|| mac_of(installed, indexed.index)).flatten();
            if let Some(key) = mac.or(before)
                && !room.insert(key, indexed.index)
            {
                let reason = PlanReason::MapFull { map: name::NODE_MACS, capacity: capacity::NODE_ADDRESSES };
                problems.push(Problem::about(node_name.reference(), reason));
            }
        }
    }

    /// Returns the states of the nodes.
    pub(super) fn states(&self) -> Vec<NodeState> {
        let state = |(name, indexed): (&&NodeName, &IndexedNode<'_>)| NodeState {
            name: (*name).clone(),
            index: indexed.index,
            id: indexed.resolved.entry.id,
            address: indexed.node.primary(),
            way: if *name == self.own { NodePath::Own } else { NodePath::of(&indexed.resolved.entry) },
            is_self: *name == self.own,
            draining: indexed.draining,
            drain: indexed.node.drain.as_ref().map(ToString::to_string),
            excluded: indexed.excluded,
        };
        self.by_name.iter().map(state).collect()
    }
}

/// For every possible index, whether it is one of these.
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
    installed.node_macs.iter().find(|(_, owner)| **owner == index).map(|(mac, _)| *mac)
}
