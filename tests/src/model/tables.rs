//! What the agent tells the program, in ordinary maps, and what the program counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use lb_common::maps::{Announcer, Config, EchoBudget, Link, Node, Traffic, Vip, Vip4Key, Vip6Key, capacity};
use lb_common::ring::{NodeIndex, Slot};
use lb_common::tables::Tables;

/// Entries of the maps whose size a packet can find out.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Slots in `lb_rings`.
    pub slots: u32,
    /// Entries in `lb_nodes` and `lb_node_stats`.
    pub nodes: u32,
    /// Entries in `lb_vip_stats`.
    pub vip_stats: u32,
}

/// What the program has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Outcome or refusal → packets; zeros left out.
    pub refusals: BTreeMap<u32, u64>,
    /// VIP number → packets and bytes; zeros left out.
    pub vips: BTreeMap<u32, Traffic>,
    /// Node → packets and bytes; zeros left out.
    pub nodes: BTreeMap<u32, Traffic>,
}

/// Contents of all maps. What is not named is what an array of the kernel holds there: zeros.
pub struct HostTables {
    /// Sizes of the arrays.
    pub sizes: Sizes,
    /// `lb_vips4`.
    pub vips4: HashMap<Vip4Key, Vip>,
    /// `lb_vips6`.
    pub vips6: HashMap<Vip6Key, Vip>,
    /// `lb_rings`, as many slots as `sizes` says.
    pub slots: Vec<Slot>,
    /// `lb_nodes`, as many as `sizes` says.
    pub nodes: Vec<Node>,
    /// `lb_peers`.
    pub peers: HashMap<[u8; 16], u32>,
    /// `lb_peer_macs`.
    pub peer_macs: HashMap<[u8; 8], u32>,
    /// `lb_arp`.
    pub arp: HashMap<[u8; 4], Announcer>,
    /// `lb_links`.
    pub links: HashMap<u32, Link>,
    /// `lb_config`.
    pub config: Config,
    budget: RefCell<EchoBudget>,
    totals: RefCell<Totals>,
}

impl HostTables {
    /// Empty maps of these sizes.
    pub fn new(sizes: Sizes, config: Config) -> Self {
        let zero = Slot::from_words(0, 0);
        Self {
            sizes,
            vips4: HashMap::new(),
            vips6: HashMap::new(),
            slots: vec![zero; sizes.slots as usize],
            nodes: vec![Node::NONE; sizes.nodes as usize],
            peers: HashMap::new(),
            peer_macs: HashMap::new(),
            arp: HashMap::new(),
            links: HashMap::new(),
            config,
            budget: RefCell::default(),
            totals: RefCell::default(),
        }
    }

    /// What has been counted so far.
    pub fn totals(&self) -> Totals {
        self.totals.borrow().clone()
    }

    /// Counts what became of a packet.
    pub(super) fn count(&self, counter: u32) {
        assert!((counter as usize) < capacity::REFUSALS, "counter {counter} is outside its map");
        *self.totals.borrow_mut().refusals.entry(counter).or_default() += 1;
    }
}

fn add(counts: &mut BTreeMap<u32, Traffic>, key: u32, size: u32, bytes: u32) {
    if key < size {
        let traffic = counts.entry(key).or_default();
        traffic.packets += 1;
        traffic.bytes += u64::from(bytes);
    }
}

impl Tables for HostTables {
    fn vip4(&self, key: &Vip4Key) -> Option<&Vip> {
        self.vips4.get(key)
    }

    fn vip6(&self, key: &Vip6Key) -> Option<&Vip> {
        self.vips6.get(key)
    }

    fn slot_order(&self, slot: u32) -> Option<u64> {
        self.slots.get(slot as usize).map(|slot| slot.order_word())
    }

    fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(usize::from(index))
    }

    fn is_peer_address(&self, address: &[u8; 16]) -> bool {
        self.peers.contains_key(address)
    }

    fn is_peer_mac(&self, mac: &[u8; 8]) -> bool {
        self.peer_macs.contains_key(mac)
    }

    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer> {
        self.arp.get(vip)
    }

    fn link(&self, ifindex: u32) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn count_vip(&self, number: u32, bytes: u32) {
        add(&mut self.totals.borrow_mut().vips, number, self.sizes.vip_stats, bytes);
    }

    fn count_node(&self, node: NodeIndex, bytes: u32) {
        add(&mut self.totals.borrow_mut().nodes, u32::from(node), self.sizes.nodes, bytes);
    }

    fn echo_budget(&self, f: impl FnOnce(&mut EchoBudget) -> bool) -> bool {
        f(&mut self.budget.borrow_mut())
    }

    /// Time stands still: a limit on a rate is tested by itself, against the kernel's clock.
    fn now_seconds(&self) -> u64 {
        1
    }
}
