//! BGP-4 (RFC 4271) for a speaker that only announces, as values: messages to and from bytes, a session
//! that is told what came in and asked what must go out, and the smallest set of UPDATEs from what a router
//! has been told to what it shall know.
//!
//! Nothing here knows a socket or what time it is.

pub mod adj_out;
pub mod codec;
pub mod message;
mod notification;
pub mod session;
pub mod unnumbered;
pub mod value;
