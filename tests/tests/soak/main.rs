//! Ten minutes each, under CPU starvation or damage; run on request.
//!
//! One program for the lane: each program links, and stores, the whole product.

mod bfd;
mod cache;
mod directory;
mod kubernetes;
