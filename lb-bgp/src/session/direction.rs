//! The direction in which a TCP connection was opened.

/// The direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionDirection {
    /// Opened here.
    Outgoing,
    /// Opened by the peer.
    Incoming,
}

impl ConnectionDirection {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Outgoing, Self::Incoming];

    /// Returns the other direction.
    pub const fn other(self) -> Self {
        match self {
            Self::Outgoing => Self::Incoming,
            Self::Incoming => Self::Outgoing,
        }
    }
}
