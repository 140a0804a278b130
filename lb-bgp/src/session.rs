//! The session with one BGP peer (RFC 4271, section 8), as a value without I/O.
//!
//! ```text
//!   Peer ── one peer: configuration, desired routes (set_routes), back-off, counters, last error
//!    ├── Fsm outgoing     a state of the table; from OpenSent on with a PeerConnection
//!    └── Fsm incoming     a state of the table; from OpenSent on with a PeerConnection
//!          PeerConnection ── one TCP connection: received octets, pending messages, timers, the peer's OPEN
//! ```
//!
//! The driver is a loop: it reports events with `handle_*`, executes `poll_action` until it returns `None`,
//! sends `poll_bytes` on each connection, and sleeps until `next_deadline`.

mod advice;
mod close_history;
mod close_reason;
mod config;
mod connection;
mod counters;
mod direction;
mod fsm;
mod handover;
mod negotiated;
mod negotiation;
mod peer;
mod refused_capabilities;
mod retry;
mod shutdown;
mod state_table;
mod view;

pub use advice::AdviceContext;
pub use close_reason::{CloseReason, ClosedBy, SessionClose};
pub use config::{BackOff, NextHops, PeerAs, PeerConfig};
pub use connection::SendStall;
pub use counters::{MessageCounters, PeerCounters, PrefixCounters};
pub use direction::ConnectionDirection;
pub use handover::{AdoptError, Handover, SessionRecord};
pub use negotiated::{MissingFamily, Negotiated, NegotiatedRestart};
pub use peer::{Peer, PeerAction};
pub use refused_capabilities::RefusedCapabilities;
pub use shutdown::Shutdown;
pub use state_table::BgpState;
pub use view::{FamilyView, PeerView};

pub use crate::adj_out::Routes;
