//! Agents replaced by other builds and by another map layout, under traffic; run on request.
//!
//! One program for the lane: each program links, and stores, the whole product.

mod layout;
