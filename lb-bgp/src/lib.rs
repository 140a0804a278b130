//! BGP-4 (RFC 4271) for an advertise-only speaker, without I/O or a clock: the message codec, the session's
//! state machine, and the Adj-RIB-Out that finds the fewest UPDATEs between advertised and desired routes.
//!
//! The driver owns the sockets and passes the time in. Here it connects two peers directly:
//!
//! ```
//! # use std::time::Duration;
//! # use lb_bgp::session::{BackOff, NextHops, PeerConfig, PeerAs};
//! # use lb_bgp::value::{Asn, AddressFamily, HoldTime, RouterId};
//! use lb_bgp::session::ConnectionDirection::{Incoming, Outgoing};
//! use lb_bgp::session::{BgpState, Peer, PeerAction};
//! # fn config(asn: u32, id: [u8; 4], passive: bool) -> Option<PeerConfig> {
//! #     Some(PeerConfig {
//! #         local_asn: Asn::new(asn)?,
//! #         presented_asn: None,
//! #         remote: PeerAs::External,
//! #         router_id: RouterId::new(id.into())?,
//! #         hold_time: HoldTime::DEFAULT,
//! #         keepalive: None,
//! #         families: vec![AddressFamily::Ipv4],
//! #         next_hops: NextHops::default(),
//! #         graceful_restart: None,
//! #         restarted: false,
//! #         passive,
//! #         host_name: String::new(),
//! #         connect_timeout: Duration::from_secs(10),
//! #         back_off: BackOff::DEFAULT,
//! #     })
//! # }
//! # fn example() -> Option<()> {
//! # let (ours, theirs) = ("192.0.2.1:49152".parse().ok()?, "192.0.2.2:179".parse().ok()?);
//! let now = Duration::ZERO;
//! let mut node = Peer::new(config(65001, [192, 0, 2, 1], false)?, 1, now);
//! let mut router = Peer::new(config(65002, [192, 0, 2, 2], true)?, 2, now);
//! assert_eq!(node.poll_action(), Some(PeerAction::Connect));
//!
//! node.handle_connected(Outgoing, ours, theirs, now);
//! router.handle_connected(Incoming, theirs, ours, now);
//! for expected in [BgpState::OpenConfirm, BgpState::Established] {
//!     let (to_router, to_node) = (node.poll_bytes(Outgoing, now)?, router.poll_bytes(Incoming, now)?);
//!     node.handle_sent(Outgoing, now);
//!     router.handle_sent(Incoming, now);
//!     node.handle_bytes(Outgoing, &to_node, now);
//!     router.handle_bytes(Incoming, &to_router, now);
//!     assert_eq!(node.state(), expected);
//! }
//! assert_eq!(node.poll_action(), Some(PeerAction::Established(Outgoing)));
//! # Some(())
//! # }
//! # example().unwrap();
//! ```

pub mod adj_out;
pub mod codec;
pub mod message;
mod notification;
pub mod session;
pub mod unnumbered;
pub mod value;
