//! Subprograms that run in place, as on the host.

use lb_common::flows::FlowEntry;
use lb_common::kernel::{KernelAnswer, TcpConnection};
use lb_common::ring::NodeIndex;
use lb_common::verdict::Refusal;

use crate::announcer::AnnouncerState;
use crate::class::PacketClass;
use crate::encapsulate::{encapsulate, sign};
use crate::frame::Frame;
use crate::owner::{LivenessState, SlotRange};
use crate::packet::PacketInfo;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::tables::Tables;
use crate::verdict::Verdict;
use crate::{
    announcer, arp, bfd, connection, decapsulate, echo, flow_record, forward, fragment, icmp_error,
    icmp_quote, ip, ipv6, liveness, ndp, probe, slot, sources, undeclared,
};

/// Marks a [`Frame`] or [`Tables`] whose subprograms run in place.
pub trait Inline {}

impl<T: Tables + Inline> TableSubprograms for T {
    fn liveness_state(&self, node: NodeIndex) -> LivenessState {
        liveness::liveness_of(self, node)
    }

    fn announcer_state(&self, node: NodeIndex) -> AnnouncerState {
        announcer::announcer_state(self, node)
    }

    fn has_recent_death(&self, slot: u32) -> bool {
        self.slot(slot).is_some_and(|slot| liveness::has_recent_death(self, slot))
    }

    fn find_node(&self, slot: u32, id: u32) -> NodeIndex {
        slot::find_node(self, slot, id)
    }

    fn note_flow(&self, packet: &PacketInfo, entry: FlowEntry) {
        flow_record::note_flow(self, packet, entry);
    }
}

impl<F: Frame + Inline> Subprograms for F {
    fn partial_checksum(&self, at: usize, length: usize) -> u32 {
        icmp_error::partial_checksum(self, at, length)
    }

    fn read<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
        ether_type: [u8; 2],
    ) -> Result<PacketClass, Refusal> {
        ip::read(self, tables, packet, ether_type)
    }

    fn walk_v6(&self, packet: &mut PacketInfo) -> Result<PacketClass, Refusal> {
        ipv6::walk_v6(self, packet)
    }

    fn find_v6<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
    ) -> Result<PacketClass, Refusal> {
        ipv6::find_v6(self, tables, packet)
    }

    fn read_icmp_quote<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &mut PacketInfo,
    ) -> Result<bool, Refusal> {
        icmp_quote::read_icmp_quote(self, tables, packet)
    }

    fn is_undeclared<T: TableSubprograms>(&self, tables: &T, packet: &mut PacketInfo) -> bool {
        undeclared::is_undeclared(self, tables, packet)
    }

    fn is_source_refused<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) -> bool {
        sources::is_source_refused(self, tables, packet)
    }

    fn authenticate<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) -> bool {
        decapsulate::authenticate(self, tables, packet)
    }

    fn note_fragment<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) {
        fragment::note_fragment(self, tables, packet);
    }

    fn follow_fragment<T: TableSubprograms>(&self, tables: &T, packet: &mut PacketInfo) -> bool {
        fragment::follow_fragment(self, tables, packet)
    }

    fn can_ask<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo, node: NodeIndex) -> bool {
        forward::can_ask(tables, packet, node)
    }

    fn find_to_ask<T: TableSubprograms>(
        &self,
        tables: &T,
        packet: &PacketInfo,
        part: SlotRange,
    ) -> NodeIndex {
        forward::find_to_ask(tables, packet, part, |node| self.can_ask(tables, packet, node))
    }

    fn ask_kernel<T: TableSubprograms>(&self, tables: &T, packet: &PacketInfo) -> KernelAnswer {
        let mut connection = TcpConnection::EMPTY;
        match connection::read_connection(self, packet, &mut connection) {
            0 => KernelAnswer::Unknown,
            _ => tables.kernel_answer(&connection),
        }
    }

    fn encapsulate<T: TableSubprograms>(
        &mut self,
        tables: &T,
        node: NodeIndex,
        packet: &mut PacketInfo,
    ) -> Result<(), Refusal> {
        sign(tables, node, packet);
        encapsulate(self, tables, node, packet)
    }

    fn serve<T: TableSubprograms>(&mut self, tables: &T, packet: &mut PacketInfo) -> Verdict {
        forward::serve(self, tables, packet)
    }

    fn send_icmp_error<T: TableSubprograms>(
        &mut self,
        tables: &T,
        packet: &PacketInfo,
        refusal: Refusal,
    ) -> Verdict {
        icmp_error::send_icmp_error(self, tables, packet, refusal)
    }

    fn judge_arp<T: TableSubprograms>(&mut self, tables: &T, packet: &PacketInfo) -> Verdict {
        arp::judge_arp(self, tables, packet)
    }

    fn judge_ndp<T: TableSubprograms>(&mut self, tables: &T, packet: &mut PacketInfo) -> Verdict {
        ndp::judge_ndp(self, tables, packet)
    }

    fn answer_ndp<T: TableSubprograms>(&mut self, tables: &T, packet: &PacketInfo) -> Verdict {
        ndp::answer_ndp(self, tables, packet)
    }

    fn judge_echo<T: TableSubprograms>(&mut self, tables: &T, packet: &mut PacketInfo) -> Verdict {
        echo::judge_echo(self, tables, packet)
    }

    fn judge_probe<T: TableSubprograms>(
        &mut self,
        tables: &T,
        packet: &PacketInfo,
        is_reply: bool,
    ) -> Verdict {
        probe::judge_probe(self, tables, packet, is_reply)
    }

    fn judge_bfd<T: TableSubprograms>(&mut self, tables: &T, packet: &PacketInfo) -> Verdict {
        bfd::judge_bfd(self, tables, packet)
    }
}
