//! The direction in which a TCP connection was opened.

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionDirection {
    /// We.
    Outgoing,
    /// The neighbour.
    Incoming,
}

impl ConnectionDirection {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Outgoing, Self::Incoming];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Outgoing => Self::Incoming,
            Self::Incoming => Self::Outgoing,
        }
    }
}
