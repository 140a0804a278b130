//! What a large cluster costs an agent: memory, the first plan, and the plan after one change.
//!
//! ```text
//! this process: API server ── loopback ── the same binary as `observe`: source → model → plan → contents
//! ```
//!
//! The observer is the agent's source, model and planner without a kernel beneath: maps of that size and a network of
//! so many nodes are not to be had on one machine.

mod objects;
mod observer;

pub use objects::Size;
pub use observer::{Observer, Turn, observe, source};
