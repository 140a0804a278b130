//! The binary `fairlead` as a library: the binary is a thin shell around it, and tests and benchmarks use its
//! parts.
//!
//! | module | floor | holds |
//! | --- | --- | --- |
//! | [`cli`] | 3 | the subcommands |
//! | [`app`], [`control`] | 2 | the agent's parts put together, and its control loop |
//! | [`admin`] | 1 | the admin socket and the metrics port |
//! | [`status_reporter`] | 1 | the status reporter |
//! | [`measurements`] | 0 | durations that the agent measures |
//! | [`inquiry`] | 0 | questions to the control loop about what it knows |
//! | `commands` | 0 | other programs, run with a limit |
//! | `hash_key`, [`tag_keys`] | 0 | the cluster's hash key and the keys of the tags between nodes, read from files |

pub mod admin;
pub mod app;
pub mod cli;
pub mod control;
mod hash_key;
pub mod inquiry;
pub mod measurements;
pub mod status_reporter;
pub mod tag_keys;

use lb_status::state;
