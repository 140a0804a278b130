//! Tests of the lab that take a minute or more; run on request.
//!
//! One program for the lane: each program links, and stores, the whole product.

mod contenders;
mod kubernetes_faults;
mod l2_takeover;
mod last_good;
mod monitoring;
