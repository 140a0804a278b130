//! `fairlead check`: manifests are validated and their effect is previewed, offline or from a cluster.
//!
//! | module | holds |
//! | --- | --- |
//! | [`command`] | the subcommand |
//! | `input`, `cluster` | objects from files and from an API server |
//! | `migration` | what works differently from MetalLB in a cluster that it serves |
//! | `locate` | the line of a field in a file |
//! | `screen` | what is printed |

mod cluster;
pub mod command;
mod input;
mod locate;
mod migration;
mod screen;
