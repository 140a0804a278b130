//! The session with one neighbour (RFC 4271 section 8), as a value: it is told what came in and when, and
//! asked what must go out.
//!
//! ```text
//!   Peer ── one neighbour: configuration, wish (set_routes), back-off, counters, last error
//!    ├── machine Opened     a state of the table; from OpenSent on a Link
//!    └── machine Accepted   a state of the table; from OpenSent on a Link
//!          Link ── one TCP connection: octets in, what is owed, timers, OPEN of the other side
//! ```
//!
//! The driver is a loop: `handle_*` for what happened, then `poll_action` until there is none, `poll_bytes`
//! for each connection, and sleep until `next_deadline`.

pub mod config;
pub mod counters;
pub mod ending;
pub mod negotiation;
pub mod peer;
pub mod shutdown;
pub mod table;
pub mod view;

mod link;
mod machine;
mod reasons;
mod refusal;
mod retry;

pub use config::{BackOff, Config, NextHops, RemoteAs};
pub use counters::{Counters, Messages, Prefixes};
pub use ending::{Cause, Ending, Setup};
pub use negotiation::{Missing, Negotiated};
pub use peer::{Action, Peer, Way};
pub use refusal::Refused;
pub use shutdown::Shutdown;
pub use table::State;
pub use view::{FamilyView, PeerView, Unread};

pub use crate::adj_out::Routes;
