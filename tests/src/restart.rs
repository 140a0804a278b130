//! The test bench of the promise that an agent may die: a cluster below two routers, faults of an agent, and
//! observers that see any trace of them.
//!
//! ```text
//! client-1 ── router (FRR) ─┐
//!                           ├─ rack a (bridge) ─ n1 (the victim) n2 n3 ─ pods
//!             r1 (BIRD) ────┘
//! ```
//!
//! Every node has a BGP session with BFD to both routers, over IPv4 and over IPv6. Clients reach the VIPs
//! through FRR. The observers are the routers' own logs, their kernels' routes, byte-checked connections, and
//! a stream of numbered datagrams. Each fault also happens to an agent that keeps nothing for its successor:
//! if the observers did not see that one, they would prove nothing.

pub mod churn;
pub mod cluster;
pub mod death;
pub mod drops;
pub mod fault;
pub mod forged;
pub mod keeping;
pub mod memory;
pub mod report;
pub mod route_monitor;
pub mod router_log;
pub mod stream;
pub mod trial;
pub mod vips;

use std::env;

pub use self::cluster::{RestartCluster, SessionSettings, VICTIM, topology};
pub use self::death::{NodeDeath, measure_death};
pub use self::fault::{FaultPlan, RestartFault};
pub use self::keeping::Keeping;
pub use self::report::{DeathTable, FaultTable};
pub use self::stream::PacketStream;
pub use self::trial::{Connections, FaultOutcome, run_fault};

/// Returns whether tests run in their full form: `FAIRLEAD_SOAK`.
#[must_use]
pub fn is_soak() -> bool {
    env::var_os("FAIRLEAD_SOAK").is_some()
}

/// Returns how often a test repeats a fault: in the full form 20 times, or `FAIRLEAD_SOAK_ROUNDS`.
#[must_use]
pub fn rounds() -> usize {
    let rounds = env::var("FAIRLEAD_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    if is_soak() { rounds.unwrap_or(20) } else { 1 }
}
