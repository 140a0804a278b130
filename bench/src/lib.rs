//! Measurements of Fairlead.
//!
//! On a shared machine, a measurement may double from one moment to the next. So everything that is compared
//! is measured in turns within one run, in many rounds, and stated as minimum, as median, and as a ratio to a
//! reference.

pub mod churn;
pub mod client;
pub mod compare;
pub mod connections;
pub mod control_plane;
pub mod dashboard;
pub mod failover;
pub mod kubernetes;
pub mod latency;
pub mod load;
pub mod packet;
pub mod paths;
pub mod progress;
pub mod report;
pub mod results;
pub mod routers;
pub mod simulation;
mod surroundings;
