//! Planning: what is written (`lb-api`) in, the content of the maps out.
//!
//! Nothing here reads a clock, a file or a socket, and nothing is random: every result is a function of its
//! arguments, so each node of a cluster comes to the same rings from the same objects.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | what is meant: valid values, references resolved, conflicts decided |
//! | [`preview`] | what would come of objects, before anybody runs them |
//! | [`ring`] | the engine that ranks nodes for each slot |
//! | [`accepted`] | what was accepted last, for an agent that has just started |
//! | [`admission`] | which changes of objects are let in |
//! | [`contents`] | what the maps hold, and the ordered operations from one content to another |
//! | [`ipam`] | which address each Service gets |
//! | [`speaker`] | model → sessions with routers, and what each is told |
//! | [`plan`] | model and facts of this machine → contents and states |

pub mod accepted;
pub mod admission;
pub mod contents;
pub mod ipam;
pub mod model;
pub mod plan;
pub mod preview;
pub mod ring;
pub mod speaker;
