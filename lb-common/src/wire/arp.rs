//! ARP for IPv4 over Ethernet (RFC 826).

/// Bytes of a packet.
pub const LENGTH: usize = 28;
/// Hardware type Ethernet, protocol type IPv4, their lengths, operation request.
pub const REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
/// The same for a reply.
pub const REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
