//! `fairlead check` as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const POOL: &str = "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: a
  namespace: metallb-system
spec:
  addresses:
  - 192.0.2.0/24
";
const ADVERTISEMENT: &str = "\
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: a, namespace: metallb-system}
";
const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, ports: [{port: 80}]}
";
/// Of a kind that is none of ours.
const OTHER: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::with_prefix("fairlead-check-").unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn check(directory: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.current_dir(directory.path()).env_remove("FAIRLEAD_NAMESPACE");
    command.arg("check").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn what_is_right_is_summed_up_and_is_code_0() {
    let directory = directory(&[
        ("pool.yaml", POOL),
        ("deep/er/advertisement.yml", ADVERTISEMENT),
        ("service.yaml", &format!("{OTHER}---\n{SERVICE}")),
        ("README.md", "no: [manifest"),
    ]);
    let output = check(&directory, &["--strict", "."]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in ["shop/web", "192.0.2.0", "no errors, no warnings: 1 pool, no routers, 1 Service, no Nodes"]
    {
        assert!(text.contains(words), "{words} in\n{text}");
    }
}

#[test]
fn what_is_wrong_is_told_at_its_line_and_is_code_2() {
    let bad = POOL.replace("192.0.2.0/24", "192.0.2.0/24\n  - 192.0.2.300");
    let directory = directory(&[("pool.yaml", &bad), ("advertisement.yaml", ADVERTISEMENT)]);
    let output = check(&directory, &["pool.yaml", "advertisement.yaml"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let first = "pool.yaml:9: error: IPAddressPool metallb-system/a: spec.addresses[1]\n    \"192.0.2.300\" is neither";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("write 192.0.2.0/24"), "{text}");
}

#[test]
fn a_warning_is_code_1_only_where_it_counts() {
    let directory = directory(&[("pool.yaml", POOL)]);
    let codes = [&["pool.yaml"][..], &["--strict", "pool.yaml"]].map(|arguments| {
        let output = check(&directory, arguments);
        assert!(text(&output).contains("warning: IPAddressPool metallb-system/a"), "{}", text(&output));
        output.status.code()
    });
    assert_eq!(codes, [Some(0), Some(1)]);
}

#[test]
fn what_cannot_be_read_is_code_2_and_named() {
    let directory = directory(&[]);
    let output = check(&directory, &["none.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read none.yaml"));
}

#[test]
fn standard_input_is_read_and_json_is_written() {
    let directory = directory(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_fairlead"))
        .args(["check", "-o", "json", "--namespace", "other", "-"])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{POOL}---\n{ADVERTISEMENT}").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors = found["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert_eq!(errors[0]["label"], "other_namespace");
    assert_eq!((&errors[0]["source"], &errors[0]["line"]), (&"stdin".into(), &5.into()));
    assert_eq!(found["pools"][0]["usage"]["available_ipv4"], 256);
}
