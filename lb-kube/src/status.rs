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

mod difference;
mod event;
mod held;
mod kind;
mod name;
mod wanted;
mod writer;

pub use super::pace::Terms;
pub use kind::Kind;
pub use wanted::{Configuration, Session, Statement, Wanted};
pub use writer::{Scope, Writer};
