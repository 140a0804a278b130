//! Kinds of intentional shutdown.

use crate::message::Notification;
use crate::notification::Cease;

/// Why a session is shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// By an operator; down until [`Peer::start`](super::Peer::start). The text is for the peer's operator
    /// (RFC 9003), cut at 255 octets.
    Administrative {
        /// May be empty.
        text: String,
    },
    /// By an operator; restarts on its own.
    Reset {
        /// May be empty.
        text: String,
    },
    /// The peer is no longer configured.
    Deconfigured,
    /// Another process is about to take over. If graceful restart was negotiated, the connection is closed
    /// without a NOTIFICATION, so that the peer keeps our routes (RFC 4724, section 4).
    Replacement,
}

impl Shutdown {
    /// Returns whether the session stays down.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Administrative { .. } | Self::Deconfigured | Self::Replacement => true,
            Self::Reset { .. } => false,
        }
    }

    /// Returns the NOTIFICATION to send, if any. With `hard_reset` negotiated (RFC 8538: the N bit of both
    /// sides), any NOTIFICATION other than a hard reset would make the peer keep routes that lead nowhere.
    pub(super) fn notification(&self, graceful_restart: bool, hard_reset: bool) -> Option<Notification> {
        let notification = match self {
            Self::Administrative { text } => Notification::with_text(Cease::AdministrativeShutdown, text),
            Self::Deconfigured => Notification::from(Cease::Deconfigured),
            Self::Reset { text } => return Some(Notification::with_text(Cease::AdministrativeReset, text)),
            Self::Replacement if graceful_restart => return None,
            Self::Replacement => return Some(Notification::from(Cease::AdministrativeReset)),
        };
        Some(if hard_reset { notification.into_hard_reset() } else { notification })
    }
}
