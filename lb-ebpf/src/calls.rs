//! The subprograms of the program: global functions, which the verifier judges one by one.
//!
//! Each is called through a trait of [`lb_pipeline::subprograms`] and takes the packet's description from
//! [`maps::packet`]. Its result is a number; of what is more than a number or a truth value, [`Bits`].
#![allow(unsafe_code, reason = "a global function keeps its name, by which the verifier and bpftool know it")]

use aya_ebpf::bindings::xdp_md;
use lb_common::flows::FlowEntry;
use lb_common::kernel::KernelAnswer;
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_common::verdict::Refusal;
use lb_common::wire::ethernet;
use lb_pipeline::announcer::AnnouncerState;
use lb_pipeline::bits::Bits;
use lb_pipeline::owner::{LivenessState, SlotRange};
use lb_pipeline::subprograms::{Subprograms, TableSubprograms};
use lb_pipeline::tables::Tables;
use lb_pipeline::verdict::{Forward, NextStep, Verdict};
use lb_pipeline::{PacketClass, PacketInfo};

use crate::frame::XdpFrame;
use crate::kernel;
use crate::maps::{self, Maps};

/// There is no description of the packet, or bits encode nothing: neither happens.
const LOST: Refusal = Refusal::NotConfigured;

/// Decodes what a subprogram that can refuse has returned.
#[inline(always)]
fn result<T: Bits>(bits: u64) -> Result<T, Refusal> {
    Bits::from_bits(bits).unwrap_or(Err(LOST))
}

/// What a subprogram that can refuse returns without a description of the packet.
#[inline(always)]
fn no_packet() -> u64 {
    Err::<(), _>(LOST).to_bits()
}

impl TableSubprograms for Maps {
    #[inline(always)]
    fn liveness_state(&self, node: NodeIndex) -> LivenessState {
        LivenessState::from_bits(lb_liveness_of(node.into())).unwrap_or(LivenessState::Dead)
    }

    #[inline(always)]
    fn announcer_state(&self, node: NodeIndex) -> AnnouncerState {
        AnnouncerState::from_number(lb_ann_state(node.into()))
    }

    #[inline(always)]
    fn has_recent_death(&self, slot: u32) -> bool {
        lb_recent_death(slot) != 0
    }

    #[inline(always)]
    fn find_node(&self, slot: u32, id: u32) -> NodeIndex {
        lb_find_node(slot, id) as NodeIndex
    }

    #[inline(always)]
    fn note_flow(&self, _packet: &PacketInfo, entry: FlowEntry) {
        lb_note_flow(entry.to_bits());
    }
}

/// See [`TableSubprograms::liveness_state`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_liveness_of(node: u32) -> u64 {
    lb_pipeline::liveness_of(&Maps, node as NodeIndex).to_bits()
}

/// See [`TableSubprograms::announcer_state`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_ann_state(node: u32) -> u32 {
    lb_pipeline::announcer::announcer_state(&Maps, node as NodeIndex).to_number()
}

/// See [`TableSubprograms::has_recent_death`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_recent_death(slot: u32) -> u32 {
    Maps.slot(slot).is_some_and(|slot| lb_pipeline::has_recent_death(&Maps, slot)).into()
}

/// See [`TableSubprograms::find_node`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_find_node(slot: u32, id: u32) -> u32 {
    lb_pipeline::find_node(&Maps, slot, id).into()
}

/// See [`TableSubprograms::note_flow`]. Returns whether there was anything to note.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_note_flow(entry: u32) -> u32 {
    match (maps::packet(), FlowEntry::from_bits(entry)) {
        (Some(packet), Some(entry)) => {
            lb_pipeline::note_flow(&Maps, packet, entry);
            1
        }
        _ => 0,
    }
}

impl Subprograms for XdpFrame {
    #[inline(always)]
    fn partial_checksum(&self, at: usize, length: usize) -> u32 {
        lb_csum_partial(self.context, at as u64, length as u64)
    }

    #[inline(always)]
    fn read<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
        ether_type: [u8; 2],
    ) -> Result<PacketClass, Refusal> {
        if ether_type == ethernet::IPV4 {
            result(lb_read_v4(self.context))
        } else {
            lb_pipeline::read(self, tables, packet, ethernet::IPV6)
        }
    }

    #[inline(always)]
    fn walk_v6(&self, _packet: &mut PacketInfo) -> Result<PacketClass, Refusal> {
        result(lb_walk_v6(self.context))
    }

    #[inline(always)]
    fn find_v6<T: TableSubprograms>(
        &self,
        _tables: &T,
        _packet: &mut PacketInfo,
    ) -> Result<PacketClass, Refusal> {
        result(lb_find_v6(self.context))
    }

    #[inline(always)]
    fn read_icmp_quote<T: TableSubprograms>(
        &self,
        _tables: &T,
        _packet: &mut PacketInfo,
    ) -> Result<bool, Refusal> {
        result(lb_icmp_quote(self.context))
    }

    #[inline(always)]
    fn is_undeclared<T: TableSubprograms>(&self, _tables: &T, _packet: &mut PacketInfo) -> bool {
        lb_is_undeclared(self.context) != 0
    }

    #[inline(always)]
    fn is_source_refused<T: TableSubprograms>(&self, _tables: &T, _packet: &PacketInfo) -> bool {
        lb_is_src_refused(self.context) != 0
    }

    #[inline(always)]
    fn authenticate<T: TableSubprograms>(&self, _tables: &T, _packet: &PacketInfo) -> bool {
        lb_authenticate(self.context) != 0
    }

    #[inline(always)]
    fn note_fragment<T: TableSubprograms>(&self, _tables: &T, _packet: &PacketInfo) {
        lb_note_frag(self.context);
    }

    #[inline(always)]
    fn follow_fragment<T: TableSubprograms>(&self, _tables: &T, _packet: &mut PacketInfo) -> bool {
        lb_follow_frag(self.context) != 0
    }

    #[inline(always)]
    fn can_ask<T: TableSubprograms>(&self, _tables: &T, _packet: &PacketInfo, node: NodeIndex) -> bool {
        lb_can_ask(node.into()) != 0
    }

    #[inline(always)]
    fn find_to_ask<T: TableSubprograms>(
        &self,
        _tables: &T,
        _packet: &PacketInfo,
        part: SlotRange,
    ) -> NodeIndex {
        lb_find_to_ask(part.first, part.only_former.into()) as NodeIndex
    }

    #[inline(always)]
    fn ask_kernel<T: TableSubprograms>(&self, _tables: &T, _packet: &PacketInfo) -> KernelAnswer {
        KernelAnswer::from_bits(kernel::lb_ask_kernel(self.context).into()).unwrap_or(KernelAnswer::Unknown)
    }

    #[inline(always)]
    fn encapsulate<T: TableSubprograms>(
        &mut self,
        _tables: &T,
        node: NodeIndex,
        _packet: &mut PacketInfo,
    ) -> Result<(), Refusal> {
        lb_sign(node.into());
        result(lb_encapsulate(self.context, node.into()))
    }

    #[inline(always)]
    fn serve<T: TableSubprograms>(&mut self, _tables: &T, _packet: &mut PacketInfo) -> Verdict {
        Ok(Forward::Next(NextStep::Serve))
    }

    #[inline(always)]
    fn send_icmp_error<T: TableSubprograms>(
        &mut self,
        _tables: &T,
        _packet: &PacketInfo,
        refusal: Refusal,
    ) -> Verdict {
        Ok(Forward::Next(NextStep::IcmpError(refusal)))
    }

    #[inline(always)]
    fn judge_arp<T: TableSubprograms>(&mut self, _tables: &T, _packet: &PacketInfo) -> Verdict {
        Ok(Forward::Next(NextStep::Arp))
    }

    #[inline(always)]
    fn judge_ndp<T: TableSubprograms>(&mut self, _tables: &T, _packet: &mut PacketInfo) -> Verdict {
        Ok(Forward::Next(NextStep::Ndp))
    }

    #[inline(always)]
    fn answer_ndp<T: TableSubprograms>(&mut self, _tables: &T, _packet: &PacketInfo) -> Verdict {
        Ok(Forward::Next(NextStep::NdpAnswer))
    }

    #[inline(always)]
    fn judge_echo<T: TableSubprograms>(&mut self, _tables: &T, _packet: &mut PacketInfo) -> Verdict {
        Ok(Forward::Next(NextStep::Echo))
    }

    #[inline(always)]
    fn judge_probe<T: TableSubprograms>(
        &mut self,
        _tables: &T,
        _packet: &PacketInfo,
        is_reply: bool,
    ) -> Verdict {
        Ok(Forward::Next(if is_reply { NextStep::ProbeReply } else { NextStep::Probe }))
    }

    #[inline(always)]
    fn judge_bfd<T: TableSubprograms>(&mut self, _tables: &T, _packet: &PacketInfo) -> Verdict {
        Ok(Forward::Next(NextStep::Bfd))
    }
}

/// The slow path, in steps: what the program runs when the fast path declines a packet.
///
/// ```text
/// fairlead ─┬─ lb_judge ── reads the packet, finds the node; calls what it needs an answer of
///           ├─ lb_serve ── owns the flow or passes the packet on
///           ├─ lb_judge_ndp ── reads the solicitation; then lb_answer_ndp
///           └─ lb_icmp_error, lb_judge_arp, lb_judge_echo, lb_judge_probe, lb_judge_bfd
/// ```
#[inline(always)]
pub(crate) fn judge_slow(context: *mut xdp_md) -> Verdict {
    let mut bits = lb_judge(context);
    if bits == Forward::Next(NextStep::Serve).to_bits() {
        bits = lb_serve(context);
    }
    if bits == Forward::Next(NextStep::Ndp).to_bits() {
        bits = lb_judge_ndp(context);
    }
    match result(bits) {
        Ok(Forward::Next(NextStep::Arp)) => result(lb_judge_arp(context)),
        Ok(Forward::Next(NextStep::NdpAnswer)) => result(lb_answer_ndp(context)),
        Ok(Forward::Next(NextStep::Echo)) => result(lb_judge_echo(context)),
        Ok(Forward::Next(NextStep::Probe)) => result(lb_judge_probe(context, 0)),
        Ok(Forward::Next(NextStep::ProbeReply)) => result(lb_judge_probe(context, 1)),
        Ok(Forward::Next(NextStep::Bfd)) => result(lb_judge_bfd(context)),
        Ok(Forward::Next(NextStep::IcmpError(refusal))) => result(lb_icmp_error(context, refusal as u32)),
        other => other,
    }
}

/// The first step: [`lb_pipeline::judge_slow`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::judge_slow(&mut XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::serve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_serve(context: *mut xdp_md) -> u64 {
    let mut frame = XdpFrame::new(context);
    let Some(packet) = maps::packet() else { return no_packet() };
    let verdict = lb_pipeline::serve(&mut frame, &Maps, packet);
    lb_pipeline::report_refusal(verdict, &mut frame, &Maps, packet).to_bits()
}

/// See [`Subprograms::send_icmp_error`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_icmp_error(context: *mut xdp_md, refusal: u32) -> u64 {
    let refusal = Refusal::from_number(refusal.into()).unwrap_or(LOST);
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::send_icmp_error(&mut XdpFrame::new(context), &Maps, packet, refusal).to_bits()
}

/// See [`Subprograms::judge_arp`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_arp(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::judge_arp(&mut XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::judge_ndp`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_ndp(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::judge_ndp(&mut XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::answer_ndp`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_answer_ndp(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::answer_ndp(&mut XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::judge_echo`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_echo(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::judge_echo(&mut XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::judge_probe`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_probe(context: *mut xdp_md, is_reply: u32) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::judge_probe(&mut XdpFrame::new(context), &Maps, packet, is_reply != 0).to_bits()
}

/// See [`Subprograms::judge_bfd`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_bfd(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::judge_bfd(&mut XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::can_ask`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_can_ask(node: u32) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    lb_pipeline::can_ask(&Maps, packet, node as NodeIndex).into()
}

/// See [`Subprograms::find_to_ask`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_find_to_ask(first: u32, only_former: u32) -> u32 {
    let part = SlotRange { first, only_former: only_former != 0 };
    let can_ask = |node: NodeIndex| lb_can_ask(node.into()) != 0;
    let Some(packet) = maps::packet() else { return NO_NODE.into() };
    lb_pipeline::find_to_ask(&Maps, packet, part, can_ask).into()
}

/// See [`Subprograms::partial_checksum`]. The verifier follows each exit of its loops.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_csum_partial(context: *mut xdp_md, at: u64, length: u64) -> u32 {
    lb_pipeline::partial_checksum(&XdpFrame::new(context), at as usize, length as usize)
}

/// See [`Subprograms::encapsulate`]. Returns whether there was a packet.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_sign(node: u32) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    lb_pipeline::sign(&Maps, node as NodeIndex, packet);
    1
}

/// See [`Subprograms::encapsulate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_encapsulate(context: *mut xdp_md, node: u32) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::encapsulate(&mut XdpFrame::new(context), &Maps, node as NodeIndex, packet).to_bits()
}

/// See [`Subprograms::read`], of IPv4.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_read_v4(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::read(&XdpFrame::new(context), &Maps, packet, ethernet::IPV4).to_bits()
}

/// See [`Subprograms::walk_v6`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_walk_v6(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::walk_v6(&XdpFrame::new(context), packet).to_bits()
}

/// See [`Subprograms::find_v6`]. Apart from [`lb_walk_v6`], or their stacks would add up.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_find_v6(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::find_v6(&XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::read_icmp_quote`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_icmp_quote(context: *mut xdp_md) -> u64 {
    let Some(packet) = maps::packet() else { return no_packet() };
    lb_pipeline::read_icmp_quote(&XdpFrame::new(context), &Maps, packet).to_bits()
}

/// See [`Subprograms::is_undeclared`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_is_undeclared(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    lb_pipeline::is_undeclared(&XdpFrame::new(context), &Maps, packet).into()
}

/// See [`Subprograms::is_source_refused`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_is_src_refused(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 1 };
    lb_pipeline::is_source_refused(&XdpFrame::new(context), &Maps, packet).into()
}

/// See [`Subprograms::authenticate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_authenticate(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    lb_pipeline::authenticate(&XdpFrame::new(context), &Maps, packet).into()
}

/// See [`Subprograms::note_fragment`]. Returns whether there was a packet.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_note_frag(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    lb_pipeline::note_fragment(&XdpFrame::new(context), &Maps, packet);
    1
}

/// See [`Subprograms::follow_fragment`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_follow_frag(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    lb_pipeline::follow_fragment(&XdpFrame::new(context), &Maps, packet).into()
}
