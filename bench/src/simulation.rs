//! A simulation of a whole cluster: which connections break when it changes.
//!
//! The simulation has nodes that learn of each change at different times, a router that spreads packets over
//! them and moves flows whenever its next hops change, and long-lived flows that send at random. Several
//! schemes choose a node for the same packets under the same events; Fairlead's choice comes from its own
//! code: rings, owner rule and flow table. A scheme **breaks** a connection when a node that is not the owner
//! serves a packet of an established flow while the owner lives.
//!
//! | module | contents |
//! | --- | --- |
//! | [`random`] | random numbers |
//! | [`trace`] | the events of a cluster, with their times |
//! | [`world`] | the cluster: hosts, their views, probes, the router |
//! | [`traffic`] | the flows, with the times at which they send |
//! | [`scheme`] | schemes that choose a node for a packet, Fairlead's and others' |
//! | [`engine`] | one trace, each scheme |
//! | [`report`] | tables and JSON |
//! | [`table`] | the runs as a table of results |
//! | [`plot`] | the chart |
//!
//! # The model
//!
//! A tick is one probe interval, 50 ms. An object change reaches each node after a random number of ticks, in
//! the order of the changes. A node that is down receives nothing; the others consider it dead when they have
//! not heard from it for the detection time, and half of the pairs notice one tick later than the other half.
//! A node that returns considers every node dead until its first answer; a node that does not know itself or
//! the prober does not answer. The router notices a lost carrier within a tick, so that an outage too short
//! for the nodes to notice still moves flows. It spreads flows by hash modulo next hops. A packet to a node
//! that is down is lost and retransmitted some time later, which breaks nothing. A broken connection ends; so
//! does one whose owner died, which is counted separately. Each node of Fairlead has its own planner and
//! installed state, as an agent has; those with the same history share one in memory. The initial nodes have
//! run for longer than former leaders are kept. Weights take effect at once, without the delay after which
//! endpoint counts settle.

pub mod engine;
pub mod plot;
pub mod random;
pub mod report;
pub mod scheme;
pub mod table;
pub mod trace;
pub mod traffic;
pub mod world;

/// A time in probe intervals of 50 ms.
pub type Tick = u32;

#[cfg(test)]
mod tests;
