//! BFD as values: sessions with routers (RFC 5880 to 5883), and seamless BFD between nodes (RFC 7880, RFC 7881).
//!
//! | module | holds |
//! | --- | --- |
//! | [`state`] | the state machine of a session, whole |
//! | [`session`] | a session: packets in and out, timers, polls, echoes |
//! | [`echo`] | the echo packets of sessions over IPv4 |
//! | [`demux`] | which session a packet is for |
//! | [`initiator`], [`clock`] | which probe of a node is due, and the clock that its answer is measured by |
//!
//! Nothing here knows a socket or what time it is; a driver asks `poll_*`, sends what it gets, and sleeps until
//! `next_deadline`. The reflector of S-BFD and the reception of its answers are in the XDP program, which stamps
//! a node's cell with the value of the [`clock::ProbeClock`].

pub mod clock;
pub mod demux;
pub mod echo;
pub mod initiator;
pub mod session;
pub mod state;
