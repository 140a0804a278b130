//! The kernel side of the agent: the XDP program loaded, pinned and attached; maps; netlink; the liveness
//! thread.
//!
//! ```text
//! preflight     ── checks of the node before anything is changed
//! kernel_lookup ── the kernel tables that the program can look up; the object patched for this kernel
//! attach        ── object → maps and program, loaded
//! attachment    ── a pinned link on each uplink, reconciled
//! maps          ── Op → map write;  maps → Contents (read back)
//! map_io        ── pinned maps opened, read and written; their errors
//! migration     ── maps of another layout, carried into this one
//! raw_map       ── entries of maps whose sizes only the running system knows
//! mapping       ── arrays in memory: rings, VIPs, and in mapped_tables liveness cells and flows
//! bfd           ── BFD sessions with BGP peers
//! counters      ── the program's counters
//! rare_verdicts ── log lines about packets with rare verdicts
//! liveness      ── probes to other nodes, and the probe clock
//! net           ── uplinks, routes and neighbors, from rtnetlink
//! tracing_program ── the program with records of packets, loaded while a trace runs
//! traces        ── everything that Fairlead keeps in the kernel, found and removed
//! ```

pub mod attach;
pub mod attachment;
pub mod bfd;
mod btf;
pub mod counters;
pub mod kernel_lookup;
pub mod layer2;
pub mod liveness;
pub mod map_io;
pub mod mapped_tables;
pub mod mapping;
pub mod maps;
pub mod migration;
pub mod net;
pub mod object;
pub mod pins;
pub mod preflight;
pub mod rare_verdicts;
mod raw_map;
mod rings;
mod sources;
pub mod traces;
pub mod tracing_program;
mod vips;
