//! The close reasons shown to the operator.
//!
//! A router that rejects an OPEN with a NOTIFICATION may then back off for minutes and reset or refuse
//! connections. A less specific reason of a later attempt does not replace a more specific one.

use std::time::Duration;

use super::close_reason::{CloseReason, SessionClose};
use super::state_table::BgpState;
use crate::message::Notification;
use crate::notification::{Cease, code};

/// Lifetime of a specific reason. BIRD backs off for five minutes at most, this side for two.
const SPECIFIC_LIFETIME: Duration = Duration::from_secs(600);

/// The close reasons shown to the operator.
#[derive(Clone, Debug, Default)]
pub(super) struct CloseHistory {
    /// The most specific of the recent ones.
    pub(super) primary: Option<SessionClose>,
    /// The latest one, if less specific.
    pub(super) latest: Option<SessionClose>,
    /// The configuration has changed since.
    is_outdated: bool,
}

impl CloseHistory {
    pub(super) fn record(&mut self, close: SessionClose) {
        let is_kept = |primary: &SessionClose| {
            is_specific(&primary.reason)
                && close.at.saturating_sub(primary.at) < SPECIFIC_LIFETIME
                && !self.is_outdated
        };
        let is_less_specific = close.state != BgpState::Established && is_unspecific(&close.reason);
        if is_less_specific && self.primary.as_ref().is_some_and(is_kept) {
            self.latest = Some(close);
        } else {
            *self = Self { primary: Some(close), latest: None, is_outdated: false };
        }
    }

    /// Marks the reason as outdated after a configuration change: the next one replaces it, however
    /// unspecific.
    pub(super) fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// Clears the latest reason when a session comes up.
    pub(super) fn clear_latest(&mut self) {
        self.latest = None;
    }
}

/// Returns whether it names the cause.
fn is_specific(reason: &CloseReason) -> bool {
    !is_unspecific(reason) && !reason.is_intentional() && !reason.is_superseded()
}

/// Returns whether it may have any cause.
fn is_unspecific(reason: &CloseReason) -> bool {
    match reason {
        CloseReason::ConnectionClosed(_)
        | CloseReason::ConnectFailed(_)
        | CloseReason::ConnectTimedOut(_) => true,
        CloseReason::NotificationReceived(Notification { code: code::CEASE, subcode, .. }) => {
            [Cease::ConnectionRejected as u8, Cease::ConnectionCollision as u8].contains(subcode)
        }
        _ => false,
    }
}
