//! The binary `fairlead` as a library: the binary is a thin shell around it, and tests and benchmarks use its parts.
//!
//! | module | floor | holds |
//! | --- | --- | --- |
//! | [`cli`] | 3 | the subcommands |
//! | [`app`], [`control`] | 2 | the agent's parts put together, and its control loop |
//! | [`accepted`] | 1 | the last-known-good configuration, in a file for the next agent |
//! | [`admin`] | 1 | the admin socket and the metrics port |
//! | [`telling`] | 1 | the status reporter |
//! | [`state`] | 0 | the agent's state, as status and metrics show it |
//! | [`tag_keys`] | 0 | keys of the tags between nodes, read from a file |

pub mod accepted;
pub mod admin;
pub mod app;
pub mod cli;
pub mod control;
pub mod state;
pub mod tag_keys;
pub mod telling;
