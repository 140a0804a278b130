//! The XDP object inside this binary.

/// The ELF object, aligned as its reader wants it; empty in a binary built without it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fairlead-xdp"));

/// Name of the program that goes on an uplink.
pub const PROGRAM: &str = "fairlead";
/// Name of the program that only asks the kernel whether it has a connection.
pub const LOOKUP_PROGRAM: &str = "asks";
/// Name of the program that does nothing, for measurements and for the far end of a test's veth.
pub const EMPTY_PROGRAM: &str = "nothing";
