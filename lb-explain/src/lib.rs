//! Explanations for operators: facts in, findings out.
//!
//! | module | holds |
//! | --- | --- |
//! | [`target`] | what an operator asks about: a Service or a VIP, found among the objects |
//! | [`doctor`] | facts of a host → what the agent needs, and what gets in its way |
//! | [`facts`] | what is known on a node |
//! | [`link`] | a finding: a link of the chain from the object to the counters, and its cause if it is broken |
//! | [`why`] | facts → the chain, link by link |
//! | [`flow`] | the maps of a node → the nodes of a flow, by the owner rule of the XDP program |
//! | [`reboot`] | facts → what a reboot of a node would cost |

pub mod doctor;
pub mod facts;
pub mod flow;
pub mod link;
pub mod reboot;
pub mod target;
pub mod why;
