//! What the commands say on a machine where something is missing.

use std::process::{Command, Output};

fn fairlead(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_fairlead")).args(arguments).output()
}

#[test]
fn status_without_an_agent_tells_its_cause_once() {
    let output = fairlead(&["status", "--socket", "/nonexistent/agent.sock"]).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    assert!(
        told.contains("/nonexistent/agent.sock") && told.contains("is `fairlead agent` running"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn doctor_lists_all_that_is_unfit_with_what_to_do() {
    let output =
        fairlead(&["doctor", "--interface", "none0", "--interface", "none1", "--bpffs", "/nonexistent"])
            .unwrap();
    assert!(!output.status.success());
    let listed = String::from_utf8(output.stdout).unwrap();
    let unfit: Vec<_> = listed.lines().filter(|line| line.starts_with("unfit  ")).collect();
    for (what, advice) in
        [("\"none0\"", "an uplink that"), ("\"none1\"", "an uplink that"), ("/nonexistent", "mount -t bpf")]
    {
        assert!(unfit.iter().any(|line| line.contains(what) && line.contains(advice)), "{listed}");
    }
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("the {} lines", unfit.len())), "{told}");
}
