use super::BgpEvent::{self, *};
use super::BgpState::{self, *};
use super::next;

const STATES: [BgpState; 6] = [Idle, Connect, Active, OpenSent, OpenConfirm, Established];

/// Transcribed from RFC 4271, section 8.2.2, event by event, while the table goes state by state: the next
/// state from Idle, Connect, Active, OpenSent, OpenConfirm and Established, by its first letter; s is
/// OpenSent and c OpenConfirm.
const EVENTS: [(BgpEvent, &str); 24] = [
    (ManualStart, "C C A s c E"),
    (ManualStop, "I I I I I I"),
    (AutomaticStart, "C C A s c E"),
    (ManualStartPassive, "A C A s c E"),
    (AutomaticStartPassive, "A C A s c E"),
    (AutomaticStop, "I I I I I I"),
    (ConnectRetryTimerExpires, "I C C I I I"),
    (HoldTimerExpires, "I I I I I I"),
    (KeepaliveTimerExpires, "I I I I c E"),
    (TcpCrAcked, "I s s s c E"),
    (TcpConnectionConfirmed, "I s s s c E"),
    (TcpConnectionFails, "I I I A I I"),
    (BgpOpen, "I I I c I I"),
    (BgpHeaderErr, "I I I I I I"),
    (BgpOpenMsgErr, "I I I I I I"),
    (OpenCollisionDump, "I I I I I I"),
    (NotifMsgVerErr, "I I I I I I"),
    (NotifMsg, "I I I I I I"),
    (KeepAliveMsg, "I I I I E E"),
    (UpdateMsg, "I I I I I E"),
    (UpdateMsgErr, "I I I I I I"),
    // RFC 9687, section 3.
    (SendHoldTimerExpires, "I I I I I I"),
    // RFC 2918, section 4: in Established only.
    (RouteRefreshMsg, "I I I I I E"),
    // RFC 9384: with a connection only.
    (BfdDown, "I C A I I I"),
];

const fn state(letter: &str) -> BgpState {
    match letter.as_bytes() {
        b"I" => Idle,
        b"C" => Connect,
        b"A" => Active,
        b"s" => OpenSent,
        b"c" => OpenConfirm,
        b"E" => Established,
        _ => panic!("no state"),
    }
}

#[test]
fn the_table_matches_the_rfc() {
    for (event, row) in EVENTS {
        let row: Vec<BgpState> = row.split(' ').map(state).collect();
        assert_eq!(row.len(), STATES.len(), "{event:?}");
        for (before, after) in STATES.into_iter().zip(row) {
            assert_eq!(next(before, event), after, "{before:?}, {event:?}");
        }
    }
}

#[test]
fn every_event_is_covered() {
    // Exhaustive match: another event changes the count, which then differs from the length of the list.
    let number = |event| match event {
        ManualStart | ManualStop | AutomaticStart | ManualStartPassive | AutomaticStartPassive => 5,
        AutomaticStop | ConnectRetryTimerExpires | HoldTimerExpires | KeepaliveTimerExpires => 4,
        TcpCrAcked | TcpConnectionConfirmed | TcpConnectionFails | BgpOpen | BgpHeaderErr => 5,
        BgpOpenMsgErr | OpenCollisionDump | NotifMsgVerErr | NotifMsg | KeepAliveMsg => 5,
        UpdateMsg | UpdateMsgErr | SendHoldTimerExpires | RouteRefreshMsg | BfdDown => 5,
    };
    assert_eq!(number(BfdDown) + 19, EVENTS.len());
    for (index, (event, _)) in EVENTS.iter().enumerate() {
        assert!(EVENTS.iter().skip(index + 1).all(|(other, _)| other != event), "{event:?} is there twice");
    }
}

#[test]
fn established_is_reached_through_every_state_before_it() {
    for (before, event) in STATES.into_iter().flat_map(|state| EVENTS.map(|(event, _)| (state, event))) {
        let after = next(before, event);
        let may_follow = match after {
            Idle | Active | Connect => true,
            OpenSent => matches!(before, Connect | Active | OpenSent),
            OpenConfirm => matches!(before, OpenSent | OpenConfirm),
            Established => matches!(before, OpenConfirm | Established),
        };
        assert!(may_follow, "{before:?}, {event:?}: {after:?}");
    }
}
