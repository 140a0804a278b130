//! The subcommands that ask a running agent, over its admin socket.
//!
//! | module | floor | holds |
//! | --- | --- | --- |
//! | [`status`], [`top`], [`why`], [`flow`], [`trace`], [`log_level`], [`drain`] | 1 | a subcommand each |
//! | [`client`] | 0 | the HTTP client |
//! | [`common`] | 0 | arguments that subcommands share |

pub mod client;
pub mod common;
pub mod drain;
pub mod flow;
pub mod log_level;
pub mod status;
pub mod top;
pub mod trace;
pub mod why;
