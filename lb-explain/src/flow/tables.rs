//! The contents of the maps, as the pipeline reads them. Nothing is written.

use std::cell::Cell;
use std::net::IpAddr;

use lb_common::flows::{FlowSet, WAYS};
use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Budget, Config, FragmentFlow, FragmentKey, Link, Liveness,
    Node, Source, Vip, Vip4Key, Vip6Key,
};
use lb_common::ring::{NodeIndex, Slot, SlotLeader};
use lb_common::wire::bfd;
use lb_pipeline::inline::Inline;
use lb_pipeline::tables::Tables;
use lb_plan::contents::{Contents, VipKey};

use super::{FlowQuestion, LiveMaps};

/// The maps of this node.
pub(super) struct HostTables<'a> {
    contents: &'a Contents,
    pub(super) config: Config,
    live: &'a LiveMaps<'a>,
    /// A copy of the flow's set, which the pipeline may write.
    pub(super) set: CopiedSet,
    /// The node that a packet was last forwarded to.
    pub(super) sent_to: Cell<Option<NodeIndex>>,
}

/// A copy of a set of the flow table.
#[derive(Debug, Default)]
pub(super) struct CopiedSet(FlowSet);

impl From<[u64; WAYS]> for CopiedSet {
    fn from(words: [u64; WAYS]) -> Self {
        Self(FlowSet { ways: words.map(Into::into) })
    }
}

impl std::ops::Deref for CopiedSet {
    type Target = FlowSet;

    fn deref(&self) -> &FlowSet {
        &self.0
    }
}

/// Returns the hash of a flow, as the program computes it.
pub(super) fn flow_hash(config: &Config, question: &FlowQuestion, is_affine: bool) -> u64 {
    let [a, b] = question.client_port.unwrap_or(0).to_be_bytes();
    let [c, d] = question.vip.port().to_be_bytes();
    let of_flow = FlowPorts { ports: [a, b, c, d], protocol: question.protocol.number() };
    let ports = if is_affine { FlowPorts::AFFINITY } else { of_flow };
    match (question.client, question.vip.ip()) {
        (IpAddr::V4(client), IpAddr::V4(vip)) => {
            flow_hash_v4(&config.flow_keys, client.octets(), vip.octets(), ports)
        }
        (client, vip) => {
            let [client, vip] = [client, vip].map(|address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            });
            flow_hash_v6(&config.flow_keys, &client, &vip, ports)
        }
    }
}

impl<'a> HostTables<'a> {
    pub(super) fn new(contents: &'a Contents, config: Config, live: &'a LiveMaps<'a>) -> Self {
        Self { contents, config, live, set: CopiedSet::default(), sent_to: Cell::new(None) }
    }

    /// Sets the words of the flow's set.
    pub(super) fn with_set(self, words: [u64; WAYS]) -> Self {
        Self { set: words.into(), ..self }
    }

    /// Returns the index of an uplink.
    pub(super) fn uplink(&self) -> u32 {
        self.contents.links.keys().next().copied().unwrap_or_default()
    }

    /// Returns its MAC address.
    pub(super) fn uplink_mac(&self) -> [u8; 6] {
        self.contents.links.values().next().map(|link| link.mac).unwrap_or_default()
    }
}

impl Inline for HostTables<'_> {}

impl Tables for HostTables<'_> {
    type Word = std::sync::atomic::AtomicU64;

    fn vip4(&self, key: &Vip4Key) -> Option<Vip> {
        self.contents.vips.get(&VipKey::from(*key)).copied()
    }

    fn vip6(&self, key: &Vip6Key) -> Option<Vip> {
        self.contents.vips.get(&VipKey::from(*key)).copied()
    }

    fn order(&self, slot: u32) -> Option<u64> {
        self.slot(slot).map(Slot::order_word)
    }

    fn slot(&self, slot: u32) -> Option<Slot> {
        let (first, slots) = self.contents.rings.range(..=slot).next_back()?;
        slots.get((slot - first) as usize).copied()
    }

    fn leader(&self, slot: u32) -> Option<SlotLeader> {
        self.slot(slot).map(|slot| SlotLeader::of(slot, self.config.self_node))
    }

    fn has_led(&self, slot: u32, node: NodeIndex) -> bool {
        self.slot(slot).is_some_and(|slot| slot.has_led(node))
    }

    fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.contents.nodes.get(&index)
    }

    fn node_by_address(&self, address: &[u8; 16]) -> Option<NodeIndex> {
        self.contents.node_addresses.get(address).copied()
    }

    fn node_by_mac(&self, mac: &[u8; 8]) -> Option<NodeIndex> {
        self.contents.node_macs.get(mac).copied()
    }

    fn admits(&self, source: &Source) -> bool {
        let client = std::net::Ipv6Addr::from(source.address);
        let client = client.to_ipv4_mapped().map_or(IpAddr::V6(client), IpAddr::V4);
        let ranges = self.contents.sources.get(&source.vip);
        ranges.is_some_and(|ranges| ranges.iter().any(|range| range.contains(client)))
    }

    fn count_source_refused(&self, _number: u32) {}

    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer> {
        self.contents.announcers.get(&IpAddr::from(*vip))
    }

    fn ndp(&self, vip: &[u8; 16]) -> Option<&Announcer> {
        self.contents.announcers.get(&IpAddr::from(*vip))
    }

    fn count_l2(&self, _number: u32) {}

    fn link(&self, ifindex: u32) -> Option<&Link> {
        self.contents.links.get(&ifindex)
    }

    fn liveness(&self, node: NodeIndex) -> Option<Liveness> {
        Some((self.live.liveness)(node))
    }

    fn note_liveness(&self, _node: NodeIndex, _heard: Liveness) {}

    fn note_answered(&self, _node: NodeIndex) {}

    fn clock(&self) -> u32 {
        self.live.clock
    }

    fn bfd_session(&self, _discriminator: u32) -> Option<&BfdSession> {
        None
    }

    fn note_bfd(&self, _discriminator: u32, _theirs: bfd::Words, _is_answered: bool) {}

    fn bfd_address(&self, _address: &[u64; 2]) -> Option<BfdAddress> {
        None
    }

    fn fragment(&self, _key: &FragmentKey) -> Option<&FragmentFlow> {
        None
    }

    fn note_fragment(&self, _key: &FragmentKey, _flow: &FragmentFlow) {}

    fn flow_set(&self, _set: u32) -> Option<&FlowSet<Self::Word>> {
        Some(&self.set)
    }

    fn flow_age(&self) -> u16 {
        self.live.flow_age
    }

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn count_vip(&self, _number: u32, _bytes: u32) {}

    fn count_new_flow(&self, _number: u32) {}

    fn count_flow_event(&self, _event: u32) {}

    fn count_node(&self, node: NodeIndex, _bytes: u32) {
        self.sent_to.set(Some(node));
    }

    fn allowance(&self, _budget: Budget, f: impl FnOnce(&mut Allowance) -> bool) -> bool {
        f(&mut Allowance::default())
    }

    fn agent_cell(&self, _number: u32) -> u64 {
        0
    }

    fn note_probed(&self) {}

    fn now(&self) -> u64 {
        0
    }

    fn now_seconds(&self) -> u64 {
        1
    }
}
