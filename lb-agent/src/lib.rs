//! Fairlead's agent as a library: the binary is a thin shell around it, and tests and benchmarks use its parts.
//!
//! | module | floor | holds |
//! | --- | --- | --- |
//! | [`cli`] | 6 | the subcommands |
//! | [`app`], [`control`] | 5 | the parts put together, and the loop |
//! | [`controller`] | 5 | the loop that gives Services their addresses |
//! | [`webhook`] | 5 | what an API server asks before it stores an object |
//! | [`accepted`] | 4 | what was accepted last, in a file for the agent after this one |
//! | [`directory`], [`kube`], [`dataplane`], [`net`], [`liveness`], [`speaker`], [`admin`] | 4 | the world; they do not know each other |
//! | [`telling`] | 5 | what a cluster is told of the agent |
//! | [`source`] | 5 | directory or API server, whichever it is |
//! | [`http`] | 3 | the HTTP server behind every port and socket, with bounds |
//! | [`descriptors`], [`watchdog`] | 3 | open files; loops that are stuck |
//! | [`snapshot`] | | all objects at one moment |
//! | [`configuration`] | | whether what configures the load balancer is right |
//! | [`tag_keys`], [`random`] | | keys out of a file; random bytes |
//! | [`state`] | | what the agent shows of itself |

pub mod accepted;
pub mod admin;
pub mod app;
pub mod cli;
pub mod configuration;
pub mod control;
pub mod controller;
pub mod dataplane;
pub mod descriptors;
pub mod directory;
pub mod http;
pub mod kube;
pub mod liveness;
pub mod net;
pub mod random;
pub mod snapshot;
pub mod source;
pub mod speaker;
pub mod state;
pub mod tag_keys;
pub mod telling;
pub mod watchdog;
pub mod webhook;
