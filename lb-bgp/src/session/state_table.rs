//! The table of states (RFC 4271 section 8.2.2), of one connection with a neighbour.
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
//! Left out of the optional events: those of DelayOpen (12 and 20) and of TCP's own flags (14 and 15). The
//! IdleHoldTimer (13) is what decides when [`BgpEvent::AutomaticStart`] comes.

/// States of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BgpState {
    /// Nothing is tried, connections of the neighbour are refused.
    Idle,
    /// A connection is being opened.
    Connect,
    /// A connection of the neighbour is waited for, or the time to open one.
    Active,
    /// Connected; the neighbour's OPEN is waited for.
    OpenSent,
    /// The OPENs agree; the first KEEPALIVE is waited for.
    OpenConfirm,
    /// Routes are told.
    Established,
}

/// Events; the numbers are those of RFC 4271 section 8.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BgpEvent {
    /// 1.
    ManualStart,
    /// 2.
    ManualStop,
    /// 3: the hold-down after an error is over.
    AutomaticStart,
    /// 4: start, but leave opening to the neighbour.
    ManualStartPassive,
    /// 5: the hold-down is over, but leave opening to the neighbour.
    AutomaticStartPassive,
    /// 8: the configuration changed, or something else than a person wants an end.
    AutomaticStop,
    /// 9.
    ConnectRetryTimerExpires,
    /// 10.
    HoldTimerExpires,
    /// 11.
    KeepaliveTimerExpires,
    /// 16: a connection that was opened here is there.
    TcpCrAcked,
    /// 17: a connection of the neighbour has been accepted.
    TcpConnectionConfirmed,
    /// 18: refused, lost or closed.
    TcpConnectionFails,
    /// 19: a sound OPEN.
    BgpOpen,
    /// 21: a header that is none.
    BgpHeaderErr,
    /// 22: an OPEN that is none, or that does not suit.
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
    /// 28: an UPDATE that cannot be read at all (RFC 7606).
    UpdateMsgErr,
    /// 29: the neighbour does not read any more (RFC 9687).
    SendHoldTimerExpires,
    /// ROUTE-REFRESH (RFC 2918 gives it no number).
    RouteRefreshMsg,
    /// BFD says that the way to the neighbour is gone (RFC 9384, which gives it no number).
    BfdDown,
}

/// The state after an event.
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
        // Nothing is up that BFD could end; whether a connection comes about will be seen.
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
        // A further connection of the same way: which of two stays is decided before they get here.
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
        // A second OPEN on this connection; one on the other connection is the other machine's event.
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
    /// Whether there is a connection in this state.
    pub(super) const fn is_connected(self) -> bool {
        matches!(self, Self::OpenSent | Self::OpenConfirm | Self::Established)
    }

    /// The name that routers show.
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
