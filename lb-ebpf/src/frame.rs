//! A packet's memory in the kernel, as a [`Frame`].
#![allow(unsafe_code, reason = "packet memory is reached by pointers; every access is bounds-checked here")]

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use lb_common::frame::Frame;
use lb_common::kernel::KernelAnswer;
use lb_common::owner::Part;
use lb_common::pipeline::{self, Found, Packet};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_common::tables::Tables;
use lb_common::verdict::{Forward, Refusal};
use lb_common::wire::ethernet;

use crate::maps::Maps;
use crate::{entry, kernel, maps, step};

/// No header that is looked at starts behind this offset. The verifier needs a bound on what is added to a
/// packet pointer, or it takes the sum for one that could wrap.
const LAST_OFFSET: usize = 0x3fff;

/// The packet of an XDP context.
pub(crate) struct XdpFrame {
    pub(crate) context: *mut xdp_md,
}

impl XdpFrame {
    #[inline(always)]
    pub(crate) const fn new(context: *mut xdp_md) -> Self {
        Self { context }
    }

    #[inline(always)]
    fn start(&self) -> *mut u8 {
        // SAFETY: the kernel hands the program a valid context for as long as it runs.
        let data = unsafe { (*self.context).data };
        data as usize as *mut u8
    }

    #[inline(always)]
    fn end(&self) -> *mut u8 {
        // SAFETY: as above.
        let data_end = unsafe { (*self.context).data_end };
        data_end as usize as *mut u8
    }

    /// `N` readable bytes from `at`. Pointers are compared as pointers: as numbers the compiler would compare
    /// their lower halves, which tells the verifier nothing.
    #[inline(always)]
    fn bytes<const N: usize>(&self, at: usize) -> Option<*mut [u8; N]> {
        if at > LAST_OFFSET {
            return None;
        }
        // Opaque, or the compiler would check one sum against the end of the packet and use another that it has found
        // to be equal, which the verifier has not. The mask repeats the bound where it is needed: before Linux 6.9 the
        // verifier loses the bound of a number that was spilled to the stack before it was compared.
        let at = opaque(at as u64) as usize & LAST_OFFSET;
        let first = self.start().wrapping_add(at);
        if first.wrapping_add(N) > self.end() { None } else { Some(first.cast()) }
    }
}

/// The same number, of which the compiler no longer knows where it comes from.
#[inline(always)]
pub(crate) fn opaque(number: u64) -> u64 {
    let mut same = number;
    // SAFETY: a register moved onto itself. (No instruction at all would leave two lines of source at one
    // address, which the kernel refuses.)
    unsafe { asm!("{0} = {0}", inout(reg) same, options(pure, nomem, nostack, preserves_flags)) };
    same
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn view<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        let bytes = self.bytes::<N>(at)?;
        // SAFETY: `bytes` has checked that all N bytes lie between data and data_end; an array of bytes has
        // no alignment; nobody else writes the packet, and the borrow of `self` ends before it is moved.
        Some(unsafe { &*bytes })
    }

    #[inline(always)]
    fn view_mut<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]> {
        let bytes = self.bytes::<N>(at)?;
        // SAFETY: as in `view`; `&mut self` makes this the only view.
        Some(unsafe { &mut *bytes })
    }

    #[inline(always)]
    fn linear_len(&self) -> usize {
        self.end() as usize - self.start() as usize
    }

    #[inline(always)]
    fn total_len(&self) -> usize {
        // SAFETY: the context is valid for as long as the program runs.
        unsafe { bpf_xdp_get_buff_len(self.context) as usize }
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: the context is valid for as long as the program runs.
        unsafe { (*self.context).ingress_ifindex }
    }

    #[inline(always)]
    fn move_head(&mut self, delta: i32) -> bool {
        // SAFETY: the context is valid; `&mut self` says that no view is alive.
        unsafe { bpf_xdp_adjust_head(self.context, delta) == 0 }
    }

    #[inline(always)]
    fn cut_tail(&mut self, len: usize) -> bool {
        let cut = self.total_len().wrapping_sub(len) as i32;
        // SAFETY: the context is valid; `&mut self` says that no view is alive. A negative cut would grow it.
        cut >= 0 && unsafe { bpf_xdp_adjust_tail(self.context, -cut) == 0 }
    }

    #[inline(always)]
    fn partial_checksum(&self, at: usize, length: usize) -> u32 {
        lb_csum_partial(self.context, at as u64, length as u64)
    }

    #[inline(always)]
    fn complain<T: Tables>(
        &mut self,
        _tables: &T,
        _packet: &Packet,
        refusal: Refusal,
    ) -> Result<Forward, Refusal> {
        Ok(Forward::Served(step::complain(refusal)))
    }

    #[inline(always)]
    fn encapsulate<T: Tables>(
        &mut self,
        _tables: &T,
        node: NodeIndex,
        _packet: &mut Packet,
    ) -> Result<(), Refusal> {
        const TTL_EXPIRED: u32 = Refusal::TtlExpired as u32;
        const TOO_BIG: u32 = Refusal::TooBig as u32;
        lb_sign(node.into());
        match lb_encapsulate(self.context, node.into()) {
            0 => Ok(()),
            TTL_EXPIRED => Err(Refusal::TtlExpired),
            TOO_BIG => Err(Refusal::TooBig),
            _ => Err(Refusal::NoHeadroom),
        }
    }

    #[inline(always)]
    fn read<T: Tables>(
        &self,
        tables: &T,
        packet: &mut Packet,
        ether_type: [u8; 2],
    ) -> Result<Found, Refusal> {
        if ether_type == ethernet::IPV4 {
            Found::from_number(lb_read_v4(self.context))
        } else {
            pipeline::read(self, tables, packet, ethernet::IPV6)
        }
    }

    #[inline(always)]
    fn walk_v6(&self, _packet: &mut Packet) -> Result<Found, Refusal> {
        Found::from_number(lb_walk_v6(self.context))
    }

    #[inline(always)]
    fn find_v6<T: Tables>(&self, _tables: &T, _packet: &mut Packet) -> Result<Found, Refusal> {
        Found::from_number(lb_find_v6(self.context))
    }

    #[inline(always)]
    fn read_quoted<T: Tables>(&mut self, _tables: &T, _packet: &mut Packet) -> Result<bool, Refusal> {
        match lb_read_quoted(self.context) {
            OF_NO_VIP => Ok(false),
            OF_A_VIP => Ok(true),
            FOREIGN => Err(Refusal::ForeignIcmpError),
            _ => Err(Refusal::NotConfigured),
        }
    }

    #[inline(always)]
    fn is_undeclared<T: Tables>(&self, _tables: &T, _packet: &mut Packet) -> bool {
        lb_is_undeclared(self.context) != 0
    }

    #[inline(always)]
    fn is_source_refused<T: Tables>(&self, _tables: &T, _packet: &Packet) -> bool {
        lb_is_src_refused(self.context) != 0
    }

    #[inline(always)]
    fn judge_echo<T: Tables>(&mut self, _tables: &T, _packet: &mut Packet) -> Result<Forward, Refusal> {
        Ok(Forward::Served(step::ECHO))
    }

    #[inline(always)]
    fn judge_probe<T: Tables>(
        &mut self,
        _tables: &T,
        _packet: &Packet,
        asks: bool,
    ) -> Result<Forward, Refusal> {
        Ok(Forward::Served(if asks { step::PROBE } else { step::PROBE_ANSWER }))
    }

    #[inline(always)]
    fn authenticate<T: Tables>(&self, _tables: &T, _packet: &Packet) -> bool {
        lb_authenticate(self.context) != 0
    }

    #[inline(always)]
    fn judge_bfd<T: Tables>(&mut self, _tables: &T, _packet: &Packet) -> Result<Forward, Refusal> {
        Ok(Forward::Served(step::BFD))
    }

    #[inline(always)]
    fn note_fragment<T: Tables>(&mut self, _tables: &T, _packet: &Packet) {
        lb_note_frag(self.context);
    }

    #[inline(always)]
    fn follow_fragment<T: Tables>(&mut self, _tables: &T, _packet: &mut Packet) -> bool {
        lb_follow_frag(self.context) != 0
    }

    #[inline(always)]
    fn ask_kernel<T: Tables>(&self, _tables: &T, _packet: &Packet) -> KernelAnswer {
        KernelAnswer::from_number(kernel::lb_ask_kernel(self.context))
    }

    #[inline(always)]
    fn can_ask<T: Tables>(&self, _tables: &T, _packet: &Packet, node: NodeIndex) -> bool {
        lb_can_ask(node.into()) != 0
    }

    #[inline(always)]
    fn find_to_ask<T: Tables>(&self, _tables: &T, _packet: &Packet, part: Part) -> NodeIndex {
        lb_find_to_ask(part.first, part.only_former.into()) as NodeIndex
    }

    #[inline(always)]
    fn serve<T: Tables>(&mut self, _tables: &T, _packet: &mut Packet) -> Result<Forward, Refusal> {
        Ok(Forward::Served(step::SERVE))
    }
}

/// Whether a node can be asked for the packet, as a global function: see [`lb_serve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_can_ask(node: u32) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    pipeline::can_ask(&Maps, packet, node as NodeIndex).into()
}

/// The next node to be asked for the packet, as a global function: see [`lb_serve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_find_to_ask(first: u32, only_former: u32) -> u32 {
    let Some(packet) = maps::packet() else { return NO_NODE.into() };
    let part = Part { first, only_former: only_former != 0 };
    pipeline::find_to_ask(&Maps, packet, part, |node| lb_can_ask(node.into()) != 0).into()
}

/// The first step of a packet's way as a global function: see [`lb_serve`]. Returns the XDP action, or the next step.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return entry::conclude(Err(Refusal::NotConfigured)) };
    entry::conclude(pipeline::judge_slow(&mut XdpFrame::new(context), &Maps, packet))
}

/// The second step of a packet's way as a global function: the verifier judges it once, for any packet that could have
/// been handed over. Both steps have the packet's description from `maps::packet`. Returns the XDP action, or the next
/// step.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_serve(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return entry::conclude(Err(Refusal::NotConfigured)) };
    let mut frame = XdpFrame::new(context);
    let judgement = pipeline::serve(&mut frame, &Maps, packet);
    entry::conclude(pipeline::tell_sender(judgement, &mut frame, &Maps, packet))
}

/// The end of a packet that cannot be forwarded, as a global function: see [`lb_serve`]. `refusal` is the number of
/// the reason. Returns the XDP action.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_complain(context: *mut xdp_md, refusal: u32) -> u32 {
    const TOO_BIG: u32 = Refusal::TooBig as u32;
    const UNDECLARED_PORT: u32 = Refusal::UndeclaredPort as u32;
    let refusal = match refusal {
        TOO_BIG => Refusal::TooBig,
        UNDECLARED_PORT => Refusal::UndeclaredPort,
        _ => Refusal::TtlExpired,
    };
    let Some(packet) = maps::packet() else { return entry::conclude(Err(refusal)) };
    entry::conclude(pipeline::complain(&mut XdpFrame::new(context), &Maps, packet, refusal))
}

/// The sum over a part of a packet, as a global function: see [`lb_serve`]. The verifier follows each exit of its loops,
/// and would follow the rest of the caller for each.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_csum_partial(context: *mut xdp_md, at: u64, length: u64) -> u32 {
    pipeline::partial_checksum(&XdpFrame::new(context), at as usize, length as usize)
}

/// A packet into GUE, as a global function: see [`lb_serve`]. Returns 0, or the number of the refusal.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_encapsulate(context: *mut xdp_md, node: u32) -> u32 {
    let Some(packet) = maps::packet() else { return Refusal::NotConfigured as u32 };
    match pipeline::encapsulate(&mut XdpFrame::new(context), &Maps, node as NodeIndex, packet) {
        Ok(()) => 0,
        Err(refusal) => refusal as u32,
    }
}

/// The IPv4 packet that is next, as a global function: see [`lb_serve`]. Returns [`Found::to_number`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_read_v4(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return Found::to_number(Err(Refusal::NotConfigured)) };
    Found::to_number(pipeline::read(&XdpFrame::new(context), &Maps, packet, ethernet::IPV4))
}

/// The headers of the IPv6 packet that is next, as a global function: see [`lb_serve`]. Returns [`Found::to_number`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_walk_v6(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return Found::to_number(Err(Refusal::NotConfigured)) };
    Found::to_number(pipeline::walk_v6(&XdpFrame::new(context), packet))
}

/// Whether that packet is a VIP's, as a global function: see [`lb_serve`]. Returns [`Found::to_number`]. Apart from
/// [`lb_walk_v6`], or their stacks would add up.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_find_v6(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return Found::to_number(Err(Refusal::NotConfigured)) };
    Found::to_number(pipeline::find_v6(&XdpFrame::new(context), &Maps, packet))
}

/// [`lb_read_quoted`]: the packet is no VIP's.
const OF_NO_VIP: u32 = 0;
/// [`lb_read_quoted`]: the packet is a VIP's.
const OF_A_VIP: u32 = 1;
/// [`lb_read_quoted`]: [`Refusal::ForeignIcmpError`].
const FOREIGN: u32 = 2;
/// [`lb_read_quoted`]: [`Refusal::NotConfigured`].
const NOT_CONFIGURED: u32 = 3;

/// The packet that an ICMP error is about, as a global function: see [`lb_serve`]. Returns whether it is a VIP's, or why
/// it is refused.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_read_quoted(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return NOT_CONFIGURED };
    match pipeline::read_quoted(&XdpFrame::new(context), &Maps, packet) {
        Ok(false) => OF_NO_VIP,
        Ok(true) => OF_A_VIP,
        Err(Refusal::ForeignIcmpError) => FOREIGN,
        Err(_) => NOT_CONFIGURED,
    }
}

/// Whether a packet is for a port of a VIP that is to be refused, as a global function: see [`lb_serve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_is_undeclared(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    pipeline::is_undeclared(&XdpFrame::new(context), &Maps, packet).into()
}

/// Whether a packet's VIP has source ranges that do not admit its client, as a global function: see [`lb_serve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_is_src_refused(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 1 };
    pipeline::is_source_refused(&XdpFrame::new(context), &Maps, packet).into()
}

/// ICMP that is no error, as a global function: see [`lb_serve`]. Returns the XDP action.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_echo(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return entry::conclude(Err(Refusal::NotConfigured)) };
    entry::conclude(pipeline::judge_echo(&mut XdpFrame::new(context), &Maps, packet))
}

/// S-BFD, as a global function: see [`lb_serve`]. `asks` is 1 for a probe, 0 for an answer. Returns the XDP action.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_probe(context: *mut xdp_md, asks: u32) -> u32 {
    let Some(packet) = maps::packet() else { return entry::conclude(Err(Refusal::NotConfigured)) };
    entry::conclude(pipeline::judge_probe(&mut XdpFrame::new(context), &Maps, packet, asks != 0))
}

/// Whether what has come in GUE has a valid tag, as a global function: see [`lb_serve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_authenticate(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    pipeline::authenticate(&XdpFrame::new(context), &Maps, packet).into()
}

/// The tag of what goes to a node in GUE, as a global function: see [`lb_serve`]. Returns whether there was a packet.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_sign(node: u32) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    pipeline::sign(&Maps, node as NodeIndex, packet);
    1
}

/// BFD of a router, as a global function: see [`lb_serve`]. Returns the XDP action.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_judge_bfd(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return entry::conclude(Err(Refusal::NotConfigured)) };
    entry::conclude(pipeline::judge_bfd(&mut XdpFrame::new(context), &Maps, packet))
}

/// A first fragment noted, as a global function: see [`lb_serve`]. Returns whether there was anything to note.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_note_frag(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    pipeline::note_fragment(&XdpFrame::new(context), &Maps, packet);
    1
}

/// Where a later fragment goes, as a global function: see [`lb_serve`]. Returns whether it is a VIP's.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_follow_frag(context: *mut xdp_md) -> u32 {
    let Some(packet) = maps::packet() else { return 0 };
    pipeline::follow_fragment(&XdpFrame::new(context), &Maps, packet).into()
}
