//! The keeper: a process that holds duplicates of the agent's TCP streams, so that a stream survives the
//! death of the agent; and the agent's side of it.
//!
//! ```text
//!   agent ── append ──► journal (memfd) ◄── the octets of the stream ──┐
//!     │  └── write ───► socket ◄──────────── what is not yet written ──┤
//!     └── hold, claim, release (KeeperClient) ──► process::run ────────┘
//! ```
//!
//! The agent appends octets to the journal of a stream before it writes them to the socket. The kernel knows
//! how many octets were written ([`position`]). So any holder of socket and journal knows what is left to
//! write, even if the agent died in the middle of a message. The keeper knows nothing of the protocol in the
//! stream.
//!
//! | module | holds |
//! | --- | --- |
//! | [`position`] | the number of octets written to a socket |
//! | [`journal`] | the octets of a stream, in memory that outlives the process |
//! | [`stream`] | a stream and its terms |
//! | [`client`] | the agent's side |
//! | [`process`] | the keeper's side: a poll loop around a pure engine |

mod channel;
pub mod client;
mod engine;
pub mod journal;
mod message;
pub mod position;
pub mod process;
pub mod stream;

pub use self::client::{ClientOptions, KeeperClient, KeeperStatus, SpawnOptions, dismiss_all};
pub use self::stream::{Stream, StreamTerms};
