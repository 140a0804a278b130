//! What a cluster is told of this load balancer: status objects of their own, beside the objects that it reads.
//!
//! ```text
//!   Wanted, whole ──► difference ──► operations ──► Writer ──► API server
//!                         ▲                                        │
//!                         └────────────── Held ◄──── watches ──────┘
//! ```
//!
//! Whatever happens to the objects, by whomever, they become what is wanted again. None of it is in the way of
//! anything: a server that is away, or slow, or refuses, costs that the cluster is told later.

mod actual;
mod announce_events;
mod desired;
mod diff;
mod kind;
mod name;
mod writer;

pub use super::rate_limit::Terms;
pub use desired::{Configuration, Session, Statement, Wanted};
pub use kind::Kind;
pub use writer::{Scope, Writer};
