//! BFD without I/O or a clock: sessions with BGP peers (RFC 5880 to 5883), and seamless BFD between nodes
//! (RFC 7880, RFC 7881).
//!
//! | module | contents |
//! | --- | --- |
//! | [`state`] | the state machine of a session |
//! | [`session`] | a session: received and sent packets, timers, poll sequences, echoes |
//! | [`echo`] | the echo packets of IPv4 sessions |
//! | [`demux`] | the assignment of packets to sessions |
//! | [`initiator`], [`clock`] | the schedule of probes to nodes, and the clock that times their answers |
//!
//! A driver owns the sockets and passes the time in: it sends what `poll_*` returns and sleeps until
//! `next_deadline`. The S-BFD reflector and the reception of its answers are part of the XDP program, which
//! stamps a node's cell with the value of the [`clock::ProbeClock`].
//!
//! ```
//! # use std::time::Duration;
//! # use lb_bfd::session::{Discriminator, Hops, ReceivedPacket, Session, SessionConfig, SessionProfile};
//! # use lb_bfd::state::BfdState;
//! # fn config(local: u32) -> Option<SessionConfig> {
//! #     let (hops, profile) = (Hops::Single, SessionProfile::default());
//! #     let local = Discriminator::new(local)?;
//! #     let echo_receive = Duration::ZERO;
//! #     Some(SessionConfig { local, hops, profile, control_plane_independent: false, echo_receive })
//! # }
//! # fn example() -> Option<()> {
//! let now = Duration::ZERO;
//! let mut node = Session::new(config(1)?, 1, now);
//! let mut router = Session::new(config(2)?, 2, now);
//! while node.state() != BfdState::Up || router.state() != BfdState::Up {
//!     let (to_router, to_node) = (node.poll_packet(now), router.poll_packet(now));
//!     for (session, packet) in [(&mut router, to_router), (&mut node, to_node)] {
//!         let Some(bytes) = &packet else { continue };
//!         session.handle_packet(&ReceivedPacket { bytes, ttl: 255, at: now }).ok()?;
//!     }
//! }
//! assert_eq!(node.poll_change()?.from, BfdState::Down);
//! # Some(())
//! # }
//! # example().unwrap();
//! ```

pub mod clock;
pub mod demux;
pub mod echo;
pub mod initiator;
pub mod session;
pub mod state;
