//! Codec tests: recorded messages, RFC 7606, comparison with other codecs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

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
