//! `fairlead check` on manifests as they are found in guides, valid and invalid: each either passes, or is rejected with
//! a message that names object and field and says what to write instead.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The files, whether they pass, and words that the output must contain.
type Row = (&'static [&'static str], bool, &'static [&'static str]);

const ROWS: &[Row] = &[
    (&["layer2.yaml"], true, &["metallb-system/home", "20", "0 errors"]),
    (
        &["layer2.yaml", "layer2-service.yaml"],
        true,
        &["store/shop", "192.168.7.100 (new)", "metallb-system/home"],
    ),
    (&["layer2-service.yaml"], false, &["error: Service store/shop: there is no IPAddressPool", "1 error,"]),
    (&["bgp.yaml"], true, &["metallb-system/fabric", "leaf", "192.168.8.1", "64701"]),
    (&["bgp.yaml", "bgp-service.yaml"], true, &["store/api", "192.168.8.10 (new)"]),
    (&["layer2.yaml", "layer2-nodes.yaml"], true, &["2 L2Advertisement", "0 errors"]),
    (
        &["peer-restart.yaml"],
        false,
        &[
            "peer-restart.yaml:12: ",
            "BGPPeer metallb-system/quick: spec.gracefulRestart: ",
            "unknown field, which has no effect; did you mean enableGracefulRestart?",
        ],
    ),
    (&["profile.yaml"], true, &["1 BFDProfile", "0 errors"]),
    (
        &["profile-too-fast.yaml"],
        false,
        &["BFDProfile metallb-system/quickest: spec.receiveInterval: 5 is out of range; write 10 to 60000"],
    ),
    (&["peer-bfd.yaml", "profile.yaml"], true, &["watched", "10.7.0.2", "64703", "yes"]),
    (&["peer-bfd.yaml"], true, &["warning: ", "spec.bfdProfile: there is no valid BFDProfile quick"]),
    (
        &["bgp.yaml", "advertisement-no-export.yaml"],
        true,
        &[
            "warning: ",
            "BGPAdvertisement metallb-system/local: spec.communities[0]: ",
            "\"no-export\"; write its value, 65535:65281",
        ],
    ),
    (&["bgp.yaml", "advertisement-two-peers.yaml"], true, &["2 BGPAdvertisement", "0 errors"]),
    (
        &["whole.yaml"],
        false,
        &[
            "BGPPeer metallb-system/one: spec.gracefulRestart: ",
            "BGPPeer metallb-system/two: spec.gracefulRestart: ",
            "2 errors",
            "metallb-system/main",
            "101",
        ],
    ),
];

fn check(arguments: &[&str]) -> std::io::Result<Output> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.current_dir(directory).arg("check").args(arguments).output()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_manifest_passes_or_gets_advice_what_to_write_instead() {
    for (files, passes, words) in ROWS {
        let output = check(files).unwrap();
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(i32::from(!passes)), "{files:?}\n{text}");
        for word in *words {
            assert!(text.contains(word), "{files:?}: {word:?} is not in\n{text}");
        }
    }
}

#[test]
fn warnings_fail_with_strict() {
    assert_eq!(check(&["--strict", "peer-bfd.yaml"]).unwrap().status.code(), Some(1));
    assert_eq!(check(&["--strict", "peer-bfd.yaml", "profile.yaml"]).unwrap().status.code(), Some(0));
}

#[test]
fn a_directory_is_read_whole_and_printed_as_json() {
    let output = check(&["-o", "json", "."]).unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let names: Vec<_> = json["pools"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["metallb-system/fabric", "metallb-system/home", "metallb-system/main"]);
    let problems = json["problems"].as_array().unwrap().iter();
    let unknown_fields = problems.filter(|problem| problem["label"] == "no_such_field").count();
    assert_eq!(unknown_fields, 3);
}

/// Checks a text on standard input.
fn check_text(text: &str) -> std::io::Result<Output> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fairlead"))
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    child.wait_with_output()
}

/// The kind, its spec, the field that is reported, and a word of the message.
const TYPOS: &[(&str, &str, &str, &str)] = &[
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, ebgpMultihop: true",
        "spec.ebgpMultihop",
        "ebgpMultiHop?",
    ),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdprofile: fast",
        "spec.bfdprofile",
        "bfdProfile?",
    ),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, passwordsecret: {name: x}",
        "spec.passwordsecret",
        "passwordSecret?",
    ),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 'fe80::1'", "spec.peerAddress", "write the interface"),
    ("IPAddressPool", "addresses: [198.51.100.0/24], autoassign: false", "spec.autoassign", "autoAssign?"),
    ("IPAddressPool", "addresses: [198.51.100.010/32]", "spec.addresses[0]", "is neither a CIDR nor a range"),
    ("IPAddressPool", "addresses: [127.0.0.0/30]", "spec.addresses[0]", "127.0.0.0 is for loopback"),
    ("IPAddressPool", "addresses: ['::ffff:10.78.0.3/128']", "spec.addresses[0]", "IPv4-mapped"),
    ("BGPAdvertisement", "ipAddressPool: [p]", "spec.ipAddressPool", "ipAddressPools?"),
    ("BGPAdvertisement", "nodeselectors: [{matchLabels: {rack: a}}]", "spec.nodeselectors", "nodeSelectors?"),
    ("BGPAdvertisement", "community: [65535:65281]", "spec.community", "communities?"),
    ("BGPAdvertisement", "communities: [+64600:7]", "spec.communities[0]", "is not a community"),
    (
        "L2Advertisement",
        "nodeSelectors: [{matchLabel: {rack: a}}]",
        "spec.nodeSelectors[0].matchLabel",
        "matchLabels?",
    ),
    ("L2Advertisement", "interface: eth1", "spec.interface", "interfaces?"),
    (
        "L2Advertisement",
        "nodeSelectors: [{matchExpressions: [{key: two words, operator: Exists}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].key",
        "is not a valid label key",
    ),
    ("BFDProfile", "recieveInterval: 50", "spec.recieveInterval", "receiveInterval?"),
    ("BFDProfile", "minimumTTL: 250", "spec.minimumTTL", "minimumTtl?"),
    ("Service", "type: Loadbalancer", "spec.type", "is not one of ClusterIP"),
    ("Service", "externaltrafficPolicy: Local", "spec.externaltrafficPolicy", "externalTrafficPolicy?"),
];

#[test]
fn typos_are_reported_and_counted() {
    for (kind, spec, field, word) in TYPOS {
        let version = match *kind {
            "BGPPeer" => "metallb.io/v1beta2",
            "Service" => "v1",
            _ => "metallb.io/v1beta1",
        };
        let output = check_text(&format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, namespace: metallb-system}}\nspec: {{{spec}}}\n"
        )).unwrap();
        let text = stdout(&output);
        let line = format!("error: -:4: {kind} metallb-system/x: {field}: ");
        let message = text.lines().find(|it| it.starts_with(&line)).unwrap_or_default();
        assert!(message.contains(word) && text.contains(": 1 error, "), "{spec}\n{text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn objects_that_metallb_accepts_pass_and_yaml_is_read_as_kubectl_does() {
    let output = check_text(
        "\u{feff}---
{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: twice, namespace: metallb-system}, spec: {interfaces: [eth0, eth0]}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: fraction, namespace: metallb-system},
 spec: {myASN: 64600, peerASN: 64601, peerAddress: 192.0.2.1, holdTime: 3.5s}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPoolList, items: [
 {metadata: {name: length, namespace: metallb-system}, spec: {addresses: [198.51.100.0/028], autoAssign: no}},
 {metadata: {name: below, namespace: metallb-system}, spec: {addresses: [203.0.113.0/28], serviceAllocation: {priority: -1}}}]}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}
",
    ).unwrap();
    let text = stdout(&output);
    assert!(text.contains("1 BGPPeer, 2 IPAddressPool, 1 L2Advertisement: 0 errors"), "{text}");
    let length = text.lines().find(|line| line.trim_start().starts_with("metallb-system/length"));
    assert!(length.is_some_and(|line| line.split_whitespace().nth(3) == Some("no")), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn objects_in_a_namespace_that_agents_do_not_read_are_noted() {
    let of = |namespace: &str| {
        stdout(&check_text(&format!(
            "{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: x, namespace: {namespace}}}, \
             spec: {{addresses: [198.51.100.0/28]}}}}"
        )).unwrap())
    };
    assert!(of("default").contains("note: 1 metallb.io objects are in namespace default, "));
    assert!(!of("metallb-system").contains("note"));
}

#[test]
fn references_to_missing_objects_are_warnings() {
    let output = check_text(
        "{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: x, namespace: metallb-system}, \
         spec: {ipAddressPools: [none], peers: [none]}}",
    ).unwrap();
    let text = stdout(&output);
    for line in
        ["spec.ipAddressPools[0]: there is no IPAddressPool none", "spec.peers[0]: there is no BGPPeer none"]
    {
        assert!(text.contains(&format!("warning: -:1: BGPAdvertisement metallb-system/x: {line}")), "{text}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn objects_are_read_from_standard_input() {
    let output = check_text(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: x}\nspec: {addresses: [10.0.0.1]}\n",
    ).unwrap();
    assert!(
        stdout(&output).contains("-:4: IPAddressPool default/x: spec.addresses[0]: \"10.0.0.1\" is neither")
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_missing_file_is_named() {
    let output = check(&["none.yaml"]).unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot read none.yaml"), "{stderr}");
}
