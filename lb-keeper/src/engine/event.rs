//! Input and output of the engine.

use std::fmt;
use std::time::Duration;

/// A stream, as long as the keeper runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct StreamId(pub(crate) u64);

/// A connection of an agent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Reasons to end or drop a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// No agent has come back in time.
    Bound,
    /// The agent does not want the stream.
    Dismissed,
    /// The new agent speaks no common version.
    Version,
    /// The keeper was stopped while no agent held the stream.
    Stopped,
    /// The agent has closed the stream.
    Released,
    /// The agent holds another stream of the same name.
    Replaced,
    /// The peer has closed or reset the stream.
    PeerClosed,
    /// The stream and its journal cannot be read, written, or do not match.
    Broken(String),
    /// The farewell is sent.
    Parted,
    /// The peer does not take the farewell, or does not close.
    TimedOut,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bound => "no agent came back in time",
            Self::Dismissed => "the agent does not continue it",
            Self::Version => "the new agent speaks no common version of the protocol",
            Self::Stopped => "the keeper stops, and no agent holds it",
            Self::Released => "the agent has closed it",
            Self::Replaced => "the agent holds another stream of this name",
            Self::PeerClosed => "the peer has closed it",
            Self::Broken(error) => error,
            Self::Parted => "the farewell is sent",
            Self::TimedOut => "the peer does not take the farewell or does not close",
        })
    }
}

/// Input of the engine.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An agent with a common version has connected.
    Hello(ConnectionId),
    /// An agent without one.
    Foreign(ConnectionId),
    /// The agent holds a stream.
    Hold {
        connection: ConnectionId,
        id: StreamId,
        name: String,
        terms: Terms,
    },
    Claim {
        connection: ConnectionId,
        name: String,
    },
    Release {
        connection: ConnectionId,
        name: String,
    },
    /// Without a name: all streams that are not claimed.
    Dismiss {
        connection: ConnectionId,
        name: Option<String>,
    },
    /// The agent's connection has ended, and all its messages are handled.
    Disconnected(ConnectionId),
    /// The result of [`Action::Write`].
    Written {
        id: StreamId,
        all: bool,
    },
    /// A socket accepts octets again.
    Writable(StreamId),
    /// The peer has ended a stream.
    Ended(StreamId),
    /// An action on the stream failed.
    Broken(StreamId, String),
    /// The keeper must stop.
    Stop,
}

/// Output of the engine, in the order of execution.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Fence the former holder of a stream.
    TakeOver(StreamId),
    /// Append to the journal what keeps the stream alive.
    AppendKeepalive(StreamId),
    /// Append the farewell to the journal.
    AppendFarewell(StreamId, Reason),
    /// Write what the journal has and the socket has not, as far as it is accepted now.
    Write(StreamId),
    /// Shut down the write side, and discard what the peer sends until it closes.
    ShutDown(StreamId),
    /// Close the keeper's duplicates.
    Drop(StreamId, Reason),
    /// Reply to an agent.
    Reply(ConnectionId, Reply),
    /// Close the connection after the replies.
    Disconnect(ConnectionId),
    /// Accept no more agents.
    StopAccepting,
    /// End the process.
    Exit,
}

/// A reply to an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// With the names of streams that may be claimed.
    Welcome(Vec<String>),
    Refused,
    Replaced,
    Leaving,
    Held(String),
    Rejected(String),
    Claimed(StreamId),
    Unknown(String),
}

/// The terms of a stream that the engine needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) keepalive: Option<Duration>,
    pub(crate) restartable: bool,
}
