//! The functions of the pipeline that are subprograms in the kernel, as traits.
//!
//! The verifier checks a global function on its own, by the types of its arguments, and not once for every
//! path to its call. A call chain shares 512 bytes of stack. So the pipeline calls these functions through
//! traits: the kernel calls each as a global function, or returns [`Forward::Next`] to call it once the stack
//! of the caller is free; the host runs them in place ([`crate::inline`]).
//!
//! [`Forward::Next`]: crate::verdict::Forward::Next

use lb_common::flows::FlowEntry;
use lb_common::kernel::KernelAnswer;
use lb_common::ring::NodeIndex;
use lb_common::verdict::Refusal;

use crate::announcer::AnnouncerState;
use crate::class::PacketClass;
use crate::frame::Frame;
use crate::owner::{LivenessState, SlotRange};
use crate::packet::PacketInfo;
use crate::tables::Tables;
use crate::verdict::Verdict;

/// Subprograms on the tables alone.
pub trait TableSubprograms: Tables {
    /// Calls [`crate::liveness_of`].
    fn liveness_state(&self, node: NodeIndex) -> LivenessState;

    /// Calls [`crate::announcer::announcer_state`].
    fn announcer_state(&self, node: NodeIndex) -> AnnouncerState;

    /// Calls [`crate::has_recent_death`] for a slot.
    fn has_recent_death(&self, slot: u32) -> bool;

    /// Calls [`crate::find_node`].
    fn find_node(&self, slot: u32, id: u32) -> NodeIndex;

    /// Calls [`crate::note_flow`].
    fn note_flow(&self, packet: &PacketInfo, entry: FlowEntry);
}

/// Subprograms on a packet.
pub trait Subprograms: Frame {
    /// Calls [`crate::partial_checksum`].
    fn partial_checksum(&self, at: usize, length: usize) -> u32;

    /// Calls [`crate::read`].
    ///
    /// # Errors
    /// As [`crate::read`].
    fn read<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
        ether_type: [u8; 2],
    ) -> Result<PacketClass, Refusal>;

    /// Calls [`crate::walk_v6`].
    ///
    /// # Errors
    /// As [`crate::walk_v6`].
    fn walk_v6(&self, packet: &mut PacketInfo) -> Result<PacketClass, Refusal>;

    /// Calls [`crate::find_v6`].
    ///
    /// # Errors
    /// As [`crate::find_v6`].
    fn find_v6<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
    ) -> Result<PacketClass, Refusal>;

    /// Calls [`crate::read_icmp_quote`].
    ///
    /// # Errors
    /// As [`crate::read_icmp_quote`].
    fn read_icmp_quote<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
    ) -> Result<bool, Refusal>;

    /// Calls [`crate::is_undeclared`].
    fn is_undeclared<T: TableSubprograms>(&self, tables: &T, packet: &mut PacketInfo) -> bool;

    /// Calls [`crate::is_source_refused`].
    fn is_source_refused<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) -> bool;

    /// Calls [`crate::authenticate`].
    fn authenticate<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) -> bool;

    /// Calls [`crate::note_fragment`].
    fn note_fragment<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo);

    /// Calls [`crate::follow_fragment`].
    fn follow_fragment<T: TableSubprograms>(&self, tables: &T, packet: &mut PacketInfo) -> bool;

    /// Calls [`crate::can_ask`].
    fn can_ask<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo, node: NodeIndex) -> bool;

    /// Calls [`crate::find_to_ask`].
    fn find_to_ask<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo, part: SlotRange)
    -> NodeIndex;

    /// Looks up the packet's TCP connection in this node's kernel.
    fn ask_kernel<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) -> KernelAnswer;

    /// Calls [`crate::sign`], then [`crate::encapsulate`].
    ///
    /// # Errors
    /// As [`crate::encapsulate`].
    fn encapsulate<T: TableSubprograms>(
        &mut self,
        tables: &T,
        node: NodeIndex,
        packet: &mut PacketInfo,
    ) -> Result<(), Refusal>;

    /// Continues with [`crate::serve`], the second half of a packet's path, and in the kernel with
    /// [`crate::report_refusal`], which the host calls later.
    ///
    /// # Errors
    /// As [`crate::serve`].
    fn serve<T: TableSubprograms>(&mut self, tables: &T, packet: &mut PacketInfo) -> Verdict;

    /// Continues with [`crate::send_icmp_error`].
    ///
    /// # Errors
    /// As [`crate::send_icmp_error`].
    fn send_icmp_error<T: TableSubprograms>(
        &mut self,
        tables: &T,
        packet: &PacketInfo,
        refusal: Refusal,
    ) -> Verdict;

    /// Continues with [`crate::judge_arp`].
    ///
    /// # Errors
    /// As [`crate::judge_arp`].
    fn judge_arp<T: TableSubprograms>(&mut self, tables: &T, packet: &PacketInfo) -> Verdict;

    /// Continues with [`crate::judge_ndp`].
    ///
    /// # Errors
    /// As [`crate::judge_ndp`].
    fn judge_ndp<T: TableSubprograms>(&mut self, tables: &T, packet: &mut PacketInfo) -> Verdict;

    /// Continues with [`crate::answer_ndp`].
    ///
    /// # Errors
    /// As [`crate::answer_ndp`].
    fn answer_ndp<T: TableSubprograms>(&mut self, tables: &T, packet: &PacketInfo) -> Verdict;

    /// Continues with [`crate::judge_echo`].
    ///
    /// # Errors
    /// As [`crate::judge_echo`].
    fn judge_echo<T: TableSubprograms>(&mut self, tables: &T, packet: &mut PacketInfo) -> Verdict;

    /// Continues with [`crate::judge_probe`].
    ///
    /// # Errors
    /// As [`crate::judge_probe`].
    fn judge_probe<T: TableSubprograms>(
        &mut self,
        tables: &T,
        packet: &PacketInfo,
        is_reply: bool,
    ) -> Verdict;

    /// Continues with [`crate::judge_bfd`].
    ///
    /// # Errors
    /// As [`crate::judge_bfd`].
    fn judge_bfd<T: TableSubprograms>(&mut self, tables: &T, packet: &PacketInfo) -> Verdict;
}
