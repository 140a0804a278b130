//! Sessions as one screen.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::Table;
use serde::Deserialize;

use super::announced::{self, Service};
use super::table::table;

/// What the screen shows of the agent's answer about BGP.
#[derive(Debug, Deserialize)]
pub(super) struct Bgp {
    sessions: Vec<BgpSession>,
    unknown_connections: u64,
    problems: Vec<String>,
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct BgpSession {
    peer: String,
    address: String,
    vrf: Option<String>,
    state: String,
    seconds: u64,
    agreed: Option<Agreed>,
    families: BTreeMap<String, Family>,
    unread_seconds: Option<u64>,
    given_up_seconds: Option<u64>,
    bfd: Option<bool>,
    last_error: Option<String>,
    #[serde(default)]
    advice: Option<String>,
    next_attempt: Option<u64>,
    counters: BgpCounters,
}

#[derive(Debug, Deserialize)]
struct Agreed {
    asn: u32,
    hold_time: u16,
}

#[derive(Debug, Deserialize)]
struct Family {
    announced: usize,
    pending: usize,
}

#[derive(Debug, Deserialize)]
struct BgpCounters {
    flaps: u64,
}

/// What the screen shows of the agent's answer about BFD.
#[derive(Debug, Deserialize)]
pub(super) struct Bfd {
    sessions: Vec<BfdSession>,
    unknown_packets: u64,
}

#[derive(Debug, Deserialize)]
struct BfdSession {
    peer: String,
    address: String,
    vrf: Option<String>,
    multihop: bool,
    state: String,
    seconds: u64,
    remote_state: String,
    transmit_ms: f64,
    detection_ms: f64,
    echo_ms: Option<f64>,
    echo_sent: u64,
    echo_received: u64,
    sent: u64,
    received: u64,
    down_events: u64,
    diagnostic: String,
}

/// The BGP sessions.
pub(super) fn bgp(shown: &Bgp) -> String {
    let header =
        ["PEER", "ADDRESS", "ASN", "STATE", "FOR", "HOLD", "BFD", "IPV4", "IPV6", "FLAPS", "LAST ERROR"];
    let mut table = table(header, &[2, 4, 5, 7, 8, 9]);
    for session in &shown.sessions {
        let agreed = session.agreed.as_ref();
        table.add_row([
            session.peer.clone(),
            place(&session.address, session.vrf.as_deref()),
            agreed.map_or_else(dash, |agreed| agreed.asn.to_string()),
            session.state.clone(),
            time(session.seconds),
            agreed.map_or_else(dash, |agreed| format!("{} s", agreed.hold_time)),
            session.bfd.map_or_else(dash, |up| if up { "up" } else { "down" }.to_owned()),
            family(session, "ipv4"),
            family(session, "ipv6"),
            session.counters.flaps.to_string(),
            last_error(session),
        ]);
    }
    let advice = shown
        .sessions
        .iter()
        .filter_map(|session| Some(format!("{}: {}", session.peer, session.advice.as_ref()?)));
    let unread = shown.sessions.iter().filter_map(unread);
    let strangers = shown.unknown_connections;
    let strangers = (strangers > 0).then(|| format!("{strangers} connections of strangers were closed"));
    let sessions = screen(&table, &shown.problems, advice.chain(unread).chain(strangers));
    format!("{sessions}\n{}", announced::services(&shown.services))
}

/// The BFD sessions.
pub(super) fn bfd(shown: &Bfd) -> String {
    let header = [
        "PEER",
        "ADDRESS",
        "HOPS",
        "STATE",
        "FOR",
        "REMOTE",
        "EVERY",
        "DETECTION",
        "ECHO",
        "BACK",
        "SENT",
        "RECEIVED",
        "DOWNS",
        "LAST DIAGNOSTIC",
    ];
    let mut table = table(header, &[4, 6, 7, 8, 9, 10, 11, 12]);
    for session in &shown.sessions {
        table.add_row([
            session.peer.clone(),
            place(&session.address, session.vrf.as_deref()),
            if session.multihop { "several" } else { "one" }.to_owned(),
            session.state.clone(),
            time(session.seconds),
            session.remote_state.clone(),
            format!("{:.0} ms", session.transmit_ms),
            format!("{:.0} ms", session.detection_ms),
            session.echo_ms.map_or_else(dash, |echo| format!("{echo:.0} ms")),
            session
                .echo_ms
                .map_or_else(dash, |_| format!("{} of {}", session.echo_received, session.echo_sent)),
            session.sent.to_string(),
            session.received.to_string(),
            session.down_events.to_string(),
            session.diagnostic.clone(),
        ]);
    }
    let unknown = shown.unknown_packets;
    let unknown = (unknown > 0).then(|| format!("{unknown} packets were of no session"));
    screen(&table, &[], unknown.into_iter())
}

/// A moment of it is nothing to be told of.
fn unread(session: &BgpSession) -> Option<String> {
    let seconds = session.unread_seconds.filter(|seconds| *seconds > 0)?;
    let left = time(session.given_up_seconds?);
    let peer = &session.peer;
    Some(format!(
        "{peer}: the router has read nothing for {}; the session is given up in {left}",
        time(seconds)
    ))
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

fn place(address: &str, vrf: Option<&str>) -> String {
    vrf.map_or_else(|| address.to_owned(), |vrf| format!("{address}%{vrf}"))
}

/// Prefixes told, and those still to be told.
fn family(session: &BgpSession, name: &str) -> String {
    match session.families.get(name) {
        Some(family) if family.pending > 0 => format!("{} (+{})", family.announced, family.pending),
        Some(family) => family.announced.to_string(),
        None => dash(),
    }
}

fn last_error(session: &BgpSession) -> String {
    let error = session.last_error.clone().unwrap_or_else(dash);
    match session.next_attempt.filter(|_| session.state != "established") {
        Some(seconds) => format!("{error}; next attempt in {seconds} s"),
        None => error,
    }
}

/// In two units at most.
fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_two_units_at_most() {
        let cases = [(59, "59 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")];
        for (seconds, said) in cases {
            assert_eq!(time(seconds), said);
        }
    }

    #[test]
    fn a_session_that_is_down_says_why_and_when_it_is_tried_again() {
        let session = r#"{"peer":"tor","address":"192.0.2.1","vrf":null,"state":"active","seconds":5,"agreed":null,
            "families":{},"unread_seconds":61,"given_up_seconds":419,"bfd":null,"last_error":"cannot connect: refused",
            "advice":"look at the port","next_attempt":7,
            "counters":{"flaps":0}}"#;
        let answer = format!(
            r#"{{"sessions":[{session}],"unknown_connections":2,"problems":["no port"],"services":[]}}"#
        );
        let screen = bgp(&serde_json::from_str(&answer).unwrap());
        assert!(screen.starts_with("! no port\n"), "{screen}");
        assert!(screen.contains("cannot connect: refused; next attempt in 7 s"), "{screen}");
        assert!(
            screen.contains(
                "\ntor: look at the port\n\
                 tor: the router has read nothing for 1 min 1 s; the session is given up in 6 min 59 s\n\
                 2 connections of strangers were closed\n"
            ),
            "{screen}"
        );
    }
}
