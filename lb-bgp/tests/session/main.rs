//! Sessions on a virtual clock: two peers with a network between them that delays, splits and loses, and one
//! peer with a router that the test plays.
#![allow(missing_docs)]

mod endings;
mod network;
mod pair;
mod rib;
mod router;
mod single;
mod tables;
