//! What the agent has told the program, as the pipeline sees it.

use crate::maps::{Announcer, Config, EchoBudget, Link, Node, Vip, Vip4Key, Vip6Key};
use crate::ring::NodeIndex;

/// The maps, in the kernel or on the host.
pub trait Tables {
    /// The VIP of an IPv4 key.
    fn vip4(&self, key: &Vip4Key) -> Option<&Vip>;
    /// The VIP of an IPv6 key.
    fn vip6(&self, key: &Vip6Key) -> Option<&Vip>;
    /// Word 0 of a slot: leader and successors; see [`crate::ring::Slot::order_word`].
    fn slot_order(&self, slot: u32) -> Option<u64>;
    /// A node.
    fn node(&self, index: NodeIndex) -> Option<&Node>;
    /// Whether encapsulated packets are taken from this address.
    fn is_peer_address(&self, address: &[u8; 16]) -> bool;
    /// Whether this MAC, with two zero bytes behind it, is a node's.
    fn is_peer_mac(&self, mac: &[u8; 8]) -> bool;
    /// Who answers ARP for an IPv4 VIP.
    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer>;
    /// An interface with the program.
    fn link(&self, ifindex: u32) -> Option<&Link>;
    /// What holds for the whole node.
    fn config(&self) -> Option<&Config>;

    /// Counts a packet for a VIP.
    fn count_vip(&self, number: u32, bytes: u32);
    /// Counts a packet forwarded to a node.
    fn count_node(&self, node: NodeIndex, bytes: u32);
    /// This CPU's budget of ICMP echo answers, changed by `f`; false where there is none.
    fn echo_budget(&self, f: impl FnOnce(&mut EchoBudget) -> bool) -> bool;
    /// A coarse clock in seconds, from any start.
    fn now_seconds(&self) -> u64;
}
