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
