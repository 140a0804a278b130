//! The contract between Fairlead's XDP program and its agent.
//!
//! What crosses the border (keys and values of maps) and what both sides must compute alike (the flow hash, the look-up
//! in a ring, tags) is written here once. The packet pipeline is in `lb-pipeline`. The crate has no `std`, no allocation
//! and no dependency; only the feature `aya`, for user space, adds one, so that keys and values can be given to aya's
//! maps.
//!
//! | module | holds |
//! | --- | --- |
//! | [`map_table`] | every map: name, kind, types, size |
//! | [`maps`] | keys and values of maps |
//! | [`verdict`] | outcomes and refusals of packets, by number and name |
//! | [`vips`] | the buckets that VIPs lie in |
//! | [`ring`] | a slot of a ring |
//! | [`flows`] | the table of flows that a node owns or has delegated |
//! | [`fnv`] | the hash of names |
//! | [`forwarding`] | how packets are carried to other nodes |
//! | [`hash`] | the keyed flow hash |
//! | [`kernel`] | the question to the node's own kernel, and its answer |
//! | [`tag`] | the keyed tags of packets between nodes |
//! | [`wire`] | headers as byte arrays, checksums |

#![no_std]

pub mod flows;
pub mod fnv;
pub mod forwarding;
pub mod hash;
pub mod kernel;
mod layout;
pub mod map_table;
pub mod maps;
#[cfg(feature = "aya")]
mod pod;
pub mod ring;
mod sip;
pub mod tag;
pub mod verdict;
pub mod vips;
pub mod wire;
