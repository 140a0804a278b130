//! The runtime parts that the agent and the controller share.
//!
//! | module | holds |
//! | --- | --- |
//! | [`http`] | the HTTP server of every port and socket, with bounds |
//! | [`logging`] | the log's format and filter, and another filter for a while |
//! | [`metrics`] | the metrics port of a process |
//! | [`certificate`] | the certificate of a server |
//! | [`commands`] | other programs, run with a limit of their time and output |
//! | [`descriptors`] | limits on open files, and the handling of `accept` errors |
//! | [`health`] | the health of the node by a local HTTP server |
//! | [`watchdog`] | detection of loops that are stuck |
//! | [`random`] | random bytes from the kernel |

pub mod certificate;
pub mod commands;
pub mod descriptors;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod random;
pub mod watchdog;
