//! Sessions with BGP peers, as facts.

use std::time::Duration;

use lb_bgp::session::{BgpState, CloseReason};
use lb_explain::facts::{SessionFacts, SessionFault};
use lb_speaker::PeerSnapshot;
use lb_speaker::status::{self, BgpSessionStatus};

/// NOTIFICATION: OPEN Message Error, Bad Peer AS (RFC 4271 section 6.2).
const BAD_PEER_AS: (u8, u8) = (2, 2);
/// NOTIFICATION: Cease, BFD Down (RFC 9384).
const BFD_DOWN: (u8, u8) = (6, 10);

/// Returns what is known of a session.
pub(super) fn session(snapshot: &PeerSnapshot, at: Duration) -> SessionFacts {
    let status = BgpSessionStatus::of(snapshot, at);
    let view = &snapshot.view;
    let is_up = view.state == BgpState::Established;
    // The most specific reason of recent attempts, then the latest one.
    let closes = view.last_close.iter().chain(&view.latest_close).filter(|_| !is_up);
    let mut faults = closes.map(|close| fault(&close.reason));
    let other = (!is_up).then_some(SessionFault::Other);
    SessionFacts {
        peer: snapshot.name.clone(),
        address: status.address,
        is_up,
        state: status::state(view.state).to_owned(),
        fault: faults.find(|fault| *fault != SessionFault::Other).or(other),
        error: status.last_error,
        advice: status.advice,
        bfd: status.bfd,
        advertised: status.families.values().map(|family| family.announced).sum(),
        pending: status.families.values().map(|family| family.pending).sum(),
    }
}

fn fault(reason: &CloseReason) -> SessionFault {
    match reason {
        CloseReason::WrongAsn { .. } => SessionFault::WrongAs,
        CloseReason::BfdDown => SessionFault::Bfd,
        CloseReason::ConnectTimedOut(_) | CloseReason::HoldTimerExpired(_) => SessionFault::NoAnswer,
        CloseReason::NotificationReceived(notification) => match (notification.code, notification.subcode) {
            BAD_PEER_AS => SessionFault::WrongAs,
            BFD_DOWN => SessionFault::Bfd,
            _ => SessionFault::Other,
        },
        _ => SessionFault::Other,
    }
}
