//! ICMP (RFC 792) and ICMPv6 (RFC 4443) echo.

/// Bytes of a header.
pub const HEADER: usize = 8;
/// Type and code of fragmentation needed.
pub const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
/// Type and code of time exceeded in transit.
pub const TIME_EXCEEDED: [u8; 2] = [11, 0];
/// Type and code of ICMPv6 packet too big.
pub const PACKET_TOO_BIG_V6: [u8; 2] = [2, 0];
/// Type and code of ICMPv6 hop limit exceeded in transit.
pub const TIME_EXCEEDED_V6: [u8; 2] = [3, 0];
/// Bytes of an echo header.
pub const ECHO_HEADER: usize = 8;
/// Type and code of an ICMP echo request.
pub const ECHO_REQUEST: [u8; 2] = [8, 0];
/// Type and code of an ICMP echo reply.
pub const ECHO_REPLY: [u8; 2] = [0, 0];
/// Type and code of an ICMPv6 echo request.
pub const ECHO_REQUEST_V6: [u8; 2] = [128, 0];
/// Type and code of an ICMPv6 echo reply.
pub const ECHO_REPLY_V6: [u8; 2] = [129, 0];
