//! Sessions on a virtual clock: two peers over a network that delays, splits and loses, and one peer with the
//! test as its router.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

mod adj_out;
mod adoption;
mod close_history;
mod close_reasons;
mod lifecycle;
mod network;
mod pair;
mod refused_capabilities;
mod rib;
mod router;
