//! ICMP (RFC 792) and ICMPv6 (RFC 4443) echo.

/// Bytes of a header.
pub const HEADER: usize = 8;
/// Type and code of port unreachable.
pub const PORT_UNREACHABLE: [u8; 2] = [3, 3];
/// Type and code of ICMPv6 port unreachable.
pub const PORT_UNREACHABLE_V6: [u8; 2] = [1, 4];
/// Type and code of fragmentation needed.
pub const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
/// Type and code of time exceeded in transit.
pub const TIME_EXCEEDED: [u8; 2] = [11, 0];
/// Type and code of ICMPv6 packet too big.
pub const PACKET_TOO_BIG_V6: [u8; 2] = [2, 0];
/// Type and code of ICMPv6 hop limit exceeded in transit.
pub const TIME_EXCEEDED_V6: [u8; 2] = [3, 0];
/// Returns whether an ICMP type is an error, which quotes the packet that it is about (RFC 1122 section
/// 3.2.2).
#[inline(always)]
pub const fn is_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 11 | 12)
}

/// Returns whether an ICMPv6 type is an error (RFC 4443 section 2.1).
#[inline(always)]
pub const fn is_error_v6(kind: u8) -> bool {
    kind >= 1 && kind < 128
}

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
