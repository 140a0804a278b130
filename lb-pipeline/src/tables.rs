//! The maps, as the pipeline sees them.

use lb_common::flows::{FlowSet, Word};
use lb_common::kernel::{KernelAnswer, TcpConnection};
use lb_common::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Budget, Config, FragmentFlow, FragmentKey, Link, Liveness,
    Node, Source, Standing, Vip, Vip4Key, Vip6Key, agent_cell,
};
use lb_common::ring::{NO_NODE, NodeIndex, Slot, SlotLeader};
use lb_common::verdict::Refusal;
use lb_common::wire::bfd;

/// The maps, in the kernel or on the host.
pub trait Tables {
    /// A word of the flow table.
    type Word: Word;

    /// Returns the VIP of an IPv4 key.
    fn vip4(&self, key: &Vip4Key) -> Option<Vip>;
    /// Returns the VIP of an IPv6 key.
    fn vip6(&self, key: &Vip6Key) -> Option<Vip>;
    /// Returns the VIP of an IPv4 key, if its bucket has it, without a lookup of spilled VIPs.
    #[inline(always)]
    fn bucket_vip4(&self, key: &Vip4Key) -> Option<Vip> {
        self.vip4(key)
    }
    /// Returns the VIP of an IPv6 key, as [`Tables::bucket_vip4`].
    #[inline(always)]
    fn bucket_vip6(&self, key: &Vip6Key) -> Option<Vip> {
        self.vip6(key)
    }
    /// Returns word 0 of a slot: leader and successors.
    fn order(&self, slot: u32) -> Option<u64>;
    /// Returns a slot.
    fn slot(&self, slot: u32) -> Option<Slot>;
    /// Returns the leader of a slot, and whether this node is a former leader.
    fn leader(&self, slot: u32) -> Option<SlotLeader>;
    /// Returns whether a node is a former leader of a slot.
    fn has_led(&self, slot: u32, node: NodeIndex) -> bool;
    /// Returns a node.
    fn node(&self, index: NodeIndex) -> Option<&Node>;
    /// Returns the node with this address, from which encapsulated packets are accepted.
    fn node_by_address(&self, address: &[u8; 16]) -> Option<NodeIndex>;
    /// Returns the node with this MAC address, padded with two zero bytes.
    fn node_by_mac(&self, mac: &[u8; 8]) -> Option<NodeIndex>;
    /// Returns whether a VIP with [`lb_common::maps::VIP_SOURCES`] admits a client.
    fn admits(&self, source: &Source) -> bool;
    /// Counts a packet of a client that a VIP does not admit.
    fn count_source_refused(&self, number: u32);
    /// Returns the announcer of an IPv4 VIP.
    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer>;
    /// Returns the announcer of an IPv6 VIP.
    fn ndp(&self, vip: &[u8; 16]) -> Option<&Announcer>;
    /// Counts an answered ARP request or Neighbor Solicitation, by VIP number.
    fn count_l2(&self, number: u32);
    /// Returns an interface with the program.
    fn link(&self, ifindex: u32) -> Option<&Link>;
    /// Returns when a node was last heard of.
    fn liveness(&self, node: NodeIndex) -> Option<Liveness>;
    /// Records that a node was heard of.
    fn note_liveness(&self, node: NodeIndex, heard: Liveness);
    /// Records that a node has answered a probe now.
    fn note_answered(&self, node: NodeIndex);
    /// Returns the probe clock.
    fn clock(&self) -> u32;
    /// Returns the BFD session of this node's discriminator.
    fn bfd_session(&self, discriminator: u32) -> Option<&BfdSession>;
    /// Records that the router of a session was heard of now, by this packet, and whether it is answered.
    fn note_bfd(&self, discriminator: u32, theirs: bfd::Words, is_answered: bool);
    /// Returns the BFD entry of an address, given as two words in memory order.
    fn bfd_address(&self, address: &[u64; 2]) -> Option<BfdAddress>;
    /// Returns the flow of a fragmented packet.
    fn fragment(&self, key: &FragmentKey) -> Option<&FragmentFlow>;
    /// Records the flow of a fragmented packet.
    fn note_fragment(&self, key: &FragmentKey, flow: &FragmentFlow);
    /// Returns the set of a number in [`lb_common::flows::FlowKey::set`], modulo the size of the table.
    fn flow_set(&self, set: u32) -> Option<&FlowSet<Self::Word>>;
    /// Returns the coarse clock of [`lb_common::flows::FlowEntry::age`], in units of some seconds.
    fn flow_age(&self) -> u16;
    /// Returns the configuration.
    fn config(&self) -> Option<&Config>;

    /// Counts a packet for a VIP.
    fn count_vip(&self, number: u32, bytes: u32);
    /// Counts a new flow to a VIP.
    fn count_new_flow(&self, number: u32);
    /// Counts a [`lb_common::maps::flow_event`].
    fn count_flow_event(&self, event: u32);
    /// Counts a packet forwarded to a node.
    fn count_node(&self, node: NodeIndex, bytes: u32);
    /// Changes the rest of a budget on this CPU by `f`, and returns its result; false if there is no such
    /// budget.
    fn allowance(&self, budget: Budget, f: impl FnOnce(&mut Allowance) -> bool) -> bool;
    /// Returns what this node's kernel knows of a TCP connection.
    ///
    /// For the host only: in the kernel, `Subprograms::ask_kernel` looks it up.
    fn kernel_answer(&self, _connection: &TcpConnection) -> KernelAnswer {
        KernelAnswer::Unknown
    }
    /// Returns a cell of [`lb_common::maps::agent_cell`].
    fn agent_cell(&self, number: u32) -> u64;
    /// Records that another node probes this one now.
    fn note_probed(&self);
    /// Returns the time in nanoseconds of `CLOCK_MONOTONIC`.
    fn now(&self) -> u64;
    /// Returns a clock in seconds, with any epoch.
    fn now_seconds(&self) -> u64;
}

/// Returns what this node says of itself as an announcer. A node that its agent has abandoned announces
/// nothing.
#[inline(always)]
pub(crate) fn standing<T: Tables>(tables: &T, config: &Config) -> Standing {
    let [alive, probed] = [agent_cell::ALIVE, agent_cell::PROBED].map(|cell| tables.agent_cell(cell));
    if config.is_abandoned(alive, probed, tables.now()) { Standing::Absent } else { config.standing() }
}

/// Returns the configuration, once the agent has written it.
///
/// # Errors
/// [`Refusal::NotConfigured`].
#[inline(always)]
pub(crate) fn configured<T: Tables>(tables: &T) -> Result<&Config, Refusal> {
    match tables.config() {
        Some(config) if config.self_node != NO_NODE => Ok(config),
        _ => Err(Refusal::NotConfigured),
    }
}
