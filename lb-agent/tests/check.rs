//! `fairlead check` over manifests as they are found in guides, right and wrong: each either works, or is refused
//! with a message that names object and field and says what to write instead.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Files, and whether something is wrong with them; words that must be in what is printed.
type Row = (&'static [&'static str], bool, &'static [&'static str]);

const ROWS: &[Row] = &[
    (&["layer2.yaml"], true, &["metallb-system/home", "20", "0 wrong"]),
    (
        &["layer2.yaml", "layer2-service.yaml"],
        true,
        &["store/shop", "192.168.7.100 (new)", "metallb-system/home"],
    ),
    (&["layer2-service.yaml"], false, &["Service store/shop: there is no IPAddressPool"]),
    (&["bgp.yaml"], true, &["metallb-system/fabric", "leaf", "192.168.8.1", "64701"]),
    (&["bgp.yaml", "bgp-service.yaml"], true, &["store/api", "192.168.8.10 (new)"]),
    (&["layer2.yaml", "layer2-nodes.yaml"], true, &["2 L2Advertisement", "0 wrong"]),
    (
        &["peer-restart.yaml"],
        false,
        &[
            "peer-restart.yaml:12: ",
            "BGPPeer metallb-system/quick: spec.gracefulRestart: ",
            "unknown field, which has no effect; did you mean enableGracefulRestart?",
        ],
    ),
    (&["profile.yaml"], true, &["1 BFDProfile", "0 wrong"]),
    (
        &["profile-too-fast.yaml"],
        false,
        &[
            "BFDProfile metallb-system/quickest: spec.receiveInterval: 5 is not allowed here; allowed is 10 to 60000",
        ],
    ),
    (&["peer-bfd.yaml", "profile.yaml"], true, &["watched", "10.7.0.2", "64703", "yes"]),
    (&["peer-bfd.yaml"], true, &["waits", "spec.bfdProfile: there is no valid BFDProfile quick"]),
    (
        &["bgp.yaml", "advertisement-no-export.yaml"],
        true,
        &[
            "waits",
            "BGPAdvertisement metallb-system/local: spec.communities[0]: ",
            "\"no-export\"; write its value, 65535:65281",
        ],
    ),
    (&["bgp.yaml", "advertisement-two-peers.yaml"], true, &["2 BGPAdvertisement", "0 wrong"]),
    (
        &["whole.yaml"],
        false,
        &[
            "BGPPeer metallb-system/one: spec.gracefulRestart: ",
            "BGPPeer metallb-system/two: spec.gracefulRestart: ",
            "2 wrong",
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

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_manifest_works_or_is_told_what_to_write_instead() {
    for (files, right, words) in ROWS {
        let output = check(files).unwrap();
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(i32::from(!right)), "{files:?}\n{text}");
        for word in *words {
            assert!(text.contains(word), "{files:?}: {word:?} is not in\n{text}");
        }
    }
}

#[test]
fn what_only_waits_fails_when_that_is_asked_for() {
    assert_eq!(check(&["--strict", "peer-bfd.yaml"]).unwrap().status.code(), Some(1));
    assert_eq!(check(&["--strict", "peer-bfd.yaml", "profile.yaml"]).unwrap().status.code(), Some(0));
}

#[test]
fn a_directory_is_read_whole_and_programs_get_json() {
    let output = check(&["-o", "json", "."]).unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let names: Vec<_> = told["pools"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["metallb-system/fabric", "metallb-system/home", "metallb-system/main"]);
    let fields = told["problems"].as_array().unwrap().iter();
    let wrong = fields.filter(|problem| problem["label"] == "no_such_field").count();
    assert_eq!(wrong, 3);
}

#[test]
fn objects_come_from_standard_input_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fairlead"))
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = b"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: x}\nspec: {addresses: [10.0.0.1]}\n";
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        printed(&output).contains("-:4: IPAddressPool default/x: spec.addresses[0]: \"10.0.0.1\" is neither")
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() {
    let output = check(&["none.yaml"]).unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("cannot read none.yaml"), "{told}");
}
