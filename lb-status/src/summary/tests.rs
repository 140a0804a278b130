//! Tests of the summary.

use serde_json::{Value, json};

use super::*;
use crate::overview::Overview;

/// The status of a well node `n1` with one other node, one Service and one router, as an agent serves it.
const WELL: &str = r#"{
    "summary": {"well": true, "findings": [], "areas": []},
    "node": "n1", "version": "0.1.0", "ready": true, "turns": 7, "liveness_limit": 12, "draining": false,
    "interfaces": [{"interface": "eth0", "mode": "native"}], "last": {"operations": 3, "microseconds": 1500},
    "services": [{
        "service": {"namespace": "shop", "name": "web"}, "policy": "Cluster", "affinity": false,
        "vips": [{"address": "192.0.2.1", "port": 80, "protocol": "TCP", "number": 4, "announcer": "n1",
            "source_ranges": null, "ring": {"first": 0, "slots": 512, "keeping": [],
                "members": [{"node": "n1", "weight": 1}, {"node": "n2", "weight": 1}]}}]
    }],
    "nodes": [
        {"name": "n1", "index": 1, "id": 1, "address": "10.0.0.1", "way": "self", "is_self": true,
            "draining": false, "drain": null, "excluded": null},
        {"name": "n2", "index": 2, "id": 2, "address": "10.0.0.2", "way": "l2", "is_self": false,
            "draining": false, "drain": null, "excluded": null}
    ],
    "problems": [],
    "outcomes": [{"name": "local", "dropped": false, "packets": 90}, {"name": "bad_tag", "dropped": true, "packets": 0}],
    "vip_traffic": [{"number": 4, "packets": 100, "bytes": 6000, "source_refused": 0}],
    "node_traffic": [{"number": 1, "packets": 0, "bytes": 0}, {"number": 2, "packets": 40, "bytes": 2400}],
    "liveness": [{"number": 2, "state": "alive", "silent_ms": 20}], "flows": {"owned": 5, "delegated": 1},
    "bgp": {
        "sessions": [{
            "peer": "tor", "address": "192.0.2.254", "port": 179, "vrf": null, "state": "established", "seconds": 60,
            "local_asn": 64512, "router_id": "10.0.0.1", "connection": null, "agreed": null, "families": {},
            "unsendable": 0, "unread_seconds": null, "given_up_seconds": null, "bfd": true, "last_error": null,
            "next_attempt": null, "counters": {
                "sent": {"open": 1, "update": 1, "notification": 0, "keepalive": 9, "route_refresh": 0},
                "received": {"open": 1, "update": 1, "notification": 0, "keepalive": 9, "route_refresh": 0},
                "prefixes_received": 0, "malformed": 0, "connects": 1, "established": 1, "flaps": 0}
        }],
        "unknown_connections": 0, "problems": [], "keeper": null,
        "services": [{"namespace": "shop", "name": "web", "peers": ["tor"], "addresses": ["192.0.2.1"],
            "silent": null, "reason": null}]
    },
    "bfd": {"unknown_packets": 0, "sessions": [{
        "peer": "tor", "address": "192.0.2.254", "vrf": null, "multihop": false, "state": "Up", "seconds": 60,
        "diagnostic": "No Diagnostic", "remote_state": "Up", "transmit_ms": 50.0, "detection_ms": 150.0,
        "echo_ms": null, "echo_sent": 0, "echo_received": 0, "sent": 9, "received": 9, "up_events": 1,
        "down_events": 0, "kept": true, "refused": {}
    }]},
    "l2": {"node": "n1", "standing": "stable", "addresses": [], "announcements": 0, "defended": 0}
}"#;

/// Returns [`WELL`], to be changed.
pub(crate) fn well() -> Value {
    serde_json::from_str(WELL).unwrap()
}

/// The overview with the summary of this status.
pub(crate) fn overview(status: &Value) -> Overview {
    let mut overview: Overview = serde_json::from_value(status.clone()).unwrap();
    overview.summary = Summary::new(&overview.status, &overview.bgp, &overview.bfd, &overview.l2);
    overview
}

fn summary_with(change: impl FnOnce(&mut Value)) -> Summary {
    let mut status = well();
    change(&mut status);
    overview(&status).summary
}

/// The only finding.
fn finding(summary: &Summary) -> (FindingSeverity, &str) {
    assert_eq!(summary.findings.len(), 1, "{summary:?}");
    (summary.findings[0].severity, &summary.findings[0].text)
}

#[test]
fn a_well_node_has_no_findings_and_a_line_for_each_area_in_use() {
    let summary = summary_with(|_| {});
    assert!(summary.well && summary.findings.is_empty(), "{summary:?}");
    let lines: Vec<_> = summary.areas.iter().map(|it| format!("{}: {}", it.area.title(), it.text)).collect();
    assert_eq!(
        lines,
        [
            "agent: ready, uplinks eth0 (native), plan 7: 3 operations in 1.5 ms",
            "nodes: 1 other node: 1 alive",
            "Services: 1 Service, 1 VIP",
            "BGP: 1 of 1 session up, 1 of 1 Service advertised",
            "BFD: 1 of 1 session up, 1 kept by the program",
            "packets: 90 seen, 0 dropped; flows: 5 owned, 1 delegated",
        ]
    );
}

#[test]
fn a_dead_node_is_a_problem() {
    let summary =
        summary_with(|it| it["liveness"][0] = json!({"number": 2, "state": "dead", "silent_ms": 61_000}));
    assert!(!summary.well);
    let expected = "1 node is dead: n2 (10.0.0.2, last answer 1 min 1 s ago)";
    assert_eq!(finding(&summary), (FindingSeverity::Problem, expected));
}

#[test]
fn a_node_that_says_that_it_drains_is_a_notice() {
    let summary = summary_with(|it| it["liveness"][0]["state"] = json!("draining"));
    assert!(summary.well);
    assert_eq!(finding(&summary), (FindingSeverity::Notice, "node n2 is draining"));
}

#[test]
fn a_session_that_is_not_established_is_a_problem_with_its_cause_and_advice() {
    let summary = summary_with(|it| {
        let session = &mut it["bgp"]["sessions"][0];
        session["state"] = json!("active");
        session["last_error"] = json!("cannot connect: refused");
        session["advice"] = json!("look at the port");
    });
    let expected = "no BGP session with tor (192.0.2.254): active for 1 min 0 s; cannot connect: refused; look at the port";
    assert_eq!(finding(&summary), (FindingSeverity::Problem, expected));
    let summary = summary_with(|it| it["bfd"]["sessions"][0]["state"] = json!("Down"));
    assert_eq!(finding(&summary).0, FindingSeverity::Problem);
    let summary = summary_with(|it| it["bfd"]["sessions"][0]["state"] = json!("AdminDown"));
    assert!(summary.well, "an operator has shut it down: {summary:?}");
}

#[test]
fn a_node_that_is_not_ready_and_its_problems_come_before_notices() {
    let summary = summary_with(|it| {
        it["draining"] = json!(true);
        it["ready"] = json!(false);
        it["problems"] = json!(["no node announces 192.0.2.1; see `fairlead status l2`"]);
    });
    let severities: Vec<_> = summary.findings.iter().map(|it| it.severity).collect();
    assert_eq!(severities, [FindingSeverity::Problem, FindingSeverity::Problem, FindingSeverity::Notice]);
    assert!(summary.findings[0].text.contains("not ready") && summary.findings[2].text.contains("draining"));
}

#[test]
fn a_service_that_is_not_advertised_is_a_notice_unless_bgp_is_not_used() {
    let silence = |it: &mut Value| {
        it["bgp"]["services"][0]["silent"] = json!("noEndpoints");
        it["bgp"]["services"][0]["reason"] = json!("no endpoint is serving");
    };
    let summary = summary_with(silence);
    assert!(summary.well);
    let expected = "not advertised, no endpoint is serving: 1 Service: shop/web";
    assert_eq!(finding(&summary), (FindingSeverity::Notice, expected));
    let summary = summary_with(|it| {
        silence(it);
        it["bgp"]["sessions"] = json!([]);
    });
    assert!(summary.findings.is_empty(), "{summary:?}");
}
