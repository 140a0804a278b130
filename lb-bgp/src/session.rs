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

pub mod close_reason;
pub mod config;
pub mod counters;
pub mod negotiation;
pub mod peer;
pub mod shutdown;
pub mod state_table;
pub mod view;

mod close_history;
mod connection;
mod fsm;
mod refused_capabilities;
mod retry;

pub use close_reason::{AdviceContext, CloseReason, SessionClose};
pub use config::{BackOff, NextHops, PeerConfig, RemoteAs};
pub use counters::{MessageCounters, PeerCounters, PrefixCounters};
pub use negotiation::{MissingFamily, Negotiated};
pub use peer::{ConnectionDirection, Peer, PeerAction};
pub use refused_capabilities::RefusedCapabilities;
pub use shutdown::Shutdown;
pub use state_table::BgpState;
pub use view::{FamilyView, PeerView, SendStall};

pub use crate::adj_out::Routes;
