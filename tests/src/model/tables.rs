//! The maps of the program as ordinary maps, and its counters.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;

use lb_common::flows::{AGE_BITS, FlowEntry, FlowSet, FlowState, WAYS, Word};
use lb_common::kernel::{KernelAnswer, TcpConnection};
use lb_common::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Budget, Config, FragmentFlow, FragmentKey, Link, Liveness,
    Node, Source, Traffic, Vip, Vip4Key, Vip6Key, agent_cell, capacity,
};
use lb_common::ring::{NodeIndex, Slot, SlotLeader, WORDS};
use lb_common::wire::bfd;
use lb_pipeline::inline::Inline;
use lb_pipeline::tables::Tables;

/// The time in nanoseconds.
const NOW: u64 = 1 << 40;

/// Entries of the maps whose size a packet can find out.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Slots in `lb_rings`.
    pub slots: u32,
    /// Entries in `lb_nodes`, `lb_node_stats` and `lb_answered`.
    pub nodes: u32,
    /// Entries in `lb_vip_stats`, `lb_vip_flows`, `lb_src_refused` and `lb_l2_stats`.
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
    /// VIP number → packets of clients outside its source ranges; zeros left out.
    pub source_refused: BTreeMap<u32, u64>,
    /// Number of an announced VIP → requests answered; zeros left out.
    pub l2_answered: BTreeMap<u32, u64>,
    /// VIP number → new flows; zeros left out.
    pub new_flows: BTreeMap<u32, u64>,
    /// Change of the table of flows → its number; zeros left out.
    pub flow_events: BTreeMap<u32, u64>,
}

/// A set of flows as it lies in memory.
pub type FlowWords = [u64; WAYS];

/// What the program notes of a router's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterHeard {
    /// The packet, without its Poll and Final bits.
    pub theirs: [u8; bfd::LENGTH],
    /// Whether the program has answered.
    pub is_answered: bool,
}

/// What packets have left behind: the same on the host and in the kernel after the same packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Set number → ways, without ages; empty sets left out.
    pub flows: BTreeMap<u32, FlowWords>,
    /// `lb_liveness` of the nodes that `lb_nodes` has room for.
    pub liveness: Vec<Liveness>,
    /// `lb_fragments`.
    pub fragments: BTreeMap<FragmentKey, FragmentFlow>,
    /// Nodes in `lb_answered`; when they answered is the clock's business.
    pub answered: BTreeSet<u32>,
    /// Sessions of `lb_bfd` that have been heard of; when that was is the clock's business.
    pub routers_heard: BTreeMap<u32, RouterHeard>,
}

impl State {
    /// Adds a set of flows, of which the ages do not matter: the kernel's clock runs.
    pub fn add_flows(&mut self, set: u32, words: FlowWords) {
        if words != [0; WAYS] {
            self.flows.insert(set, words.map(|word| word & !((1 << AGE_BITS) - 1)));
        }
    }

    /// Holder and state of every flow, in order.
    pub fn noted(&self) -> Vec<(NodeIndex, FlowState)> {
        let words = self.flows.values().flatten();
        let entries = words.filter_map(|word| FlowEntry::from_bits(*word as u32));
        let mut noted: Vec<_> = entries.map(|entry| (entry.node, entry.state)).collect();
        noted.sort_unstable();
        noted
    }
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
    /// `lb_node_addrs`.
    pub node_addresses: HashMap<[u8; 16], u32>,
    /// `lb_node_macs`.
    pub node_macs: HashMap<[u8; 8], u32>,
    /// `lb_sources`: the length of each prefix, and what it begins with.
    pub sources: Vec<(u32, Source)>,
    /// `lb_arp`.
    pub arp: HashMap<[u8; 4], Announcer>,
    /// `lb_ndp`.
    pub ndp: HashMap<[u8; 16], Announcer>,
    /// `lb_links`.
    pub links: HashMap<u32, Link>,
    /// `lb_bfd`, as the agent has written it.
    pub bfd: HashMap<u32, BfdSession>,
    /// `lb_bfd_addrs`.
    pub bfd_addresses: HashMap<[u8; 16], BfdAddress>,
    /// `lb_config`.
    pub config: Config,
    /// What this node's kernel says of TCP connections, if it is asked.
    pub kernel: HashMap<TcpConnection, KernelAnswer>,
    /// `lb_liveness` and, in the cell behind the last node, the probe clock.
    liveness: Vec<Cell<Liveness>>,
    flows: Vec<FlowSet>,
    touched: RefCell<BTreeSet<u32>>,
    /// Leaked, because a reference into it outlives the next note: a few bytes for each first fragment of a
    /// test.
    fragments: RefCell<HashMap<FragmentKey, &'static FragmentFlow>>,
    answered: RefCell<BTreeSet<u32>>,
    routers_heard: RefCell<BTreeMap<u32, RouterHeard>>,
    /// Sessions of `bfd` whose routers have said something new. Leaked as `fragments` are.
    sessions_noted: RefCell<HashMap<u32, &'static BfdSession>>,
    /// `lb_agent`.
    agent: Vec<Cell<u64>>,
    allowances: RefCell<[Allowance; Budget::COUNT]>,
    totals: RefCell<Totals>,
}

impl HostTables {
    /// Empty maps of these sizes.
    pub fn new(sizes: Sizes, config: Config) -> Self {
        let zero = Slot::from_words([0; WORDS]);
        Self {
            sizes,
            vips4: HashMap::new(),
            vips6: HashMap::new(),
            slots: vec![zero; sizes.slots as usize],
            nodes: vec![Node::NONE; sizes.nodes as usize],
            node_addresses: HashMap::new(),
            node_macs: HashMap::new(),
            sources: Vec::new(),
            arp: HashMap::new(),
            ndp: HashMap::new(),
            links: HashMap::new(),
            bfd: HashMap::new(),
            bfd_addresses: HashMap::new(),
            config,
            kernel: HashMap::new(),
            liveness: vec![Cell::default(); capacity::LIVENESS],
            flows: std::iter::repeat_with(FlowSet::default).take(capacity::FLOW_SETS).collect(),
            touched: RefCell::default(),
            fragments: RefCell::default(),
            answered: RefCell::default(),
            routers_heard: RefCell::default(),
            sessions_noted: RefCell::default(),
            agent: vec![Cell::new(0); agent_cell::COUNT],
            allowances: RefCell::default(),
            totals: RefCell::default(),
        }
    }

    /// Adds the VIPs and the MAC addresses of nodes to the filters of the configuration.
    pub fn fill_filters(&mut self) {
        self.vips4.keys().for_each(|key| self.config.vips.add4(key.address));
        self.vips6.keys().for_each(|key| self.config.vips.add6(key.address));
        self.node_macs.keys().for_each(|mac| self.config.node_macs.add(u64::from_le_bytes(*mac)));
    }

    /// Writes a cell of `lb_liveness`.
    pub fn set_liveness(&self, cell: u32, liveness: Liveness) {
        self.liveness[cell as usize].set(liveness);
    }

    /// Writes a cell of `lb_agent`.
    pub fn set_agent_cell(&self, cell: u32, value: u64) {
        self.agent[cell as usize].set(value);
    }

    /// The first cells of `lb_agent`: those that packets of tests meet.
    pub fn agent_cells(&self) -> Vec<u64> {
        self.agent.iter().take(8).map(Cell::get).collect()
    }

    /// All cells of `lb_liveness`, the clock included.
    pub fn liveness_cells(&self) -> Vec<Liveness> {
        self.liveness.iter().map(Cell::get).collect()
    }

    /// Number and words of the sets of flows that a packet has looked at since they were last forgotten.
    pub fn touched_flows(&self) -> Vec<(u32, FlowWords)> {
        let words = |set: u32| self.flows[set as usize].ways.each_ref().map(Word::load);
        self.touched.borrow().iter().map(|set| (*set, words(*set))).collect()
    }

    /// Empties the sets of flows that packets have touched and returns their numbers; forgets fragments,
    /// answers and routers too.
    pub fn forget_flows(&self) -> BTreeSet<u32> {
        self.fragments.borrow_mut().clear();
        self.answered.borrow_mut().clear();
        self.routers_heard.borrow_mut().clear();
        self.sessions_noted.borrow_mut().clear();
        let touched = self.touched.take();
        for set in &touched {
            for way in &self.flows[*set as usize].ways {
                Word::store(way, 0);
            }
        }
        touched
    }

    /// What packets have left behind.
    pub fn state(&self) -> State {
        let liveness = self.liveness.iter().take(self.sizes.nodes as usize).map(Cell::get).collect();
        let fragments = self.fragments.borrow().iter().map(|(key, flow)| (*key, **flow)).collect();
        let routers_heard = self.routers_heard.borrow().clone();
        let answered = self.answered.borrow().clone();
        let mut state = State { liveness, fragments, answered, routers_heard, ..State::default() };
        for (set, words) in self.touched_flows() {
            state.add_flows(set, words);
        }
        state
    }

    /// What has been counted so far.
    pub fn totals(&self) -> Totals {
        self.totals.borrow().clone()
    }

    /// Puts counters back to what they were.
    pub(super) fn set_totals(&self, totals: Totals) {
        self.totals.replace(totals);
    }

    /// Counts a verdict.
    pub(super) fn count(&self, counter: u32) {
        assert!((counter as usize) < capacity::VERDICTS, "counter {counter} is outside its map");
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

/// Time stands still: what depends on it is tested by itself, against the kernel's clock.
const AGE: u16 = 7;

impl Inline for HostTables {}

impl Tables for HostTables {
    type Word = AtomicU64;

    fn vip4(&self, key: &Vip4Key) -> Option<Vip> {
        self.vips4.get(key).copied()
    }

    fn vip6(&self, key: &Vip6Key) -> Option<Vip> {
        self.vips6.get(key).copied()
    }

    fn slot(&self, slot: u32) -> Option<Slot> {
        self.slots.get(slot as usize).copied()
    }

    fn order(&self, slot: u32) -> Option<u64> {
        self.slot(slot).map(Slot::order_word)
    }

    fn leader(&self, slot: u32) -> Option<SlotLeader> {
        self.slot(slot).map(|slot| SlotLeader::of(slot, self.config.self_node))
    }

    fn has_led(&self, slot: u32, node: NodeIndex) -> bool {
        self.slot(slot).is_some_and(|slot| slot.has_led(node))
    }

    fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(usize::from(index))
    }

    fn node_by_address(&self, address: &[u8; 16]) -> Option<NodeIndex> {
        self.node_addresses.get(address).map(|index| *index as NodeIndex)
    }

    fn node_by_mac(&self, mac: &[u8; 8]) -> Option<NodeIndex> {
        self.node_macs.get(mac).map(|index| *index as NodeIndex)
    }

    fn admits(&self, source: &Source) -> bool {
        let bits = |source: &Source| (source.vip, u128::from_be_bytes(source.address));
        let (vip, address) = bits(source);
        self.sources.iter().any(|(length, prefix)| {
            let (of, network) = bits(prefix);
            let within = length - Source::VIP_BITS;
            of == vip && (within == 0 || (address ^ network) >> (128 - within) == 0)
        })
    }

    fn count_source_refused(&self, number: u32) {
        if number < self.sizes.vip_stats {
            *self.totals.borrow_mut().source_refused.entry(number).or_default() += 1;
        }
    }

    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer> {
        self.arp.get(vip)
    }

    fn ndp(&self, vip: &[u8; 16]) -> Option<&Announcer> {
        self.ndp.get(vip)
    }

    fn count_l2(&self, number: u32) {
        if number < self.sizes.vip_stats {
            *self.totals.borrow_mut().l2_answered.entry(number).or_default() += 1;
        }
    }

    fn link(&self, ifindex: u32) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    fn liveness(&self, node: NodeIndex) -> Option<Liveness> {
        self.liveness.get(usize::from(node)).map(Cell::get)
    }

    fn note_liveness(&self, node: NodeIndex, heard: Liveness) {
        if let Some(cell) = self.liveness.get(usize::from(node)) {
            cell.set(heard);
        }
    }

    fn note_answered(&self, node: NodeIndex) {
        let node = u32::from(node);
        if node < self.sizes.nodes {
            self.answered.borrow_mut().insert(node);
        }
    }

    fn clock(&self) -> u32 {
        self.liveness[capacity::CLOCK as usize].get().last_seen
    }

    fn bfd_session(&self, discriminator: u32) -> Option<&BfdSession> {
        self.sessions_noted.borrow().get(&discriminator).copied().or_else(|| self.bfd.get(&discriminator))
    }

    fn note_bfd(&self, discriminator: u32, theirs: bfd::Words, is_answered: bool) {
        let mut routers_heard = self.routers_heard.borrow_mut();
        let was_answered = routers_heard.get(&discriminator).is_some_and(|heard| heard.is_answered);
        let is_answered = is_answered || was_answered;
        routers_heard.insert(discriminator, RouterHeard { theirs: bfd::bytes(&theirs), is_answered });
        if let Some(session) = self.bfd_session(discriminator).filter(|session| session.theirs != theirs) {
            let noted = Box::leak(Box::new(BfdSession { theirs, ..*session }));
            self.sessions_noted.borrow_mut().insert(discriminator, noted);
        }
    }

    fn agent_cell(&self, number: u32) -> u64 {
        self.agent.get(number as usize).map_or(0, Cell::get)
    }

    fn note_probed(&self) {
        self.set_agent_cell(agent_cell::PROBED, NOW);
    }

    fn now(&self) -> u64 {
        NOW
    }

    fn bfd_address(&self, [first, second]: &[u64; 2]) -> Option<BfdAddress> {
        let mut address = [0; 16];
        address[..8].copy_from_slice(&first.to_ne_bytes());
        address[8..].copy_from_slice(&second.to_ne_bytes());
        self.bfd_addresses.get(&address).copied()
    }

    fn fragment(&self, key: &FragmentKey) -> Option<&FragmentFlow> {
        self.fragments.borrow().get(key).copied()
    }

    fn note_fragment(&self, key: &FragmentKey, flow: &FragmentFlow) {
        self.fragments.borrow_mut().insert(*key, Box::leak(Box::new(*flow)));
    }

    fn flow_set(&self, set: u32) -> Option<&FlowSet> {
        let set = set & self.config.flow_mask;
        self.touched.borrow_mut().insert(set);
        self.flows.get(set as usize)
    }

    fn flow_age(&self) -> u16 {
        AGE
    }

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn count_vip(&self, number: u32, bytes: u32) {
        add(&mut self.totals.borrow_mut().vips, number, self.sizes.vip_stats, bytes);
    }

    fn count_new_flow(&self, number: u32) {
        if number < self.sizes.vip_stats {
            *self.totals.borrow_mut().new_flows.entry(number).or_default() += 1;
        }
    }

    fn count_flow_event(&self, event: u32) {
        *self.totals.borrow_mut().flow_events.entry(event).or_default() += 1;
    }

    fn count_node(&self, node: NodeIndex, bytes: u32) {
        add(&mut self.totals.borrow_mut().nodes, u32::from(node), self.sizes.nodes, bytes);
    }

    fn allowance(&self, budget: Budget, f: impl FnOnce(&mut Allowance) -> bool) -> bool {
        f(&mut self.allowances.borrow_mut()[budget as usize])
    }

    fn kernel_answer(&self, connection: &TcpConnection) -> KernelAnswer {
        self.kernel.get(connection).copied().unwrap_or(KernelAnswer::Unknown)
    }

    fn now_seconds(&self) -> u64 {
        1
    }
}
