//! Planning: what is written in, the content of the maps out.
//!
//! Nothing here reads a clock, a file or a socket, and nothing is random: every result is a function of its
//! arguments, so each node of a cluster comes to the same rings from the same objects.
//!
//! | module | holds |
//! | --- | --- |
//! | [`objects`] | what is written: Kubernetes and MetalLB objects, read from YAML |
//! | [`model`] | what is meant: valid values, references resolved, conflicts decided |
//! | [`problem`] | what is wrong with either, by name, field and reason |
//! | [`ring`] | the engine that ranks nodes for each slot |
//! | [`contents`] | what the maps hold, and the ordered operations from one content to another |
//! | [`ipam`] | which address each Service gets |
//! | [`speaker`] | model → sessions with routers, and what each is told |
//! | [`plan`] | model and facts of this machine → contents and states |

pub mod contents;
pub mod ipam;
pub mod model;
pub mod objects;
pub mod plan;
pub mod problem;
pub mod ring;
pub mod speaker;
