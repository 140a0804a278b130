//! The state transition table of one connection with a peer (RFC 4271, section 8.2.2).
//!
//! ```text
//!            start              connected               OPEN               KEEPALIVE
//!    Idle ──────────► Connect ──────────► OpenSent ──────────► OpenConfirm ──────────► Established
//!     ▲  ╲              ▲ │                 ▲  │                    │                       │
//!     │   ╲ start,      │ │ refused         │  │ connection         │                       │
//!     │    ╲ passive    │ ▼                 │  │ lost               │                       │
//!     │     ╲      retry│ Idle              │  │                    │                       │
//!     │      ╲          │     connected     │  │                    │                       │
//!     │       ►───── Active ────────────────┘  │                    │                       │
//!     │                ▲───────────────────────┘                    │                       │
//!     └── stop, error, NOTIFICATION, time-out ◄─────────────────────┴───────────────────────┘
//! ```
//!
//! Omitted optional events: DelayOpen (12 and 20) and the TCP flags (14 and 15). The IdleHoldTimer (13)
//! triggers [`BgpEvent::AutomaticStart`].

/// States of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BgpState {
    /// Not trying; incoming connections are refused.
    Idle,
    /// Opening a connection.
    Connect,
    /// Waiting for an incoming connection, or for the next attempt.
    Active,
    /// Connected; waiting for the peer's OPEN.
    OpenSent,
    /// The OPENs match; waiting for the first KEEPALIVE.
    OpenConfirm,
    /// Up; routes are advertised.
    Established,
}

/// Events, numbered as in RFC 4271, section 8.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BgpEvent {
    /// 1.
    ManualStart,
    /// 2.
    ManualStop,
    /// 3: the hold-down after an error is over.
    AutomaticStart,
    /// 4: start in passive mode.
    ManualStartPassive,
    /// 5: the hold-down is over, in passive mode.
    AutomaticStartPassive,
    /// 8: a configuration change, or another automatic stop.
    AutomaticStop,
    /// 9.
    ConnectRetryTimerExpires,
    /// 10.
    HoldTimerExpires,
    /// 11.
    KeepaliveTimerExpires,
    /// 16: an outgoing connection is established.
    TcpCrAcked,
    /// 17: an incoming connection is established.
    TcpConnectionConfirmed,
    /// 18: refused, lost or closed.
    TcpConnectionFails,
    /// 19: a valid OPEN.
    BgpOpen,
    /// 21: an invalid header.
    BgpHeaderErr,
    /// 22: an invalid or unacceptable OPEN.
    BgpOpenMsgErr,
    /// 23: the other connection was preferred.
    OpenCollisionDump,
    /// 24: NOTIFICATION, unsupported version.
    NotifMsgVerErr,
    /// 25: any other NOTIFICATION.
    NotifMsg,
    /// 26.
    KeepAliveMsg,
    /// 27.
    UpdateMsg,
    /// 28: an UPDATE with an error that requires a reset (RFC 7606).
    UpdateMsgErr,
    /// 29: the peer has stopped reading (RFC 9687).
    SendHoldTimerExpires,
    /// ROUTE-REFRESH (unnumbered in RFC 2918).
    RouteRefreshMsg,
    /// The BFD session went down (RFC 9384, unnumbered there).
    BfdDown,
}

/// Returns the state after an event.
pub(super) const fn next(state: BgpState, event: BgpEvent) -> BgpState {
    use BgpEvent::*;
    use BgpState::*;
    match (state, event) {
        (Idle, ManualStart | AutomaticStart) => Connect,
        (Idle, ManualStartPassive | AutomaticStartPassive) => Active,
        (Idle, ManualStop | AutomaticStop | ConnectRetryTimerExpires | HoldTimerExpires) => Idle,
        (Idle, KeepaliveTimerExpires | TcpCrAcked | TcpConnectionConfirmed | TcpConnectionFails) => Idle,
        (Idle, BgpOpen | BgpHeaderErr | BgpOpenMsgErr | OpenCollisionDump | NotifMsgVerErr) => Idle,
        (Idle, NotifMsg | KeepAliveMsg | UpdateMsg | UpdateMsgErr | SendHoldTimerExpires) => Idle,
        (Idle, RouteRefreshMsg | BfdDown) => Idle,

        (Connect, ManualStart | AutomaticStart | ManualStartPassive | AutomaticStartPassive) => Connect,
        (Connect, ConnectRetryTimerExpires) => Connect,
        (Connect, TcpCrAcked | TcpConnectionConfirmed) => OpenSent,
        // There is no session for BFD to end; the connection attempt continues.
        (Connect, BfdDown) => Connect,
        (Connect, ManualStop | AutomaticStop | HoldTimerExpires | KeepaliveTimerExpires) => Idle,
        (Connect, TcpConnectionFails | BgpOpen | BgpHeaderErr | BgpOpenMsgErr | OpenCollisionDump) => Idle,
        (Connect, NotifMsgVerErr | NotifMsg | KeepAliveMsg | UpdateMsg | UpdateMsgErr) => Idle,
        (Connect, SendHoldTimerExpires | RouteRefreshMsg) => Idle,

        (Active, ManualStart | AutomaticStart | ManualStartPassive | AutomaticStartPassive) => Active,
        (Active, ConnectRetryTimerExpires) => Connect,
        (Active, TcpCrAcked | TcpConnectionConfirmed) => OpenSent,
        (Active, BfdDown) => Active,
        (Active, ManualStop | AutomaticStop | HoldTimerExpires | KeepaliveTimerExpires) => Idle,
        (Active, TcpConnectionFails | BgpOpen | BgpHeaderErr | BgpOpenMsgErr | OpenCollisionDump) => Idle,
        (Active, NotifMsgVerErr | NotifMsg | KeepAliveMsg | UpdateMsg | UpdateMsgErr) => Idle,
        (Active, SendHoldTimerExpires | RouteRefreshMsg) => Idle,

        (OpenSent, ManualStart | AutomaticStart | ManualStartPassive | AutomaticStartPassive) => OpenSent,
        // Another connection in the same direction: collisions are resolved before they get here.
        (OpenSent, TcpCrAcked | TcpConnectionConfirmed) => OpenSent,
        (OpenSent, TcpConnectionFails) => Active,
        (OpenSent, BgpOpen) => OpenConfirm,
        (OpenSent, ManualStop | AutomaticStop | ConnectRetryTimerExpires | HoldTimerExpires) => Idle,
        (OpenSent, KeepaliveTimerExpires | BgpHeaderErr | BgpOpenMsgErr | OpenCollisionDump) => Idle,
        (OpenSent, NotifMsgVerErr | NotifMsg | KeepAliveMsg | UpdateMsg | UpdateMsgErr) => Idle,
        (OpenSent, SendHoldTimerExpires | RouteRefreshMsg | BfdDown) => Idle,

        (OpenConfirm, ManualStart | AutomaticStart) => OpenConfirm,
        (OpenConfirm, ManualStartPassive | AutomaticStartPassive) => OpenConfirm,
        (OpenConfirm, TcpCrAcked | TcpConnectionConfirmed | KeepaliveTimerExpires) => OpenConfirm,
        (OpenConfirm, KeepAliveMsg) => Established,
        // A second OPEN on this connection; one on the other connection is an event of the other machine.
        (OpenConfirm, ManualStop | AutomaticStop | ConnectRetryTimerExpires | HoldTimerExpires) => Idle,
        (OpenConfirm, TcpConnectionFails | BgpOpen | BgpHeaderErr | BgpOpenMsgErr) => Idle,
        (OpenConfirm, OpenCollisionDump | NotifMsgVerErr | NotifMsg | UpdateMsg | UpdateMsgErr) => Idle,
        (OpenConfirm, SendHoldTimerExpires | RouteRefreshMsg | BfdDown) => Idle,

        (Established, ManualStart | AutomaticStart) => Established,
        (Established, ManualStartPassive | AutomaticStartPassive) => Established,
        (Established, TcpCrAcked | TcpConnectionConfirmed | KeepaliveTimerExpires) => Established,
        (Established, KeepAliveMsg | UpdateMsg | RouteRefreshMsg) => Established,
        (Established, ManualStop | AutomaticStop | ConnectRetryTimerExpires | HoldTimerExpires) => Idle,
        (Established, TcpConnectionFails | BgpOpen | BgpHeaderErr | BgpOpenMsgErr) => Idle,
        (Established, OpenCollisionDump | NotifMsgVerErr | NotifMsg | UpdateMsgErr) => Idle,
        (Established, SendHoldTimerExpires | BfdDown) => Idle,
    }
}

impl BgpState {
    /// Returns whether there is a connection in this state.
    pub(super) const fn is_connected(self) -> bool {
        matches!(self, Self::OpenSent | Self::OpenConfirm | Self::Established)
    }

    /// Returns the name used by routers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

#[cfg(test)]
mod tests;
