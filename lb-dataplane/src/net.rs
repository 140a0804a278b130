//! What the host's network says: uplinks, and the way to each node.
//!
//! Everything comes from rtnetlink. A change in the kernel is a wake-up, after which the whole is asked
//! again: facts are levels, so a notification that was lost costs a second at most and never an error that
//! stays.

mod address;
pub mod blackhole;
pub mod driver_error;
pub mod link;
pub mod next_hop;
pub mod observe;
pub mod unnumbered;
pub mod uplinks;
