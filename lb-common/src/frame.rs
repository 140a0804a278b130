//! A packet that can be read, written and moved, in the kernel or on the host.

use crate::kernel::KernelAnswer;
use crate::owner::Part;
use crate::pipeline::{self, Found, Packet};
use crate::ring::NodeIndex;
use crate::tables::Tables;
use crate::verdict::{Forward, Refusal};

/// A packet, from its first Ethernet byte.
///
/// Every access names its length as a constant: in the kernel that is what the verifier can follow, on the
/// host it is one slice conversion.
pub trait Frame {
    /// `N` bytes from offset `at`, or `None` where the frame (its directly readable part) is shorter.
    fn view<const N: usize>(&self, at: usize) -> Option<&[u8; N]>;

    /// As [`Frame::view`], to write.
    fn view_mut<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]>;

    /// Bytes in the directly readable part. Headers are always in it.
    fn linear_len(&self) -> usize;

    /// Bytes in the whole frame, with what a driver has put into further buffers.
    fn total_len(&self) -> usize;

    /// Index of the interface that the frame came in by.
    fn ingress(&self) -> u32;

    /// Moves the first byte by `delta`: negative makes room in front, positive cuts. The content of new
    /// bytes is not defined. Every view taken before is void. Returns false, and changes nothing, where
    /// there is no room.
    #[must_use]
    fn move_head(&mut self, delta: i32) -> bool;

    /// Cuts the end off, so that the frame has `len` bytes. False, with nothing changed, where it cannot be
    /// done or the frame is shorter. Every view taken before is void.
    #[must_use]
    fn cut_tail(&mut self, len: usize) -> bool;

    /// [`pipeline::partial_checksum`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn partial_checksum(&self, at: usize, length: usize) -> u32
    where
        Self: Sized,
    {
        pipeline::partial_checksum(self, at, length)
    }

    /// [`pipeline::complain`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::complain`].
    #[inline(always)]
    fn complain<T: Tables>(
        &mut self,
        tables: &T,
        packet: &Packet,
        refusal: Refusal,
    ) -> Result<Forward, Refusal>
    where
        Self: Sized,
    {
        pipeline::complain(self, tables, packet, refusal)
    }

    /// [`pipeline::sign`] and [`pipeline::encapsulate`]. In the kernel functions of their own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::encapsulate`].
    #[inline(always)]
    fn encapsulate<T: Tables>(
        &mut self,
        tables: &T,
        node: NodeIndex,
        packet: &mut Packet,
    ) -> Result<(), Refusal>
    where
        Self: Sized,
    {
        pipeline::sign(tables, node, packet);
        pipeline::encapsulate(self, tables, node, packet)
    }

    /// [`pipeline::read`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::read`].
    #[inline(always)]
    fn read<T: Tables>(&self, tables: &T, packet: &mut Packet, ether_type: [u8; 2]) -> Result<Found, Refusal>
    where
        Self: Sized,
    {
        pipeline::read(self, tables, packet, ether_type)
    }

    /// [`pipeline::walk_v6`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::walk_v6`].
    #[inline(always)]
    fn walk_v6(&self, packet: &mut Packet) -> Result<Found, Refusal>
    where
        Self: Sized,
    {
        pipeline::walk_v6(self, packet)
    }

    /// [`pipeline::find_v6`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::find_v6`].
    #[inline(always)]
    fn find_v6<T: Tables>(&self, tables: &T, packet: &mut Packet) -> Result<Found, Refusal>
    where
        Self: Sized,
    {
        pipeline::find_v6(self, tables, packet)
    }

    /// [`pipeline::read_quoted`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::read_quoted`].
    #[inline(always)]
    fn read_quoted<T: Tables>(&mut self, tables: &T, packet: &mut Packet) -> Result<bool, Refusal>
    where
        Self: Sized,
    {
        pipeline::read_quoted(self, tables, packet)
    }

    /// [`pipeline::is_undeclared`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn is_undeclared<T: Tables>(&self, tables: &T, packet: &mut Packet) -> bool
    where
        Self: Sized,
    {
        pipeline::is_undeclared(self, tables, packet)
    }

    /// [`pipeline::is_source_refused`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn is_source_refused<T: Tables>(&self, tables: &T, packet: &Packet) -> bool
    where
        Self: Sized,
    {
        pipeline::is_source_refused(self, tables, packet)
    }

    /// [`pipeline::judge_echo`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::judge_echo`].
    #[inline(always)]
    fn judge_echo<T: Tables>(&mut self, tables: &T, packet: &mut Packet) -> Result<Forward, Refusal>
    where
        Self: Sized,
    {
        pipeline::judge_echo(self, tables, packet)
    }

    /// [`pipeline::judge_probe`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::judge_probe`].
    #[inline(always)]
    fn judge_probe<T: Tables>(&mut self, tables: &T, packet: &Packet, asks: bool) -> Result<Forward, Refusal>
    where
        Self: Sized,
    {
        pipeline::judge_probe(self, tables, packet, asks)
    }

    /// [`pipeline::authenticate`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn authenticate<T: Tables>(&self, tables: &T, packet: &Packet) -> bool
    where
        Self: Sized,
    {
        pipeline::authenticate(self, tables, packet)
    }

    /// [`pipeline::judge_bfd`]. In the kernel a function of its own, as [`Frame::serve`] is.
    ///
    /// # Errors
    /// As for [`pipeline::judge_bfd`].
    #[inline(always)]
    fn judge_bfd<T: Tables>(&mut self, tables: &T, packet: &Packet) -> Result<Forward, Refusal>
    where
        Self: Sized,
    {
        pipeline::judge_bfd(self, tables, packet)
    }

    /// [`pipeline::note_fragment`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn note_fragment<T: Tables>(&mut self, tables: &T, packet: &Packet)
    where
        Self: Sized,
    {
        pipeline::note_fragment(self, tables, packet);
    }

    /// [`pipeline::follow_fragment`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn follow_fragment<T: Tables>(&mut self, tables: &T, packet: &mut Packet) -> bool
    where
        Self: Sized,
    {
        pipeline::follow_fragment(self, tables, packet)
    }

    /// [`pipeline::can_ask`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn can_ask<T: Tables>(&self, tables: &T, packet: &Packet, node: NodeIndex) -> bool
    where
        Self: Sized,
    {
        pipeline::can_ask(tables, packet, node)
    }

    /// [`pipeline::find_to_ask`]. In the kernel a function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn find_to_ask<T: Tables>(&self, tables: &T, packet: &Packet, part: Part) -> NodeIndex
    where
        Self: Sized,
    {
        pipeline::find_to_ask(tables, packet, part, |node| self.can_ask(tables, packet, node))
    }

    /// Whether this node's kernel has the packet's TCP connection. Off the kernel there is nobody to ask. In the kernel a
    /// function of its own, as [`Frame::serve`] is.
    #[inline(always)]
    fn ask_kernel<T: Tables>(&self, _tables: &T, _packet: &Packet) -> KernelAnswer
    where
        Self: Sized,
    {
        KernelAnswer::CannotTell
    }

    /// [`pipeline::serve`], the second half of a packet's way. In the kernel a function of its own: the
    /// verifier follows every path through the first half, and would follow the second half for each. It is called once the
    /// first half has returned, and does what [`pipeline::tell_sender`] does, too.
    ///
    /// # Errors
    /// As for [`pipeline::judge_slow`].
    #[inline(always)]
    fn serve<T: Tables>(&mut self, tables: &T, packet: &mut Packet) -> Result<Forward, Refusal>
    where
        Self: Sized,
    {
        pipeline::serve(self, tables, packet)
    }
}
