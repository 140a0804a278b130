//! Status objects: what the load balancer reports to the cluster, in objects of its own.
//!
//! ```text
//!   DesiredStatus ──► diff ──► operations ──► StatusWriter ──► API server
//!                       ▲                                           │
//!                       └──────────── ActualStatus ◄──── watches ───┘
//! ```
//!
//! Changes by other writers are reverted to the desired state. Writes are best effort: a server that
//! is unreachable, slow or refuses them only delays the status.

mod actual;
mod desired;
mod diff;
mod kind;
mod name;
mod service_events;
mod warning;
mod writer;

pub use super::rate_limit::WriteLimits;
pub use desired::{DesiredStatus, SessionReport, StatusComponent};
pub use warning::ServiceWarning;
pub use writer::{StatusScope, StatusWriter};
