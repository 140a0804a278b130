//! The XDP program in this kernel, one packet at a time.
//!
//! One program for the lane: each program links, and stores, the whole product.

mod ask;
mod bfd;
mod doctor;
mod flows;
mod layouts;
mod libbpf;
mod native;
mod random;
mod rate;
mod sources;
mod table;
mod trace;
mod verifier;
mod vips;
