//! Sessions on a virtual clock: two peers with a network between them that delays, splits and loses, and one
//! peer with a router that the test plays.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod endings;
mod network;
mod pair;
mod reasons;
mod refusal;
mod rib;
mod router;
mod single;
mod tables;
