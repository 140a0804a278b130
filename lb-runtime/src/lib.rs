//! The parts that every process of Fairlead has, whatever it does.
//!
//! | module | holds |
//! | --- | --- |
//! | [`http`] | the HTTP server behind every port and socket, with bounds |
//! | [`metrics`] | the metrics port of a process |
//! | [`descriptors`] | limits on open files, and `accept` errors that pass |
//! | [`watchdog`] | detection of loops that are stuck |
//! | [`random`] | random bytes from the kernel |

pub mod descriptors;
pub mod http;
pub mod metrics;
pub mod random;
pub mod watchdog;
