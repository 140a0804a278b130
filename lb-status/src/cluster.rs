//! The kubectl plugin: `kubectl fairlead` asks the agents of all nodes through the API server.
//!
//! ```text
//!   list pods ──► exec `fairlead … -o json` in each ──► NodeAnswer ──► compare ──► one table, differences
//! ```

mod answers;
mod ask;
mod cli;
mod compare;
mod flow;
mod status;
mod why;

pub use self::cli::{ClusterCli, NAME, PluginError, run};
