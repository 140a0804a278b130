//! The maps in the kernel, as [`Tables`].
#![allow(unsafe_code, reason = "map values are reached by pointers that the kernel hands out")]

use core::cell::UnsafeCell;

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_redirect};
use aya_ebpf::macros::btf_map;
use lb_common::flows::{AGE_BITS, FlowSet, Word};
use lb_common::map_table::MapOption;
use lb_common::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Budget, Config, FragmentFlow, FragmentKey, Link, Liveness,
    Node, Source, Traffic, Vip, Vip4Key, Vip6Key, agent_cell, capacity,
};
use lb_common::ring::{self, LEADERS_A_WORD, NodeIndex, Slot, SlotLeader, word_has};
use lb_common::shared_maps;
use lb_common::vips::{self, Bucket, BucketKey};
use lb_common::wire::bfd;
use lb_pipeline::PacketInfo;
use lb_pipeline::tables::Tables;

use crate::frame::opaque;

/// Defines a map for each row of [`lb_common::shared_maps`].
macro_rules! maps {
    ($($(#[$doc:meta])* $constant:ident = $name:tt, $kind:ident<$key:ty, $value:ty>, $entries:expr, $option:ident $(, since = $since:expr)?;)+) => {
        $(map! { $constant, $name, $kind [$key] [$value] [$entries, MapOption::$option as usize] })+
    };
}

macro_rules! map {
    ($constant:ident, $name:tt, Array [$key:ty] [$value:ty] $size:tt) => {
        map! { @ $constant, $name, Array [$value] $size }
    };
    ($constant:ident, $name:tt, PerCpuArray [$key:ty] [$value:ty] $size:tt) => {
        map! { @ $constant, $name, PerCpuArray [$value] $size }
    };
    ($constant:ident, $name:tt, $kind:ident [$key:ty] [$value:ty] $size:tt) => {
        map! { @ $constant, $name, $kind [$key, $value] $size }
    };
    (@ $constant:ident, $name:tt, $kind:ident [$($type:ty),+] [$entries:expr, $flags:expr]) => {
        #[btf_map(name = $name)]
        static $constant: $kind<$($type,)+ { $entries }, { $flags }> = $kind::new();
    };
}

shared_maps!(maps);

/// The parsed current packet: scratch memory of the program, not shared with the agent.
#[btf_map(name = "lb_packet")]
static PACKET: PerCpuArray<PacketInfo, 1> = PerCpuArray::new();

/// 64 bits of a map that the agent and other CPUs read and write concurrently.
#[repr(transparent)]
pub(crate) struct SharedWord(UnsafeCell<u64>);

// SAFETY: it is only ever read and written by single 64-bit accesses, which the machine does at once.
unsafe impl Sync for SharedWord {}

impl Word for SharedWord {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: the pointer is valid and aligned; a volatile load of 64 bits is one instruction.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline(always)]
    fn store(&self, value: u64) {
        // SAFETY: the pointer is valid and aligned; a volatile store of 64 bits is one instruction.
        unsafe { self.0.get().write_volatile(value) }
    }

    #[inline(always)]
    fn opaque(value: u64) -> u64 {
        opaque(value)
    }
}

/// All maps of the program.
pub(crate) struct Maps;

impl Tables for Maps {
    type Word = SharedWord;

    #[inline(always)]
    fn vip4(&self, key: &Vip4Key) -> Option<Vip> {
        found(bucket4(key)?, || key.spilled())
    }

    #[inline(always)]
    fn vip6(&self, key: &Vip6Key) -> Option<Vip> {
        found(bucket6(key)?, || *key)
    }

    #[inline(always)]
    fn bucket_vip4(&self, key: &Vip4Key) -> Option<Vip> {
        bucket4(key).filter(|word| word & vips::PRESENT != 0).map(Vip::from_word)
    }

    #[inline(always)]
    fn bucket_vip6(&self, key: &Vip6Key) -> Option<Vip> {
        bucket6(key).filter(|word| word & vips::PRESENT != 0).map(Vip::from_word)
    }

    #[inline(always)]
    fn order(&self, slot: u32) -> Option<u64> {
        let [order, ..] = slot_words(slot)?;
        Some(order.load())
    }

    #[inline(always)]
    fn slot(&self, slot: u32) -> Option<Slot> {
        let [order, a, b, c] = slot_words(slot)?;
        Some(Slot::from_words([order.load(), a.load(), b.load(), c.load()]))
    }

    #[inline(always)]
    fn leader(&self, slot: u32) -> Option<SlotLeader> {
        let word = LEADERS.get_ptr(slot / LEADERS_A_WORD as u32)?.cast::<SharedWord>();
        // SAFETY: an entry is one aligned 64-bit word that lives as long as the map; the agent may store to
        // it at the same time, which a load sees before or after.
        Some(SlotLeader::get(unsafe { &*word }.load(), slot))
    }

    #[inline(always)]
    fn has_led(&self, slot: u32, node: NodeIndex) -> bool {
        let Some([_, a, b, c]) = slot_words(slot) else { return false };
        let first = a.load();
        // Former leaders come first: if the first word has none, the slot has none.
        first != u64::MAX && (word_has(first, node) || word_has(b.load(), node) || word_has(c.load(), node))
    }

    #[inline(always)]
    fn node(&self, index: NodeIndex) -> Option<&Node> {
        NODES.get(u32::from(index))
    }

    #[inline(always)]
    fn node_by_address(&self, address: &[u8; 16]) -> Option<NodeIndex> {
        // SAFETY: the agent replaces a value as a whole and deletes it only after nothing leads to it; a
        // value that is reused under a running program is one packet to another live node.
        unsafe { NODE_ADDRESSES.get(address) }.map(|index| *index as NodeIndex)
    }

    #[inline(always)]
    fn node_by_mac(&self, mac: &[u8; 8]) -> Option<NodeIndex> {
        // SAFETY: as for `node_by_address`.
        unsafe { NODE_MACS.get(mac) }.map(|index| *index as NodeIndex)
    }

    #[inline(always)]
    fn liveness(&self, node: NodeIndex) -> Option<Liveness> {
        cell(u32::from(node)).map(|word| Liveness::from_word(word.load()))
    }

    #[inline(always)]
    fn note_liveness(&self, node: NodeIndex, heard: Liveness) {
        if let Some(word) = cell(u32::from(node)) {
            word.store(heard.to_word());
        }
    }

    #[inline(always)]
    fn note_answered(&self, node: NodeIndex) {
        let Some(word) = ANSWERED.get_ptr(u32::from(node)) else { return };
        // SAFETY: as for `cell`.
        unsafe { &*word.cast::<SharedWord>() }.store(self.now());
    }

    #[inline(always)]
    fn clock(&self) -> u32 {
        cell(capacity::CLOCK).map_or(0, |word| Liveness::from_word(word.load()).last_seen)
    }

    #[inline(always)]
    fn bfd_session(&self, discriminator: u32) -> Option<&BfdSession> {
        // SAFETY: the agent replaces a value as a whole; one that is reused under a running program is one
        // packet that is noted for another session, or for none.
        unsafe { BFD.get(discriminator) }
    }

    #[inline(always)]
    fn note_bfd(&self, discriminator: u32, theirs: bfd::Words, is_answered: bool) {
        let Some(session) = BFD.get_ptr_mut(discriminator) else { return };
        let now = self.now();
        // SAFETY: the pointer is the map's, and only the place of a field is taken.
        let theirs_at = unsafe { &raw mut (*session).theirs };
        // SAFETY: as above.
        let heard_at = unsafe { &raw mut (*session).heard };
        // SAFETY: as above.
        let answered_at = unsafe { &raw mut (*session).answered };
        // The packet first: a time that the agent sees then comes with its own packet or a later one.
        // SAFETY: a field of a value of the map; a reader sees each word of a packet as it was or as it is.
        unsafe { theirs_at.write_volatile(theirs) };
        // SAFETY: a field of a value of the map, written at once.
        unsafe { heard_at.write_volatile(now) };
        if is_answered {
            // SAFETY: as above.
            unsafe { answered_at.write_volatile(now) };
        }
    }

    #[inline(always)]
    fn agent_cell(&self, number: u32) -> u64 {
        life_sign(number).map_or(0, Word::load)
    }

    #[inline(always)]
    fn note_probed(&self) {
        if let Some(cell) = life_sign(agent_cell::PROBED) {
            cell.store(self.now());
        }
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes nothing and reads a clock.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn bfd_address(&self, address: &[u64; 2]) -> Option<BfdAddress> {
        // SAFETY: as for `node_by_address`.
        unsafe { BFD_ADDRESSES.get(address) }.copied()
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<&FragmentFlow> {
        // SAFETY: a value that is reused under a running program is one fragment to another live node.
        unsafe { FRAGMENTS.get(key) }
    }

    #[inline(always)]
    fn note_fragment(&self, key: &FragmentKey, flow: &FragmentFlow) {
        // If the table takes no entry, later fragments are hashed by their addresses.
        let _ = FRAGMENTS.insert(key, flow, 0);
    }

    #[inline(always)]
    fn flow_set(&self, set: u32) -> Option<&FlowSet<SharedWord>> {
        // The agent chooses the number of sets when it creates the map.
        let set = FLOWS.get_ptr(set & self.config()?.flow_mask)?.cast::<FlowSet<SharedWord>>();
        // SAFETY: a set is so many aligned 64-bit words and lives as long as the map; others store to them at
        // the same time, which each load sees before or after.
        Some(unsafe { &*set })
    }

    #[inline(always)]
    fn flow_age(&self) -> u16 {
        // SAFETY: the helper takes nothing and reads a clock that each tick moves. 2^34 ns are 17.2 s; the
        // bits that are kept come round after a day and a half.
        ((unsafe { bpf_ktime_get_coarse_ns() } >> 34) & ((1 << AGE_BITS) - 1)) as u16
    }

    #[inline(always)]
    fn admits(&self, source: &Source) -> bool {
        SOURCES.get(&Key::new(Source::BITS, *source)).is_some()
    }

    #[inline(always)]
    fn count_source_refused(&self, number: u32) {
        increment(SOURCE_REFUSED.get_ptr_mut(number));
    }

    #[inline(always)]
    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer> {
        // SAFETY: as for `node_by_address`.
        unsafe { ARP.get(vip) }
    }

    #[inline(always)]
    fn ndp(&self, vip: &[u8; 16]) -> Option<&Announcer> {
        // SAFETY: as for `node_by_address`.
        unsafe { NDP.get(vip) }
    }

    #[inline(always)]
    fn count_l2(&self, number: u32) {
        increment(L2_STATS.get_ptr_mut(number));
    }

    #[inline(always)]
    fn link(&self, ifindex: u32) -> Option<&Link> {
        // SAFETY: as for `node_by_address`.
        unsafe { LINKS.get(ifindex) }
    }

    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        CONFIG.get(0)
    }

    #[inline(always)]
    fn count_vip(&self, number: u32, bytes: u32) {
        add(VIP_STATS.get_ptr_mut(number), bytes);
    }

    #[inline(always)]
    fn count_new_flow(&self, number: u32) {
        increment(VIP_FLOWS.get_ptr_mut(number));
    }

    #[inline(always)]
    fn count_flow_event(&self, event: u32) {
        increment(FLOW_EVENTS.get_ptr_mut(event));
    }

    #[inline(always)]
    fn count_node(&self, node: NodeIndex, bytes: u32) {
        add(NODE_STATS.get_ptr_mut(u32::from(node)), bytes);
    }

    #[inline(always)]
    fn allowance(&self, budget: Budget, f: impl FnOnce(&mut Allowance) -> bool) -> bool {
        let Some(allowance) = ICMP_BUDGET.get_ptr_mut(budget as u32) else { return false };
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        f(unsafe { &mut *allowance })
    }

    #[inline(always)]
    fn now_seconds(&self) -> u64 {
        // SAFETY: the helper takes nothing and reads the clock as of the last tick.
        (unsafe { bpf_ktime_get_coarse_ns() }) / 1_000_000_000
    }
}

/// Returns the word of a key in its bucket.
#[inline(always)]
fn bucket4(key: &Vip4Key) -> Option<u64> {
    let bucket = VIPS4.get_ptr(key.bucket())?.cast::<Bucket<SharedWord>>();
    // SAFETY: a bucket is so many aligned 64-bit words and lives as long as the map; the agent may store to
    // them at the same time, which each load sees before or after.
    Some(vips::look_up(unsafe { &*bucket }, key.to_words()))
}

/// Returns the word of a key in its bucket.
#[inline(always)]
fn bucket6(key: &Vip6Key) -> Option<u64> {
    let bucket = VIPS6.get_ptr(key.bucket())?.cast::<Bucket<SharedWord>>();
    // SAFETY: as for `bucket4`.
    Some(vips::look_up(unsafe { &*bucket }, key.to_words()))
}

/// Returns the VIP of a word or, if the bucket has spilled, of `lb_vips_more`.
#[inline(always)]
fn found(word: u64, key: impl Fn() -> Vip6Key) -> Option<Vip> {
    if word & vips::PRESENT != 0 {
        return Some(Vip::from_word(word));
    }
    if word == 0 {
        return None;
    }
    let vip = VIPS_MORE.get_ptr(key())?.cast::<SharedWord>();
    // SAFETY: a value is one aligned 64-bit word; one that is reused under a running program is one packet to
    // another live node.
    Some(Vip::from_word(unsafe { &*vip }.load()))
}

/// Returns the words of a slot.
#[inline(always)]
fn slot_words<'a>(slot: u32) -> Option<&'a [SharedWord; ring::WORDS]> {
    let words = RINGS.get_ptr(slot)?.cast::<[SharedWord; ring::WORDS]>();
    // SAFETY: a slot is so many aligned 64-bit words and lives as long as the map; the agent may store to
    // them at the same time, which each load sees before or after.
    Some(unsafe { &*words })
}

/// Returns a cell of `lb_agent`.
#[inline(always)]
fn life_sign<'a>(index: u32) -> Option<&'a SharedWord> {
    let word = AGENT.get_ptr(index)?.cast::<SharedWord>();
    // SAFETY: as for `cell`.
    Some(unsafe { &*word })
}

/// Returns a cell of `lb_liveness` as one word.
#[inline(always)]
fn cell<'a>(index: u32) -> Option<&'a SharedWord> {
    let word = LIVENESS.get_ptr(index)?.cast::<SharedWord>();
    // SAFETY: a cell is one aligned 64-bit word that lives as long as the map; others store to it at the
    // same time, which an atomic access sees before or after.
    Some(unsafe { &*word })
}

#[inline(always)]
fn add(traffic: Option<*mut Traffic>, bytes: u32) {
    if let Some(traffic) = traffic {
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        let traffic = unsafe { &mut *traffic };
        traffic.packets += 1;
        traffic.bytes += u64::from(bytes);
    }
}

/// Returns the description of the current packet, which all subprograms share.
#[inline(always)]
pub(crate) fn packet<'a>() -> Option<&'a mut PacketInfo> {
    let packet = PACKET.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one; the second
    // half takes it when the first no longer looks at it.
    Some(unsafe { &mut *packet })
}

/// Counts a verdict.
#[inline(always)]
pub(crate) fn count(outcome: u32) {
    increment(VERDICTS.get_ptr_mut(outcome));
}

#[inline(always)]
fn increment(counter: Option<*mut u64>) {
    if let Some(counter) = counter {
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        unsafe { *counter += 1 };
    }
}

/// Returns the action that sends the frame out of another interface.
#[inline(always)]
pub(crate) fn redirect(ifindex: u32) -> u32 {
    // SAFETY: the helper notes the interface for this packet and checks it itself.
    (unsafe { bpf_redirect(ifindex, 0) }) as u32
}
