//! The kernel side: load, pin, attach; operations into map writes; counters.
//!
//! ```text
//! preflight  ── what must be so before anything is touched
//! ask        ── what the program can ask this kernel: the object's gaps filled, from the kernel's btf
//! attach     ── object → maps and program, loaded
//! attachment ── a pinned link on each uplink, as desired state
//! maps       ── Op → map write;  maps → Contents (read back)
//! sources    ── source ranges of VIPs: the part of maps that is a trie
//! mapping    ── a map as memory: the rings, and in cells liveness and flows
//! bfd        ── sessions with routers
//! counters   ── what the program counted
//! ```

pub mod attach;
pub mod attachment;
pub mod bfd;
pub mod btf;
pub mod counters;
pub mod kernel_lookup;
pub mod liveness;
pub mod mapped_tables;
pub mod mapping;
pub mod maps;
pub mod net;
pub mod object;
pub mod pins;
pub mod preflight;
mod rings;
mod sources;
mod vips;
