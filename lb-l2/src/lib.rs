//! The announcer of a node on its local networks, without I/O or a clock: ARP (RFC 826, RFC 5227) and
//! Neighbor Discovery (RFC 4861, RFC 4862).
//!
//! The XDP program answers requests, by the rule of [`lb_pipeline::announcer`]. This crate does the rest: it
//! decides what the node says of itself, announces the addresses that it takes over, and finds other hosts
//! that use them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`engine`] | all of it together, for a driver |
//! | [`table`] | the addresses and links that it works on |
//! | [`standing`] | what this node says of itself as an announcer |
//! | [`schedule`], [`pacing`] | announcements: when, and how many a second |
//! | [`check`] | the search for duplicates before the first announcement of an address |
//! | [`strangers`] | hosts that claim an address later |
//! | [`frame`], [`claim`] | frames to send, and what received ones claim |
//! | [`view`], [`event`] | what the engine reports |
//!
//! A driver owns the sockets and passes the time in: it sends what `poll_frame` returns and sleeps until
//! `next_deadline`, at most for a few milliseconds, because it also has to look at the nodes' liveness.

pub mod check;
pub mod claim;
pub mod engine;
pub mod event;
pub mod frame;
pub mod pacing;
pub mod schedule;
pub mod standing;
pub mod strangers;
pub mod table;
pub mod view;

#[cfg(test)]
mod tests;
