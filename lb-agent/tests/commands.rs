//! Errors of the commands on a machine where something is missing.

use std::process::{Command, Output};

fn fairlead(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_fairlead")).args(arguments).output()
}

#[test]
fn status_without_an_agent_prints_the_cause_once() {
    let output = fairlead(&["status", "--socket", "/nonexistent/agent.sock"]).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(stderr.matches("No such file").count(), 1, "{stderr}");
    assert!(
        stderr.contains("/nonexistent/agent.sock") && stderr.contains("is `fairlead agent` running"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn doctor_lists_all_failed_checks_with_advice() {
    let output =
        fairlead(&["doctor", "--interface", "none0", "--interface", "none1", "--bpffs", "/nonexistent"])
            .unwrap();
    assert!(!output.status.success());
    let listed = String::from_utf8(output.stdout).unwrap();
    let failed: Vec<_> = listed.lines().filter(|line| line.starts_with("failed  ")).collect();
    for (what, advice) in
        [("\"none0\"", "an uplink that"), ("\"none1\"", "an uplink that"), ("/nonexistent", "mount -t bpf")]
    {
        assert!(failed.iter().any(|line| line.contains(what) && line.contains(advice)), "{listed}");
    }
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("{} of the checks failed", failed.len())), "{stderr}");
}

#[test]
fn a_dry_run_lists_all_failed_checks_and_what_the_objects_mean() {
    let directory = tempfile::tempdir().unwrap();
    let (source, run) = (directory.path().join("objects"), directory.path().join("run"));
    std::fs::create_dir(&source).unwrap();
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}";
    let peer = "{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor, namespace: metallb-system}, \
                spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.254}}";
    std::fs::write(source.join("objects.yaml"), format!("{node}\n---\n{peer}\n")).unwrap();
    let [source, socket] = [&source, &run.join("agent.sock")].map(|path| path.to_str().unwrap().to_owned());
    let arguments = ["agent", "--dry-run", "--node", "n1", "--interface", "none0", "--bpffs", "/nonexistent"];
    let output = fairlead(&[&arguments[..], &["--source", &source, "--socket", &socket]].concat()).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for expected in
        ["failed  no interface \"none0\"", "mount -t bpf", "no such interface", "tor", "192.0.2.254"]
    {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    assert!(!run.exists(), "a dry run creates nothing");
}

#[test]
fn the_output_format_of_an_agent_is_that_of_a_dry_run() {
    let output = fairlead(&["agent", "--node", "n1", "-o", "json"]).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("--dry-run"), "{stderr}");
}

#[test]
fn check_of_a_status_fails_without_an_agent() {
    let output = fairlead(&["status", "--check", "--socket", "/nonexistent/agent.sock"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let output = fairlead(&["status", "bgp", "--check"]).unwrap();
    assert_eq!(output.status.code(), Some(2), "it checks everything");
}

#[test]
fn why_names_an_agent_that_does_not_answer_and_exits_with_two() {
    let socket = ["--socket", "/nonexistent/agent.sock"];
    let output = fairlead(&[&["why", "shop/web"][..], &socket].concat()).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("first broken link: agent\ncause: cannot connect to the agent"), "{text}");
    let output = fairlead(&[&["why", "192.0.2.1:80", "-o", "yaml"][..], &socket].concat()).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cause: agent_not_answering"), "{text}");
    let output = fairlead(&[&["doctor", "--reboot-safe", "n2"][..], &socket].concat()).unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn doctor_names_each_check_and_the_line_to_run_in_json() {
    let output = fairlead(&["doctor", "--interface", "lo", "--bpffs", "/nonexistent", "-o", "json"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(findings["fit"], false, "{text}");
    let checks = findings["checks"].as_array().unwrap();
    let states: Vec<_> = checks.iter().map(|check| check["state"].as_str().unwrap()).collect();
    assert_eq!(states[0], "failed", "{text}");
    for name in
        ["preconditions", "rp_filter", "MTU", "offloads", "ip_forward", "RLIMIT_NOFILE", "ports", "agent"]
    {
        assert!(checks.iter().any(|check| check["name"] == name), "{name}: {text}");
    }
    let is_advised = |check: &serde_json::Value| check["state"] != "warning" || check["run"].is_string();
    assert!(checks.iter().all(is_advised), "{text}");
}
