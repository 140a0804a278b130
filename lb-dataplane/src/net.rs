//! The node's network, observed over rtnetlink: uplinks, next hops, neighbors; and the blackhole routes that
//! it gets.
//!
//! Observation is level-triggered: a notification only triggers a full read, so a lost one delays a change by
//! at most a second and never leaves a lasting error.

mod address;
pub mod blackhole;
pub mod driver_error;
pub mod ethtool;
pub mod link;
mod next_hop;
pub mod observe;
pub mod route_back;
pub mod solicited;
pub mod unnumbered;
mod upkeep;
pub mod uplink_path;
pub mod uplinks;
