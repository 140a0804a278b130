//! `fairlead keeper` as a process of its own, started by its client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, also in its helpers")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lb_keeper::journal::Journal;
use lb_keeper::{ClientOptions, KeeperClient, SpawnOptions, Stream, StreamTerms, position};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairlead");

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_starts_a_keeper_that_survives_it_and_exits_when_it_is_idle() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("keeper.sock");
    let spawn = Some(SpawnOptions {
        program: Some(PathBuf::from(PROGRAM)),
        bound: Duration::from_secs(1),
        arguments: Vec::new(),
    });
    let start = || {
        let options = ClientOptions { spawn: spawn.clone(), release: "test".to_owned() };
        KeeperClient::start(socket.clone(), options).unwrap()
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut peer = listener.accept().unwrap().0;
    let mut journal = Journal::create(position::written(&ours).unwrap(), b"").unwrap();
    let terms = StreamTerms {
        keepalive: Some(Duration::from_millis(100)),
        keepalive_octets: b"k".to_vec(),
        farewell: b"bye".to_vec(),
        ..StreamTerms::default()
    };
    let agent = start();
    until("connected", || agent.status().connected);
    let pid = agent.status().pid;
    assert!(pid.is_some_and(|pid| pid != std::process::id()));
    let duplicate = OwnedFd::from(ours.try_clone().unwrap());
    let file = journal.file().try_clone_to_owned().unwrap();
    agent.hold(Stream { name: "tor".to_owned(), socket: duplicate, journal: file, terms });
    until("held", || agent.status().held == 1);
    journal.append(b"hello").unwrap();
    ours.write_all(b"he").unwrap();
    drop((agent, ours, journal));
    let mut rest = String::new();
    peer.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("hellokkk") && rest.ends_with("bye"), "{rest}");
    drop(peer);
    until("gone", || !socket.exists());
    // The next one is another process.
    let agent = start();
    until("connected", || agent.status().connected);
    assert_ne!(agent.status().pid, pid);
}

#[test]
fn a_signal_stops_the_keeper_and_removes_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("keeper.sock");
    let mut keeper = Command::new(PROGRAM)
        .args(["keeper", "--socket"])
        .arg(&socket)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("listening", || socket.exists());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(keeper.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(keeper.wait().unwrap().success());
    assert!(!socket.exists());
}
