//! The lookup of a TCP connection in the node's own kernel.
//!
//! It searches the kernel's sockets and its conntrack table. The interfaces differ between kernels, so the
//! program is compiled with gaps, the [`marker`]s, which the agent fills when it loads the program. With its
//! gaps unfilled, the program looks up nothing and works everywhere.

/// What the node's own kernel knows of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum KernelAnswer {
    /// Not all tables could be searched.
    Unknown = 0,
    /// Neither a live socket nor a live tracked connection. This is no proof: an eBPF replacement of
    /// kube-proxy carries packets to pods past the kernel's tables.
    Absent = 1,
    /// A socket or tracked connection past its handshake and not closed.
    Present = 2,
}

impl KernelAnswer {
    /// Every answer, by its number.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Absent, Self::Present];
}

/// Addresses and ports of a TCP connection in the direction of its client, in wire order: the kernel's
/// `struct bpf_sock_tuple`. IPv4 takes the first [`TcpConnection::V4_BYTES`]. Aligned, so that two words can
/// be written at once.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpConnection {
    /// Source, destination, both ports; in words, because the BPF compiler copies bytes one by one.
    pub words: [u32; 9],
}

impl TcpConnection {
    /// Bytes of an IPv4 connection.
    pub const V4_BYTES: u32 = 12;
    /// Bytes of an IPv6 connection.
    pub const V6_BYTES: u32 = 36;

    /// All zero, to be filled.
    pub const EMPTY: Self = Self { words: [0; 9] };

    /// Returns an IPv4 connection; `ports` are the source and destination port in wire order.
    pub const fn v4(source: [u8; 4], destination: [u8; 4], ports: [u8; 4]) -> Self {
        let [source, destination, ports] =
            [u32::from_ne_bytes(source), u32::from_ne_bytes(destination), u32::from_ne_bytes(ports)];
        Self { words: [source, destination, ports, 0, 0, 0, 0, 0, 0] }
    }
}

const _: () = assert!(size_of::<TcpConnection>() == 40);

/// States of the kernel's sockets (`TCP_*` in `net/tcp_states.h`).
pub mod socket {
    /// The states of a live connection: ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING. Not
    /// SYN_SENT, SYN_RECV, NEW_SYN_RECV, which a stranger's SYN creates; not LISTEN; not TIME_WAIT and CLOSE,
    /// which are closed.
    const ALIVE: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

    /// Returns whether a connection in this state is alive.
    #[inline(always)]
    pub const fn is_alive(state: u32) -> bool {
        state < 32 && ALIVE >> state & 1 != 0
    }
}

/// States of the kernel's tracked connections (`enum tcp_conntrack`, `enum ip_conntrack_status`).
pub mod conntrack {
    /// ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK; not SYN_SENT, SYN_RECV, TIME_WAIT and CLOSE.
    const ALIVE: u64 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6;
    /// Both sides have sent packets. Without it, a single forged ACK may have created the entry: by default,
    /// the kernel picks up connections in the middle.
    const ASSURED: u64 = 1 << 2;

    /// Returns whether a tracked TCP connection in this state, with this status, is alive.
    #[inline(always)]
    pub const fn is_alive(state: u64, status: u64) -> bool {
        state < 64 && ALIVE >> state & 1 != 0 && status & ASSURED != 0
    }
}

/// Gaps in the program's code. Each is a move of one of these numbers into a register, followed by the
/// instruction that the agent replaces. As compiled, the instructions report that nothing can be looked up.
pub mod marker {
    /// `r0 = 0` → `r0 = 1`: lookups are allowed.
    pub const ALLOWED: i32 = 0x6c62_6101;
    /// `r0 = 0` → call of the kernel's function `bpf_xdp_ct_lookup`.
    pub const CT_LOOKUP: i32 = 0x6c62_6102;
    /// `r0 = 0` → call of the kernel's function `bpf_ct_release`.
    pub const CT_RELEASE: i32 = 0x6c62_6103;
    /// `r0 = 0` → load of a byte at r1 plus the offset of a tracked connection's TCP state.
    pub const CT_STATE: i32 = 0x6c62_6104;
    /// `r0 = 0` → load of a byte at r1 plus the offset of a tracked connection's status.
    pub const CT_STATUS: i32 = 0x6c62_6105;
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::{conntrack, socket};

    #[test]
    fn a_socket_is_alive_between_its_handshake_and_its_end() {
        let alive: Vec<u32> = (0..40).filter(|state| socket::is_alive(*state)).collect();
        assert_eq!(alive, [1, 4, 5, 8, 9, 11]);
    }

    #[test]
    fn a_tracked_connection_is_alive_once_both_sides_have_spoken() {
        let alive: Vec<u64> = (0..70).filter(|state| conntrack::is_alive(*state, 0b1110)).collect();
        assert_eq!(alive, [3, 4, 5, 6]);
        assert!(!conntrack::is_alive(3, 0b1000), "taken up in the middle by one packet");
    }
}
