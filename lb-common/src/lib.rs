//! The contract between Fairlead's XDP program and its agent.
//!
//! What crosses the border (keys and values of maps) and what both sides must compute alike (the flow hash,
//! the look-up in a ring, tags) is written here once. The packet pipeline is in `lb-pipeline`. The crate has
//! no `std`, no allocation and no dependency; only the feature `aya`, for user space, adds one, so that keys
//! and values can be given to aya's maps.
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
//! | [`trace`] | what to trace, and the record of a traced packet |
//! | [`wire`] | headers as byte arrays, checksums |
//!
//! A flow is hashed with keys of the cluster; its hash selects a slot of the VIP's ring, and the slot names
//! the nodes:
//!
//! ```
//! use lb_common::flows::FlowKey;
//! use lb_common::hash::{FlowKeys, FlowPorts, HashKey, flow_hash_v4};
//! use lb_common::ring::Slot;
//!
//! let keys = FlowKeys::of(&HashKey { k0: 1, k1: 2 });
//! let mut ports = [0; 4];
//! ports[..2].copy_from_slice(&40_000u16.to_be_bytes());
//! ports[2..].copy_from_slice(&443u16.to_be_bytes());
//! let hash = flow_hash_v4(&keys, [192, 0, 2, 1], [203, 0, 113, 10], FlowPorts { ports, protocol: 6 });
//!
//! // A ring of four slots: nodes 0 and 1 lead two each, and succeed each other.
//! let slot = |leader, other| Slot { leader, successors: [other, u16::MAX, u16::MAX], ..Slot::EMPTY };
//! let ring = [slot(0, 1), slot(1, 0), slot(0, 1), slot(1, 0)];
//! let slot = ring[hash as usize & (ring.len() - 1)];
//! assert!(slot.leader < 2 && slot.successors[0] == 1 - slot.leader);
//!
//! // The leader looks up its flow table in this set, under this tag.
//! let key = FlowKey::of(hash);
//! assert_eq!(key.tag, (hash >> 32) as u32);
//! ```

#![no_std]

pub mod flows;
pub mod fnv;
pub mod forwarding;
pub mod hash;
pub mod kernel;
pub mod layout;
pub mod map_table;
pub mod maps;
#[cfg(feature = "aya")]
mod pod;
pub mod ring;
mod sip;
pub mod tag;
pub mod trace;
pub mod verdict;
pub mod vips;
pub mod wire;
