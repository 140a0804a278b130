//! Seamless BFD (RFC 7880, RFC 7881) as values: an initiator that says which probe is due, and the clock
//! that its answers are measured by.
//!
//! The reflector is in the XDP program, and so is the reception of answers: it stamps a node's cell with the
//! value of the [`clock::ProbeClock`]. Nothing here knows a socket or what time it is; a driver asks
//! `poll_*`, sends what it gets, and sleeps until `next_deadline`.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod clock;
pub mod initiator;
