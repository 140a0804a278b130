use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use lb_api::objects::parse;

use super::*;

const HERE: &str = "here";
const POOL: &str = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: a}, spec: {addresses: [10.0.0.0/24]}}";
const PEER: &str = "{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: p}, spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, password: inline}}";
const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: s}, type: kubernetes.io/basic-auth, stringData: {password: hidden}}";

fn snapshot(documents: &[&str]) -> Snapshot {
    let (objects, problems) = parse("a.yaml", &documents.join("\n---\n"));
    Snapshot { objects: objects.into_iter().map(Arc::new).collect(), problems }
}

/// Runs an agent on these documents until it is killed. Returns its pools and peers, and the labels of its
/// problems.
fn run(path: &Path, documents: &[&str]) -> (Vec<String>, Vec<&'static str>) {
    let mut file = LastGoodFile::at(path.to_path_buf(), HERE.into());
    file.read(true);
    let mut snapshot = snapshot(documents);
    file.complete(&mut snapshot);
    let before = file.recall(&snapshot.objects).unwrap();
    let (model, problems) = Model::after(&before, &snapshot.objects, None);
    snapshot.problems.extend(problems);
    file.note(&snapshot.objects, &snapshot.problems, &model);
    let pools = model.pools.iter().map(|(name, _)| name.name.clone());
    let labels = snapshot.problems.iter().map(Problem::label).collect();
    (pools.chain(model.bgp.peers.keys().cloned()).collect(), labels)
}

#[test]
fn the_next_agent_has_the_last_known_good_configuration() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("last-good.json");
    run(&path, &[POOL, PEER, SECRET]);
    let wrong = [POOL.replace("/24", "/33"), PEER.replace("myASN: 1", "myASN: one")];
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    for _ in 0..2 {
        let (names, labels) = run(&path, &wrong);
        assert_eq!(names, ["a", "p"]);
        assert_eq!(labels, ["bad_field", "stays_as_before", "not_a_range", "stays_as_before"]);
    }
    assert_eq!(run(&path, &wrong[1..]).0, ["p"]);
    assert_eq!(run(&path, &wrong).0, ["p"]);
    assert_eq!(run(&path, &[]).0, [""; 0]);
    assert_eq!(run(&path, &wrong).0, [""; 0]);
}

#[test]
fn the_file_is_readable_by_root_only_and_holds_no_secret() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("last-good.json");
    // An agent that was killed while writing left a file that others may read.
    fs::write(path.with_extension("json.draft"), "{").unwrap();
    run(&path, &[POOL, PEER, SECRET]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("inline") && !text.contains("hidden"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn the_file_is_written_only_when_the_valid_objects_change() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("last-good.json");
    run(&path, &[POOL, PEER]);
    // A rewritten file is another inode than this name's.
    fs::hard_link(&path, place.path().join("kept")).unwrap();
    run(&path, &[POOL, PEER, SECRET]);
    run(&path, &[POOL, &PEER.replace("myASN: 1", "myASN: one")]);
    run(&path, &[POOL, PEER]);
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
    run(&path, &[POOL]);
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
}

#[test]
fn an_unusable_file_does_not_prevent_a_start_and_is_rewritten() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("last-good.json");
    run(&path, &[POOL]);
    let right = fs::read(&path).unwrap();
    let wrong = POOL.replace("/24", "/33");
    let truncated = &right[..right.len() / 2];
    let later = br#"{"format":2,"objects":{"all":"different"}}"#;
    let odd = br#"{"format":1,"origin":"here","objects":[7]}"#;
    let cut = br#"{"format":"#;
    for content in [b"".as_slice(), truncated, cut, later, odd] {
        fs::write(&path, content).unwrap();
        let mut file = LastGoodFile::at(path.clone(), HERE.into());
        file.read(true);
        assert_eq!(file.accepted, LastGood::default());
        assert_eq!(run(&path, &[&wrong]).0, [""; 0]);
        assert_eq!(run(&path, &[POOL]).0, ["a"]);
        assert_eq!(fs::read(&path).unwrap(), right);
    }
}

#[test]
fn a_file_of_another_program_does_not_prevent_a_start_and_is_left_alone() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("config.yaml");
    for content in [b"\xff\x00".as_slice(), b"[]", b"{}", b"format: 1", b"{\"kind\":\"List\"}"] {
        fs::write(&path, content).unwrap();
        for _ in 0..2 {
            assert_eq!(run(&path, &[POOL]).0, ["a"]);
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_path_that_is_not_a_regular_file_is_neither_read_nor_waited_for() {
    let place = tempfile::TempDir::new().unwrap();
    let directory = place.path().join("directory");
    fs::create_dir(&directory).unwrap();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let nowhere = place.path().join("nowhere/last-good.json");
    let long = place.path().join("long");
    fs::File::create(&long).unwrap().set_len(1 << 40).unwrap();
    for path in [&directory, &pipe, &nowhere, &long] {
        assert_eq!(run(path, &[POOL]).0, ["a"], "{}", path.display());
    }
    assert!(directory.is_dir() && !nowhere.exists());
    assert_eq!(fs::metadata(long).unwrap().len(), 1 << 40);
    assert!(!fs::metadata(pipe).unwrap().is_file());
}

#[test]
fn an_invalid_object_in_the_file_affects_only_itself() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("last-good.json");
    run(&path, &[POOL, PEER]);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"myASN\":1", "\"myASN\":\"one\"")).unwrap();
    let wrong = [POOL.replace("/24", "/33"), PEER.replace("myASN: 1", "myASN: one")];
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    assert_eq!(run(&path, &wrong).0, ["a"]);
}

#[test]
fn a_failed_write_is_retried() {
    let place = tempfile::TempDir::new().unwrap();
    let directory = place.path().join("later");
    let path = directory.join("last-good.json");
    let mut file = LastGoodFile::at(path.clone(), HERE.into());
    let Snapshot { objects, problems } = snapshot(&[POOL]);
    let (model, _) = Model::build(&objects, None);
    file.note(&objects, &problems, &model);
    assert!(file.failure.is_some());
    fs::create_dir(directory).unwrap();
    file.note(&objects, &problems, &model);
    assert!(file.failure.is_none() && path.exists());
}

#[test]
fn the_file_of_another_cluster_is_ignored() {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("last-good.json");
    run(&path, &[POOL]);
    let mut file = LastGoodFile::at(path.clone(), "elsewhere".into());
    file.read(true);
    assert_eq!(file.accepted, LastGood::default());
    assert_eq!(run(&path, &[&POOL.replace("/24", "/33")]).0, ["a"]);
}
