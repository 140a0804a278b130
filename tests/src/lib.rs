//! Tests that need more than one crate, root, or a network; and what they stand on.

pub mod api_server;
pub mod bpffs;
pub mod chaos;
pub mod cluster;
pub mod control_plane;
pub mod damage;
pub mod events;
pub mod failover;
pub mod front;
pub mod kernel;
pub mod kubernetes;
pub mod lab;
pub mod model;
pub mod neighbours;
pub mod objects;
pub mod packets;
pub mod pair;
pub mod pressure;
pub mod random;
pub mod routers;
pub mod storm;
pub mod traffic;
pub mod upstream;
pub mod vandal;
