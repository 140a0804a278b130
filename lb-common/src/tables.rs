//! What the agent has told the program, as the pipeline sees it.

use crate::flows::{Entry, FlowKey, FlowSet, Word};
use crate::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Budget, Config, FragmentFlow, FragmentKey, Link, Liveness,
    Node, Source, Vip, Vip4Key, Vip6Key,
};
use crate::owner::Vitality;
use crate::ring::{NO_NODE, NodeIndex, Slot, nodes_of};
use crate::vitality;

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
    /// Whether a node is one of a slot's former leaders.
    fn has_led(&self, slot: u32, node: NodeIndex) -> bool;
    /// The node of a slot that has this identity on the wire, or [`NO_NODE`]. In the kernel a function of its own, as
    /// [`Tables::note_flow`] is.
    #[inline(always)]
    fn find_node(&self, slot: u32, id: u32) -> NodeIndex
    where
        Self: Sized,
    {
        find_node(self, slot, id)
    }
    /// A node.
    fn node(&self, index: NodeIndex) -> Option<&Node>;
    /// The node with this address, from which encapsulated packets are taken.
    fn peer_address(&self, address: &[u8; 16]) -> Option<NodeIndex>;
    /// The node with this MAC, with two zero bytes behind it.
    fn peer_mac(&self, mac: &[u8; 8]) -> Option<NodeIndex>;
    /// Whether a VIP with [`crate::maps::VIP_SOURCES`] admits a client.
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
    /// [`crate::vitality::of`]. In the kernel a function of its own, as [`Tables::note_flow`] is.
    #[inline(always)]
    fn vitality(&self, node: NodeIndex) -> Vitality
    where
        Self: Sized,
    {
        vitality::of(self, node)
    }
    /// [`crate::vitality::has_recent_death`] of a slot. In the kernel a function of its own, as [`Tables::note_flow`] is.
    #[inline(always)]
    fn has_recent_death(&self, slot: u32) -> bool
    where
        Self: Sized,
    {
        self.slot(slot).is_some_and(|slot| vitality::has_recent_death(self, slot))
    }
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
    /// A set of flows by the number in [`crate::flows::FlowKey::set`], whatever the size of the table.
    fn flow_set(&self, set: u32) -> Option<&FlowSet<Self::Word>>;
    /// Notes a flow: [`FlowSet::put`] on its set.
    ///
    /// In the kernel a function of its own, because the verifier then follows its many branches once and
    /// not once for every way that leads there.
    #[inline(always)]
    fn note_flow(&self, key: FlowKey, entry: Entry) {
        if let Some(set) = self.flow_set(key.set) {
            set.put(key.tag, entry);
        }
    }
    /// The coarse clock of [`crate::flows::Entry::age`]: a few seconds a unit.
    fn flow_age(&self) -> u16;
    /// What holds for the whole node.
    fn config(&self) -> Option<&Config>;

    /// Counts a packet for a VIP.
    fn count_vip(&self, number: u32, bytes: u32);
    /// Counts a packet forwarded to a node.
    fn count_node(&self, node: NodeIndex, bytes: u32);
    /// What is left of a budget on this CPU, changed by `f`; false where there is none.
    fn allowance(&self, budget: Budget, f: impl FnOnce(&mut Allowance) -> bool) -> bool;
    /// A clock in seconds, from any start.
    fn now_seconds(&self) -> u64;
}

/// [`Tables::find_node`], by what the other tables say.
#[inline(always)]
pub fn find_node<T: Tables>(tables: &T, slot: u32, id: u32) -> NodeIndex {
    let Some(slot) = tables.slot(slot) else { return NO_NODE };
    // An entry without an identity, as this node's own, has 0, which is nobody's.
    let is_it =
        |node: NodeIndex| node != NO_NODE && id != 0 && tables.node(node).is_some_and(|node| node.id == id);
    for node in nodes_of(slot.order_word()) {
        if is_it(node) {
            return node;
        }
    }
    for node in slot.former {
        if is_it(node) {
            return node;
        }
    }
    NO_NODE
}
