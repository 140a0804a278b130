//! What the agent has told the program, as the pipeline sees it.

use lb_common::flows::{FlowSet, Word};
use lb_common::kernel::{KernelAnswer, TcpConnection};
use lb_common::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Budget, Config, FragmentFlow, FragmentKey, Link, Liveness,
    Node, Source, Vip, Vip4Key, Vip6Key,
};
use lb_common::ring::{NO_NODE, NodeIndex, Slot, SlotLeader};
use lb_common::verdict::Refusal;

/// The maps, in the kernel or on the host.
pub trait Tables {
    /// A word of the table of flows.
    type Word: Word;

    /// The VIP of an IPv4 key.
    fn vip4(&self, key: &Vip4Key) -> Option<Vip>;
    /// The VIP of an IPv6 key.
    fn vip6(&self, key: &Vip6Key) -> Option<Vip>;
    /// The VIP of an IPv4 key, if its bucket has it: no hash map is asked for what did not fit there.
    #[inline(always)]
    fn bucket_vip4(&self, key: &Vip4Key) -> Option<Vip> {
        self.vip4(key)
    }
    /// The VIP of an IPv6 key, likewise.
    #[inline(always)]
    fn bucket_vip6(&self, key: &Vip6Key) -> Option<Vip> {
        self.vip6(key)
    }
    /// Leader and successors of a slot of a ring: all that most packets need.
    fn order(&self, slot: u32) -> Option<u64>;
    /// A slot of a ring.
    fn slot(&self, slot: u32) -> Option<Slot>;
    /// The leader of a slot, and whether this node led it before.
    fn leader(&self, slot: u32) -> Option<SlotLeader>;
    /// Whether a node is one of a slot's former leaders.
    fn has_led(&self, slot: u32, node: NodeIndex) -> bool;
    /// A node.
    fn node(&self, index: NodeIndex) -> Option<&Node>;
    /// The node with this address, from which encapsulated packets are taken.
    fn node_by_address(&self, address: &[u8; 16]) -> Option<NodeIndex>;
    /// The node with this MAC, with two zero bytes behind it.
    fn node_by_mac(&self, mac: &[u8; 8]) -> Option<NodeIndex>;
    /// Whether a VIP with [`lb_common::maps::VIP_SOURCES`] admits a client.
    fn admits(&self, source: &Source) -> bool;
    /// Counts a packet of a client that a VIP does not admit.
    fn count_source_refused(&self, number: u32);
    /// Who answers ARP for an IPv4 VIP.
    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer>;
    /// An interface with the program.
    fn link(&self, ifindex: u32) -> Option<&Link>;
    /// When a node was last heard of.
    fn liveness(&self, node: NodeIndex) -> Option<Liveness>;
    /// Notes that a node has been heard of.
    fn note_liveness(&self, node: NodeIndex, heard: Liveness);
    /// The probe clock.
    fn clock(&self) -> u32;
    /// A BFD session by this node's discriminator.
    fn bfd_session(&self, discriminator: u32) -> Option<&BfdSession>;
    /// Notes that the router of a session has been heard of now, in this state.
    fn note_bfd(&self, discriminator: u32, state: u8);
    /// Whose this address is as far as BFD goes; it is given as two words of memory.
    fn bfd_address(&self, address: &[u64; 2]) -> Option<BfdAddress>;
    /// Where the fragments of a packet go.
    fn fragment(&self, key: &FragmentKey) -> Option<&FragmentFlow>;
    /// Notes where the fragments of a packet go.
    fn note_fragment(&self, key: &FragmentKey, flow: &FragmentFlow);
    /// A set of flows by the number in [`lb_common::flows::FlowKey::set`], whatever the size of the table.
    fn flow_set(&self, set: u32) -> Option<&FlowSet<Self::Word>>;
    /// The coarse clock of [`lb_common::flows::FlowEntry::age`]: a few seconds a unit.
    fn flow_age(&self) -> u16;
    /// What holds for the whole node.
    fn config(&self) -> Option<&Config>;

    /// Counts a packet for a VIP.
    fn count_vip(&self, number: u32, bytes: u32);
    /// Counts a packet forwarded to a node.
    fn count_node(&self, node: NodeIndex, bytes: u32);
    /// What is left of a budget on this CPU, changed by `f`; false where there is none.
    fn allowance(&self, budget: Budget, f: impl FnOnce(&mut Allowance) -> bool) -> bool;
    /// What this node's kernel says of a TCP connection.
    ///
    /// For the host only: in the kernel, `Subprograms::ask_kernel` asks it.
    fn kernel_answer(&self, _connection: &TcpConnection) -> KernelAnswer {
        KernelAnswer::Unknown
    }
    /// A clock in seconds, from any start.
    fn now_seconds(&self) -> u64;
}

/// The configuration, once the agent has written it.
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
