//! The VIPs of the cluster.

use std::net::IpAddr;

use crate::lab::{SHARED_V4, SHARED_V6, WEB_V4, WEB_V6};

/// The VIPs that clients use.
pub const VIPS: [IpAddr; 2] = [WEB_V4, WEB_V6];
/// All VIPs, for which no route may change.
pub const ROUTED: [IpAddr; 4] = [WEB_V4, WEB_V6, SHARED_V4, SHARED_V6];
/// The UDP port of the stream of datagrams.
pub const STREAM_PORT: u16 = 7002;
