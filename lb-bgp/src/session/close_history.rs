//! The endings that people are shown.
//!
//! A router that has refused an OPEN with a NOTIFICATION may wait for minutes and meanwhile reset connections or
//! refuse them. So what a later attempt says less of does not replace what an earlier one said.

use std::time::Duration;

use super::close_reason::{CloseReason, SessionClose};
use super::state_table::BgpState;
use crate::message::Notification;
use crate::notification::{Cease, code};

/// How long an ending is kept before those that say less. BIRD waits for five minutes at most, this side for two.
const LASTS: Duration = Duration::from_secs(600);

/// The endings that people are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct CloseHistory {
    /// The one that says most of the last.
    pub(super) primary: Option<SessionClose>,
    /// The latest, where it says less.
    pub(super) latest: Option<SessionClose>,
    /// The configuration is another one since.
    is_outdated: bool,
}

impl CloseHistory {
    pub(super) fn note(&mut self, close: SessionClose) {
        let is_kept = |primary: &SessionClose| {
            is_specific(&primary.reason) && close.at.saturating_sub(primary.at) < LASTS && !self.is_outdated
        };
        let says_less = close.state != BgpState::Established && is_unspecific(&close.reason);
        if says_less && self.primary.as_ref().is_some_and(is_kept) {
            self.latest = Some(close);
        } else {
            *self = Self { primary: Some(close), latest: None, is_outdated: false };
        }
    }

    /// The configuration has changed: what comes next counts, however little it says.
    pub(super) fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// The session is up.
    pub(super) fn settle(&mut self) {
        self.latest = None;
    }
}

/// Whether it says why.
fn is_specific(reason: &CloseReason) -> bool {
    !is_unspecific(reason) && !reason.is_intentional() && !reason.is_superseded()
}

/// Whether it may follow from anything.
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
