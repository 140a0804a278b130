//! A whole cluster as values: which connections break when it changes.
//!
//! Nodes that hear of each change at different times, a router that spreads packets over them and moves flows
//! whenever its next hops change, and flows that live long and send at random. Under the same events and the
//! same packets several schemes say which node gets a packet; Fairlead's answer comes from its own code:
//! rings, owner rule and flow table. A scheme **breaks** a connection when a packet of an established flow is
//! served by a node that is not its owner while the owner lives.
//!
//! | module | holds |
//! | --- | --- |
//! | [`random`] | where chance comes from |
//! | [`trace`] | what happens to a cluster, and when |
//! | [`world`] | the cluster: hosts, what each knows, who hears whom, the router |
//! | [`traffic`] | the flows: when each of them sends |
//! | [`scheme`] | ways to choose a node for a packet, ours and others' |
//! | [`engine`] | one trace, all schemes side by side |
//! | [`report`] | tables and JSON |
//! | [`plot`] | a picture |
//!
//! # What is modelled, and how
//!
//! A tick is one probe interval, 50 ms. An object change reaches each node after a random number of ticks of
//! its own, in the order of the changes. A node that is down hears nothing; others take it for dead when they
//! have not heard it for the detection time, and half of the pairs notice one tick later than the other half.
//! A node that has been away believes everybody dead until the first answers, and one that does not know of
//! itself, or of who asks, does not answer. The router sees a carrier within a tick, so what is too short for
//! the nodes to notice moves flows all the same. It spreads flows by hash modulo next hops. A packet to a
//! node that is down is lost, and sent again some time later; that breaks nothing. A connection that broke is
//! over; so is one whose owner died, which is counted apart. Each node of Fairlead's has a planner of its own
//! and what it has installed, as an agent has; the nodes of the beginning have stood for longer than former
//! leaders are kept. Weights come into force at once, without the time that numbers of endpoints settle for.

pub mod engine;
pub mod plot;
pub mod random;
pub mod report;
pub mod scheme;
pub mod trace;
pub mod traffic;
pub mod world;

/// Time, in probe intervals of 50 ms.
pub type Tick = u32;

#[cfg(test)]
mod tests;
