//! Announcement on the local network, as the hosts of one segment see it.
//!
//! ```text
//! client-1 ── router ─┐
//!                     ├─ rack a (bridge) ─ n1 n2 n3 ─ pods
//! r1 (the observer) ──┘
//! ```
//!
//! The VIPs are addresses of the rack's networks, and nothing routes them: the router and the observer find
//! them by ARP and neighbor discovery, with the kernel's unmodified neighbor tables.

pub mod frames;
pub mod many;
pub mod observer;
pub mod segment;
pub mod stand_in;
pub mod takeover;
pub mod wire;

pub use self::frames::{HostMac, NeighborFrame, NeighborKind};
pub use self::observer::{SegmentLog, SegmentObserver, Tenure};
pub use self::segment::Detection;
