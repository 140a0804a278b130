//! Kubernetes: the API server as a source of objects, and what is written to it.

pub mod client;
pub mod cluster;
pub mod events;
pub mod lease;
mod pace;
pub mod status;
mod written;
