//! Clients that check every byte.
//!
//! A server greets a TCP connection with one line, its pod's name and the client's address as the pod sees
//! it, and then echoes every byte, changed by [`transform`](crate::payload::transform). A client sends a
//! different stream on each connection, so that a byte which is lost, duplicated, or delivered to another
//! connection is detected. Datagrams are answered likewise; see [`udp`].

pub mod flood;
pub mod probe_stream;
pub mod probes;
pub mod raw;
pub mod report;
pub mod request_stream;
mod running;
pub mod sctp;
pub mod tcp;
pub mod udp;

pub use self::probe_stream::{ProbeStream, ProbeStreamReport, StreamProbe};
pub use self::probes::{ProbeReport, Probes};
pub use self::raw::RawSocket;
pub use self::report::{ConnectionFailure, FailureCause, TcpReport, TrafficShare, UdpReport};
pub use self::request_stream::{RequestStream, RequestStreamReport, StreamRequest};
pub use self::running::RunningLoad;
pub use self::sctp::{SctpLoad, SctpReport, SctpServer};
pub use self::tcp::TcpLoad;
pub use self::udp::UdpLoad;
