//! The Kubernetes client side: objects from an API server or a directory; statuses, Events and Leases written
//! to it.

pub mod client;
pub mod cluster;
pub mod config_errors;
pub mod directory;
pub mod event_reason;
pub mod events;
pub mod exec;
pub mod kinds;
pub mod last_good;
pub mod leadership;
pub mod lease;
mod rate_limit;
mod raw_object;
pub mod reading;
pub mod resource;
pub mod snapshot;
pub mod source;
pub mod status;
pub mod token_review;
mod watch;
