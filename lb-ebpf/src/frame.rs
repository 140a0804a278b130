//! The packet memory of an XDP context, as a [`Frame`].
#![allow(unsafe_code, reason = "packet memory is reached by pointers; every access is bounds-checked here")]

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use lb_pipeline::frame::Frame;

/// Maximum offset of a header. The verifier demands a bound on what is added to a packet pointer, or the sum
/// could wrap.
const LAST_OFFSET: usize = 0x3fff;

/// The frame of an XDP context.
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

    /// Returns `N` readable bytes from `at`. Compares pointers, not numbers: of numbers, the compiler would
    /// compare the lower halves, which proves nothing to the verifier.
    #[inline(always)]
    fn bytes<const N: usize>(&self, at: usize) -> Option<*mut [u8; N]> {
        if at > LAST_OFFSET {
            return None;
        }
        // Opaque, or the compiler would check one sum against the end of the packet and use another that it
        // has found to be equal, which the verifier has not. The mask repeats the bound where it is needed:
        // before Linux 6.9 the verifier loses the bound of a number that was spilled to the stack before it
        // was compared.
        let at = opaque(at as u64) as usize & LAST_OFFSET;
        let first = self.start().wrapping_add(at);
        if first.wrapping_add(N) > self.end() { None } else { Some(first.cast()) }
    }
}

/// Returns the same number, but hides its origin from the compiler.
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
        // no alignment; nothing else writes the packet, and the borrow of `self` ends before it is moved.
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
}
