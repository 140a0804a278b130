//! Sessions on a virtual clock: two peers with a network between them that delays, splits and loses, and one
//! peer with a router that the test plays.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod adj_out;
mod close_history;
mod close_reasons;
mod lifecycle;
mod network;
mod pair;
mod refused_capabilities;
mod rib;
mod router;
