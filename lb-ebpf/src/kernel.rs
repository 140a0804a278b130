//! The lookup of the packet's TCP connection in the node's own kernel.
//!
//! Sockets are looked up by a helper, tracked connections by kernel functions (kfuncs), which are called by
//! their BTF ID in the running kernel. These IDs are unknown at compile time, so the agent fills gaps:
//! [`lb_common::kernel::marker`].
#![allow(
    unsafe_code,
    reason = "helpers take pointers; kernel functions are called by instructions that the agent completes"
)]

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_sk_release, bpf_skc_lookup_tcp};
use lb_common::kernel::{KernelAnswer, TcpConnection, conntrack, marker, socket};
use lb_common::wire::ip::protocol;

use crate::frame::XdpFrame;
use crate::maps;

const UNKNOWN: u32 = KernelAnswer::Unknown as u32;
const ABSENT: u32 = KernelAnswer::Absent as u32;
const PRESENT: u32 = KernelAnswer::Present as u32;

/// `BPF_F_CURRENT_NETNS`: the network namespace of the ingress interface.
const THIS_NAMESPACE: i32 = -1;
/// `-ENOENT`.
const NOT_FOUND: i32 = -2;
/// `IP_CT_DIR_ORIGINAL`: the packet has the direction in which the connection was opened.
const FROM_CLIENT: u8 = 0;

/// The kernel's `struct bpf_ct_opts` in its first form, which later kernels accept. Aligned, or the compiler
/// would write two fields at once with a store that the verifier rejects.
#[repr(C, align(8))]
struct Options {
    namespace: i32,
    error: i32,
    protocol: u8,
    direction: u8,
    zone: u16,
}

/// Bytes of the kernel's first form.
const OPTIONS_BYTES: u32 = 12;
const _: () = assert!(size_of::<Options>() == 16 && core::mem::offset_of!(Options, zone) == 10);

/// See [`lb_pipeline::subprograms::Subprograms::ask_kernel`]. Returns the number of a [`KernelAnswer`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_ask_kernel(context: *mut xdp_md) -> u32 {
    if !is_allowed() {
        return UNKNOWN;
    }
    let Some(packet) = maps::packet() else { return UNKNOWN };
    let mut connection = TcpConnection::EMPTY;
    let bytes = lb_pipeline::read_connection(&XdpFrame::new(context), packet, &mut connection);
    if bytes == 0 {
        return UNKNOWN;
    }
    if has_socket(context, &mut connection, bytes) { PRESENT } else { tracked(context, &connection, bytes) }
}

/// Returns whether the agent allows lookups.
#[inline(always)]
fn is_allowed() -> bool {
    let allowed: u64;
    // SAFETY: two moves into a register.
    unsafe {
        asm!("r0 = {marker}", "r0 = 0", marker = const marker::ALLOWED, lateout("r0") allowed,
            options(nomem, nostack));
    }
    allowed != 0
}

/// Returns whether a socket of this node has the connection.
#[inline(always)]
fn has_socket(context: *mut xdp_md, connection: &mut TcpConnection, bytes: u32) -> bool {
    let tuple = (&raw mut *connection).cast();
    // SAFETY: the context is valid; the tuple holds as many bytes; a negative namespace is this one.
    let socket = unsafe { bpf_skc_lookup_tcp(context.cast(), tuple, bytes, THIS_NAMESPACE as u64, 0) };
    if socket.is_null() {
        return false;
    }
    // SAFETY: the kernel has handed out a reference; only the place of a field is taken.
    let state_at = unsafe { &raw const (*socket).state };
    // SAFETY: the field is one that programs may read.
    let state = unsafe { state_at.read_volatile() };
    // SAFETY: the reference is given back once, and not used any more.
    unsafe { bpf_sk_release(socket.cast()) };
    socket::is_alive(state)
}

/// Returns what the conntrack table knows.
#[inline(always)]
fn tracked(context: *mut xdp_md, connection: &TcpConnection, bytes: u32) -> u32 {
    let mut options = Options {
        namespace: THIS_NAMESPACE,
        error: 0,
        protocol: protocol::TCP,
        direction: FROM_CLIENT,
        zone: 0,
    };
    let found = look_up(context, connection, bytes, &mut options);
    if found == 0 {
        // If nothing can be looked up, the error is not set.
        return if options.error == NOT_FOUND { ABSENT } else { UNKNOWN };
    }
    let (state, status) = (state(found), status(found));
    release(found);
    if options.direction == FROM_CLIENT && conntrack::is_alive(state, status) { PRESENT } else { ABSENT }
}

/// Returns a tracked connection, with a reference to it; zero if there is none.
#[inline(always)]
fn look_up(context: *mut xdp_md, connection: &TcpConnection, bytes: u32, options: &mut Options) -> u64 {
    let found: u64;
    // SAFETY: as it is, two moves into a register. Filled in, `bpf_xdp_ct_lookup(context, tuple, tuple's
    // size, options, options' size)`, which the verifier checks; a call leaves nothing in r1 to r5.
    unsafe {
        asm!("r0 = {marker}", "r0 = 0", marker = const marker::CT_LOOKUP,
            lateout("r0") found,
            inlateout("r1") context => _,
            inlateout("r2") &raw const *connection => _,
            inlateout("r3") u64::from(bytes) => _,
            inlateout("r4") &raw mut *options => _,
            inlateout("r5") u64::from(OPTIONS_BYTES) => _,
            options(nostack));
    }
    found
}

/// Releases the reference.
#[inline(always)]
fn release(connection: u64) {
    // SAFETY: as it is, two moves into a register. Filled in, `bpf_ct_release(connection)`.
    unsafe {
        asm!("r0 = {marker}", "r0 = 0", marker = const marker::CT_RELEASE,
            lateout("r0") _,
            inlateout("r1") connection => _,
            lateout("r2") _, lateout("r3") _, lateout("r4") _, lateout("r5") _,
            options(nostack));
    }
}

/// Returns the TCP state of a tracked connection.
#[inline(always)]
fn state(connection: u64) -> u64 {
    let state: u64;
    // SAFETY: as it is, two moves into a register. Filled in, a load of a byte from the connection, which the
    // verifier checks by the kernel's types.
    unsafe {
        asm!("r0 = {marker}", "r0 = 0", marker = const marker::CT_STATE,
            lateout("r0") state, in("r1") connection, options(nostack, readonly));
    }
    state
}

/// Returns the lowest eight status bits of a tracked connection.
#[inline(always)]
fn status(connection: u64) -> u64 {
    let status: u64;
    // SAFETY: as for `state`.
    unsafe {
        asm!("r0 = {marker}", "r0 = 0", marker = const marker::CT_STATUS,
            lateout("r0") status, in("r1") connection, options(nostack, readonly));
    }
    status
}
