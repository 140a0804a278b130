//! The BGP or BFD sessions as one screen.

use std::fmt::Write;
use std::net::IpAddr;

use comfy_table::Table;
use lb_speaker::bfd::BfdStatus;
use lb_speaker::status::BgpSessionStatus;
use lb_speaker::{BgpStatus, KeeperView};

use super::advertised;
use crate::table::table;
use crate::text::{dash, time};

/// Renders the BGP sessions.
pub fn bgp(status: &BgpStatus) -> String {
    let header = [
        "PEER",
        "ADDRESS",
        "ASN",
        "STATE",
        "UP/DOWN",
        "HOLD TIME",
        "BFD",
        "IPV4",
        "IPV6",
        "FLAPS",
        "LAST ERROR",
    ];
    let mut table = table(header, &[2, 4, 5, 7, 8, 9]);
    for session in &status.sessions {
        let agreed = session.agreed.as_ref();
        table.add_row([
            session.peer.clone(),
            place(session.address, session.vrf.as_deref()),
            agreed.map_or_else(dash, |agreed| agreed.asn.to_string()),
            session.state.to_string(),
            time(session.seconds),
            agreed.map_or_else(dash, |agreed| format!("{} s", agreed.hold_time)),
            session.bfd.map_or_else(dash, |up| if up { "up" } else { "down" }.to_owned()),
            family(session, "ipv4"),
            family(session, "ipv6"),
            session.counters.flaps.to_string(),
            last_error(session),
        ]);
    }
    let advice = status
        .sessions
        .iter()
        .filter_map(|session| Some(format!("{}: {}", session.peer, session.advice.as_ref()?)));
    let unread = status.sessions.iter().filter_map(unread);
    let unknown = status.unknown_connections;
    let unknown =
        (unknown > 0).then(|| format!("{unknown} connections from unconfigured addresses were closed"));
    let keeper = status.keeper.iter().map(keeper);
    let adopted = status.sessions.iter().filter(|session| session.adopted).count();
    let adopted = (adopted > 0).then(|| format!("{adopted} sessions were adopted from a former agent"));
    let remarks = advice.chain(unread).chain(unknown).chain(keeper).chain(adopted);
    let sessions = screen(&table, &status.problems, remarks);
    format!("{sessions}\n{}", advertised::services(&status.services))
}

/// Renders the BFD sessions.
pub fn bfd(status: &BfdStatus) -> String {
    let header = [
        "PEER",
        "ADDRESS",
        "HOPS",
        "STATE",
        "UP/DOWN",
        "REMOTE",
        "INTERVAL",
        "DETECTION",
        "ECHO",
        "ECHOES",
        "SENT",
        "RECEIVED",
        "DOWNS",
        "KEPT",
        "LAST DIAGNOSTIC",
    ];
    let mut table = table(header, &[4, 6, 7, 8, 9, 10, 11, 12]);
    for session in &status.sessions {
        table.add_row([
            session.peer.clone(),
            place(session.address, session.vrf.as_deref()),
            if session.multihop { "multi" } else { "single" }.to_owned(),
            session.state.to_string(),
            time(session.seconds),
            session.remote_state.to_string(),
            format!("{:.0} ms", session.transmit_ms),
            format!("{:.0} ms", session.detection_ms),
            session.echo_ms.map_or_else(dash, |echo| format!("{echo:.0} ms")),
            session
                .echo_ms
                .map_or_else(dash, |_| format!("{} of {}", session.echo_received, session.echo_sent)),
            session.sent.to_string(),
            session.received.to_string(),
            session.down_events.to_string(),
            if session.kept { "yes" } else { "no" }.to_owned(),
            session.diagnostic.to_string(),
        ]);
    }
    let unknown = status.unknown_packets;
    let unknown = (unknown > 0).then(|| format!("{unknown} packets belonged to no session"));
    screen(&table, &[], unknown.into_iter())
}

/// Returns a remark on the keeper.
fn keeper(keeper: &KeeperView) -> String {
    if keeper.connected {
        return format!("keeper: connected, holds {} sessions", keeper.held);
    }
    let error = keeper.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    format!("keeper: not connected{error}; a restart of the agent closes the sessions")
}

/// Returns a remark on a peer that has read nothing for a second or longer.
fn unread(session: &BgpSessionStatus) -> Option<String> {
    let seconds = session.unread_seconds.filter(|seconds| *seconds > 0)?;
    let left = time(session.given_up_seconds?);
    let peer = &session.peer;
    Some(format!("{peer}: the peer has read nothing for {}; the session is closed in {left}", time(seconds)))
}

fn screen(table: &Table, problems: &[String], remarks: impl Iterator<Item = String>) -> String {
    let mut screen = String::new();
    for problem in problems {
        let _ = writeln!(screen, "! {problem}");
    }
    let _ = writeln!(screen, "{table}");
    for (i, remark) in remarks.enumerate() {
        let gap = if i == 0 { "\n" } else { "" };
        let _ = writeln!(screen, "{gap}{remark}");
    }
    screen
}

fn place(address: IpAddr, vrf: Option<&str>) -> String {
    vrf.map_or_else(|| address.to_string(), |vrf| format!("{address}%{vrf}"))
}

/// Returns the prefixes advertised, and in parentheses those pending.
fn family(session: &BgpSessionStatus, name: &str) -> String {
    match session.families.get(name) {
        Some(family) if family.pending > 0 => format!("{} (+{})", family.announced, family.pending),
        Some(family) => family.announced.to_string(),
        None => dash(),
    }
}

fn last_error(session: &BgpSessionStatus) -> String {
    let error = session.last_error.clone().unwrap_or_else(dash);
    match session.next_attempt.filter(|_| session.state != "established") {
        Some(seconds) => format!("{error}; next attempt in {seconds} s"),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_down_session_shows_its_error_and_the_next_attempt() {
        let session = r#"{"peer":"tor","address":"192.0.2.1","port":179,"vrf":null,"state":"active","seconds":5,
            "local_asn":64512,"router_id":"10.0.0.1","connection":null,"agreed":null,"families":{},"unsendable":0,
            "unread_seconds":61,"given_up_seconds":419,"bfd":null,"last_error":"cannot connect: refused",
            "advice":"look at the port","next_attempt":7,
            "counters":{"sent":{"open":0,"update":0,"notification":0,"keepalive":0,"route_refresh":0},
            "received":{"open":0,"update":0,"notification":0,"keepalive":0,"route_refresh":0},
            "prefixes_received":0,"malformed":0,"connects":0,"established":0,"flaps":0}}"#;
        let answer = format!(
            r#"{{"sessions":[{session}],"unknown_connections":2,"problems":["no port"],"services":[],
            "keeper":{{"connected":true,"held":3,"pid":7,"version":"1","last_error":null}}}}"#
        );
        let screen = bgp(&serde_json::from_str(&answer).unwrap());
        assert!(screen.starts_with("! no port\n"), "{screen}");
        assert!(screen.contains("cannot connect: refused; next attempt in 7 s"), "{screen}");
        assert!(
            screen.contains(
                "\ntor: look at the port\n\
                 tor: the peer has read nothing for 1 min 1 s; the session is closed in 6 min 59 s\n\
                 2 connections from unconfigured addresses were closed\n\
                 keeper: connected, holds 3 sessions\n"
            ),
            "{screen}"
        );
    }
}
