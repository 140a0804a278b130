//! The codec from outside: what others send, what RFC 7606 says, what other codecs read of ours.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod agreement;
mod corpus;
mod differential;
mod frames;
mod laws;
mod open;
mod oracles;
mod packing;
mod rfc7606;
mod round_trip;
mod wire;
