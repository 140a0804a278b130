//! The endings that people are shown.
//!
//! A router that has refused an OPEN with a NOTIFICATION may wait for minutes and meanwhile reset connections or
//! refuse them. So what a later attempt says less of does not replace what an earlier one said.

use std::time::Duration;

use super::ending::{Cause, Ending};
use super::table::State;
use crate::message::Notification;
use crate::notification::{Cease, code};

/// How long an ending is kept before those that say less. BIRD waits for five minutes at most, this side for two.
const LASTS: Duration = Duration::from_secs(600);

/// The endings that people are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons {
    /// The one that says most of the last.
    pub(super) telling: Option<Ending>,
    /// The latest, where it says less.
    pub(super) latest: Option<Ending>,
    /// The configuration is another one since.
    is_outdated: bool,
}

impl Reasons {
    pub(super) fn note(&mut self, ending: Ending) {
        let is_kept = |telling: &Ending| {
            is_telling(&telling.cause) && ending.at.saturating_sub(telling.at) < LASTS && !self.is_outdated
        };
        let says_less = ending.state != State::Established && is_vague(&ending.cause);
        if says_less && self.telling.as_ref().is_some_and(is_kept) {
            self.latest = Some(ending);
        } else {
            *self = Self { telling: Some(ending), latest: None, is_outdated: false };
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
fn is_telling(cause: &Cause) -> bool {
    !is_vague(cause) && !cause.is_our_wish() && !cause.makes_room()
}

/// Whether it may follow from anything.
fn is_vague(cause: &Cause) -> bool {
    match cause {
        Cause::Closed(_) | Cause::ConnectFailed(_) | Cause::ConnectTimedOut(_) => true,
        Cause::Received(Notification { code: code::CEASE, subcode, .. }) => {
            [Cease::ConnectionRejected as u8, Cease::ConnectionCollision as u8].contains(subcode)
        }
        _ => false,
    }
}
