//! The status of a node, as the agent's socket serves it and as people look at it.
//!
//! | module | floor | holds |
//! | --- | --- | --- |
//! | [`cluster`] | 3 | the kubectl plugin: all nodes of a cluster |
//! | [`top`] | 2 | live traffic: its rates, and their drawing |
//! | [`screen`] | 2 | the screens of `fairlead status` |
//! | [`page`] | 0 | the status page |
//! | [`preview`] | 0 | what an agent would do: its first pass, without effect |
//! | [`overview`] | 2 | the complete status of a node |
//! | [`summary`] | 1 | what is wrong first, then a line for each area |
//! | [`layer2`], [`status`] | 1 | the parts of the status |
//! | [`state`] | 0 | the agent's state |
//! | [`output`], [`table`], [`text`] | 0 | output formats, tables, words |

pub mod cluster;
pub mod layer2;
pub mod output;
pub mod overview;
pub mod page;
pub mod preview;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod screen;
pub mod state;
pub mod status;
pub mod summary;
pub mod table;
pub mod text;
pub mod top;
