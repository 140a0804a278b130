//! Ways to end a session on purpose.

use crate::message::Notification;
use crate::notification::Cease;

/// Why a session shall end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// A person wants it down; it stays down until [`Peer::start`](super::Peer::start). The text is for the
    /// neighbour's operator (RFC 9003) and cut at 255 octets.
    Administrative {
        /// Empty for none.
        text: String,
    },
    /// A person wants it to begin anew: it starts by itself again.
    Reset {
        /// Empty for none.
        text: String,
    },
    /// The neighbour is not configured any more.
    Deconfigured,
    /// This process ends and another takes over soon. Where graceful restart was agreed the connection is
    /// closed without a word, which is what makes the neighbour keep our routes (RFC 4724 section 4).
    Replacement,
}

impl Shutdown {
    /// Whether the session stays down.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Administrative { .. } | Self::Deconfigured | Self::Replacement => true,
            Self::Reset { .. } => false,
        }
    }

    /// What is said; `None` for nothing. With `hard_reset` agreed (RFC 8538: the N bit of both sides) any
    /// other NOTIFICATION than a hard reset would make the neighbour keep routes that nobody serves.
    pub(super) fn notification(&self, graceful_restart: bool, hard_reset: bool) -> Option<Notification> {
        let said = match self {
            Self::Administrative { text } => Notification::with_text(Cease::AdministrativeShutdown, text),
            Self::Deconfigured => Notification::from(Cease::Deconfigured),
            Self::Reset { text } => return Some(Notification::with_text(Cease::AdministrativeReset, text)),
            Self::Replacement if graceful_restart => return None,
            Self::Replacement => return Some(Notification::from(Cease::AdministrativeReset)),
        };
        Some(if hard_reset { said.into_hard_reset() } else { said })
    }
}
