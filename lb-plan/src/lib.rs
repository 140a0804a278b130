//! Planning: the model of `lb-model` and the facts of this machine in, the desired contents of the maps out.
//!
//! Nothing here reads a clock, a file or a socket, and nothing is random: every result is a function of its
//! arguments, so all nodes of a cluster compute the same rings from the same objects.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ring`] | the engine that ranks nodes for each slot |
//! | [`contents`] | the contents of the maps, and the ordered operations from one content to another |
//! | [`plan`] | model and facts of this machine → contents and status |
//! | [`speaker`] | model → sessions with BGP peers, and what is advertised to each |

pub mod contents;
pub mod plan;
pub mod ring;
pub mod speaker;
