//! Memory and time of an agent in a large cluster: the first plan, and the plan after one change.
//!
//! ```text
//! this process: API server ── loopback ── the same binary as `observe`: source → model → plan → contents
//! ```
//!
//! The observer is the agent's source, model and planner without a kernel: one machine has no maps of that
//! size and no network of so many nodes.

mod objects;
mod observer;

pub use objects::ClusterSize;
pub use observer::{Observer, Turn, observe, source};
