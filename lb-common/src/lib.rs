//! The contract between Fairlead's XDP program and its agent.
//!
//! What crosses the border (map keys and values) and what both sides must compute alike (the flow hash, the
//! look-up in a ring, the rewriting of a packet) is written here once. The crate has no `std`, no allocation
//! and no dependency; only the feature `aya`, for user space, adds one, so that keys and values can be given
//! to aya's maps. The same [`pipeline`] runs in the kernel on a packet's memory and on the host on a byte
//! slice, which is how the two can be compared byte for byte.
//!
//! | module | holds |
//! | --- | --- |
//! | [`frame`], [`tables`] | the two things a pipeline works on, as traits |
//! | [`pipeline`] | the way of one packet: [`pipeline::judge_fast`], else [`pipeline::judge_slow`] |
//! | [`verdict`] | what can come of it: [`verdict::Forward`] or [`verdict::Refusal`] |
//! | [`maps`] | keys and values of every map, and its name |
//! | [`vips`] | the buckets that VIPs lie in |
//! | [`ring`] | a slot of a ring |
//! | [`owner`] | the owner rule: which node is a packet for |
//! | [`vitality`] | who is alive |
//! | [`flows`] | the table of flows that a node owns or has delegated |
//! | [`hash`] | the keyed flow hash |
//! | [`kernel`] | the question to the node's own kernel, and its answer |
//! | [`tag`] | the keyed tag of what nodes say to each other |
//! | [`wire`] | headers as byte arrays, check sums |

#![no_std]

pub mod flows;
pub mod frame;
pub mod hash;
pub mod kernel;
pub mod maps;
pub mod owner;
pub mod pipeline;
#[cfg(feature = "aya")]
mod pod;
pub mod ring;
mod sip;
pub mod tables;
pub mod tag;
pub mod verdict;
pub mod vips;
pub mod vitality;
pub mod wire;
