//! The question to the node's own kernel: does it have the TCP connection of the packet under way?
//!
//! Sockets are asked by a helper, tracked connections by functions of the kernel (kfuncs), which are called by their
//! number in this kernel's BTF. The numbers are not known here, so there are gaps that the agent fills:
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

const CANNOT_TELL: u32 = KernelAnswer::Unknown as u32;
const NO: u32 = KernelAnswer::Absent as u32;
const HAS: u32 = KernelAnswer::Present as u32;

/// `BPF_F_CURRENT_NETNS`: the network namespace of the interface that the packet came in by.
const THIS_NAMESPACE: i32 = -1;
/// `-ENOENT`.
const NOT_FOUND: i32 = -2;
/// `IP_CT_DIR_ORIGINAL`: the packet goes the way that the connection was opened.
const FROM_CLIENT: u8 = 0;

/// The kernel's `struct bpf_ct_opts`, in its first form, which later kernels take as well. Aligned, or the compiler would
/// write two fields at once where the verifier allows no such store to the stack.
#[repr(C, align(8))]
struct Options {
    namespace: i32,
    error: i32,
    protocol: u8,
    direction: u8,
    zone: u16,
}

/// As many bytes as the kernel's first form has.
const OPTIONS_BYTES: u32 = 12;
const _: () = assert!(size_of::<Options>() == 16 && core::mem::offset_of!(Options, zone) == 10);

/// See [`lb_pipeline::subprograms::Subprograms::ask_kernel`]. Returns the number of a [`KernelAnswer`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_ask_kernel(context: *mut xdp_md) -> u32 {
    if !is_allowed() {
        return CANNOT_TELL;
    }
    let Some(packet) = maps::packet() else { return CANNOT_TELL };
    let mut connection = TcpConnection::EMPTY;
    let bytes = lb_pipeline::read_connection(&XdpFrame::new(context), packet, &mut connection);
    if bytes == 0 {
        return CANNOT_TELL;
    }
    if has_socket(context, &mut connection, bytes) { HAS } else { tracked(context, &connection, bytes) }
}

/// Whether the agent lets the program ask.
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

/// Whether a socket of this node has the connection.
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

/// What the kernel's table of tracked connections says.
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
        // Where nothing can be looked up nobody has written the reason.
        return if options.error == NOT_FOUND { NO } else { CANNOT_TELL };
    }
    let (state, status) = (state(found), status(found));
    release(found);
    if options.direction == FROM_CLIENT && conntrack::is_alive(state, status) { HAS } else { NO }
}

/// A tracked connection, with a reference to it; zero for none.
#[inline(always)]
fn look_up(context: *mut xdp_md, connection: &TcpConnection, bytes: u32, options: &mut Options) -> u64 {
    let found: u64;
    // SAFETY: as it is, two moves into a register. Filled in, `bpf_xdp_ct_lookup(context, tuple, tuple's size, options,
    // options' size)`, which the verifier checks; a call leaves nothing in r1 to r5.
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

/// Gives the reference back.
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

/// The TCP state of a tracked connection.
#[inline(always)]
fn state(connection: u64) -> u64 {
    let state: u64;
    // SAFETY: as it is, two moves into a register. Filled in, a load of a byte from the connection, which the verifier
    // checks by the kernel's types.
    unsafe {
        asm!("r0 = {marker}", "r0 = 0", marker = const marker::CT_STATE,
            lateout("r0") state, in("r1") connection, options(nostack, readonly));
    }
    state
}

/// The status bits of a tracked connection, the lowest eight.
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
