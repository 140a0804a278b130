//! The packet pipeline, which runs in the kernel on a packet's memory and on the host on a byte slice, so
//! that the two can be compared byte for byte.
//!
//! | module | holds |
//! | --- | --- |
//! | [`frame`], [`tables`] | what the pipeline works on, as traits: a packet and the maps |
//! | [`subprograms`], [`inline`] | its functions that are subprograms in the kernel, and their form on the host |
//! | [`verdict`], [`bits`] | what it returns, and the encoding of that between subprograms |
//! | [`owner`] | the owner rule: which node a packet is for |
//! | [`announcer`] | the node that answers ARP and Neighbor Solicitations for a VIP |
//!
//! A packet takes [`judge_fast`] or, if that declines it, [`judge_slow`].

#![no_std]

pub mod announcer;
mod arp;
mod bfd;
pub mod bits;
mod class;
mod connection;
mod decapsulate;
mod echo;
mod encapsulate;
mod fast_path;
mod flow_record;
mod forward;
mod fragment;
pub mod frame;
mod hop;
mod icmp_error;
mod icmp_quote;
pub mod inline;
mod ip;
mod ipv4;
mod ipv6;
mod link_layer;
mod liveness;
mod ndp;
mod outer;
pub mod owner;
mod packet;
mod probe;
mod relay_tag;
mod second_chance;
mod slot;
mod slow_path;
mod sources;
pub mod subprograms;
pub mod tables;
mod trace_key;
mod undeclared;
pub mod verdict;

pub use arp::judge_arp;
pub use bfd::judge_bfd;
pub use class::PacketClass;
pub use connection::read_connection;
pub use decapsulate::authenticate;
pub use echo::judge_echo;
pub use encapsulate::{encapsulate, sign};
pub use fast_path::judge_fast;
pub use flow_record::note_flow;
pub use forward::{can_ask, find_to_ask, serve};
pub use fragment::{follow_fragment, note_fragment};
pub use icmp_error::{partial_checksum, report_refusal, send_icmp_error};
pub use icmp_quote::read_icmp_quote;
pub use ip::read;
pub use ipv6::{find_v6, walk_v6};
pub use liveness::{has_recent_death, liveness_of};
pub use ndp::{answer_ndp, judge_ndp};
pub use packet::PacketInfo;
pub use probe::judge_probe;
pub use slot::find_node;
pub use slow_path::judge_slow;
pub use sources::is_source_refused;
pub use trace_key::read_trace_key;
pub use undeclared::is_undeclared;
