//! The XDP object in this binary.

/// The ELF object, aligned for its parser; empty in a binary built without it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fairlead-xdp"));

/// The program for uplinks.
pub const PROGRAM: &str = "fairlead";
/// The same with records of packets, on the uplinks while a trace runs.
pub const TRACE_PROGRAM: &str = "fairlead_trace";
/// The program that only looks up connections in the kernel.
pub const LOOKUP_PROGRAM: &str = "asks";
/// The program that passes every packet, for measurements and for the peer of a test's veth.
pub const EMPTY_PROGRAM: &str = "nothing";
