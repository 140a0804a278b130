//! The keeper with real sockets: agents that die, are replaced and come back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, also in its helpers")]

mod kept;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use kept::{AgentEnd, KEEPALIVE, PeerEnd, TestKeeper, stream, until};
use lb_keeper::dismiss_all;
use lb_keeper::journal::JournalError;
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(60);
const NONE: Duration = Duration::from_millis(100);

/// Returns the peer of a stream whose agent has handed it over and died.
async fn left_stream(keeper: &TestKeeper) -> PeerEnd {
    let (ours, peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    drop((agent, ours));
    peer
}

#[tokio::test]
async fn a_stream_goes_from_a_dead_agent_to_its_successor_without_a_gap() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let (mut ours, mut peer) = stream();
    let agent = keeper.agent().await;
    assert!(agent.hold(ours.duplicates("tor", false)));
    // Killed in the middle of a message.
    ours.journal.append(b"hello").unwrap();
    ours.socket.write_all(b"he").unwrap();
    drop((agent, ours));
    peer.expect(b"hellokkk");

    let successor = keeper.agent().await;
    assert_eq!(successor.names().await, BTreeSet::from(["tor".to_owned()]));
    assert!(successor.claim("other").await.is_none());
    let claimed = successor.claim("tor").await.unwrap();
    assert_eq!(claimed.terms.state, b"state");
    assert!(successor.names().await.is_empty() && successor.is_keeping());
    let mut ours = AgentEnd::of(claimed);
    let more = peer.until_silent();
    assert!(more.bytes().all(|octet| octet == b'k'), "{more}");
    assert_eq!(ours.journal.stream().unwrap(), format!("hellokkk{more}").as_bytes());
    ours.write(b"again");
    peer.expect(b"again");
    successor.release("tor");
    drop((successor, ours));
    assert_eq!(peer.rest(), "");
}

#[tokio::test]
async fn an_agent_that_dies_at_once_has_handed_its_streams_over() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let mut peers = Vec::new();
    let agent = keeper.agent().await;
    for nth in 0..50 {
        let (mut ours, peer) = stream();
        ours.journal.append(b"unsent").unwrap();
        assert!(agent.hold(ours.duplicates(&nth.to_string(), false)));
        peers.push(peer);
    }
    // Its replies are unread.
    drop(agent);
    for peer in &mut peers {
        peer.expect(b"unsentk");
    }
}

#[tokio::test]
async fn after_the_bound_the_peer_gets_the_farewell() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, 4 * KEEPALIVE);
    let (mut ours, mut peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", true));
    ours.write(b"hello");
    // What the peer has sent must not turn the farewell into a reset.
    peer.0.write_all(b"unread").unwrap();
    let start = Instant::now();
    drop((agent, ours));
    let rest = peer.rest();
    let keepalives = rest.strip_prefix("hello").and_then(|rest| rest.strip_suffix("bye")).unwrap();
    assert!((2..=5).contains(&keepalives.len()) && keepalives.bytes().all(|it| it == b'k'), "{rest}");
    let took = start.elapsed();
    assert!(took >= 4 * KEEPALIVE && took < 8 * KEEPALIVE, "{took:?}");
    assert!(keeper.agent().await.names().await.is_empty());
}

#[tokio::test]
async fn a_stream_that_its_peer_has_closed_is_not_offered() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let mut peer = left_stream(&keeper).await;
    peer.expect(b"k");
    peer.0.write_all(b"NOTIFICATION").unwrap();
    drop(peer);
    tokio::time::sleep(NONE).await;
    assert!(keeper.agent().await.names().await.is_empty());
}

#[tokio::test]
async fn unclaimed_streams_are_kept_for_a_connected_agent_until_it_dismisses_them() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, 2 * KEEPALIVE);
    let (ours, mut peer) = stream();
    let (other, mut other_peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    agent.hold(other.duplicates("spine", false));
    drop((agent, ours, other));
    let successor = keeper.agent().await;
    peer.expect(b"kkkkkk");
    let claimed = successor.claim("spine").await.unwrap();
    successor.dismiss_unclaimed();
    let rest = peer.rest();
    assert!(rest.ends_with("bye"), "{rest}");
    let more = other_peer.until_silent();
    assert!(!more.contains("bye"), "{more}");
    drop(claimed);
}

#[tokio::test]
async fn all_streams_of_an_agent_without_a_successor_can_be_ended_at_once() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let (ours, mut peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    until("held", || agent.status().held == 1).await;
    drop((agent, ours));
    assert!(dismiss_all(&keeper.socket, "test").unwrap());
    let rest = peer.rest();
    assert!(rest.ends_with("bye"), "{rest}");
    assert!(keeper.agent().await.names().await.is_empty());
    assert!(!dismiss_all(&directory.path().join("none.sock"), "test").unwrap(), "no keeper listens");
}

#[tokio::test]
async fn a_second_agent_replaces_the_first_which_cannot_write_any_more() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let (mut ours, mut peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    ours.write(b"first");
    until("confirmed", || agent.is_keeping()).await;
    let successor = keeper.agent().await;
    tokio::time::timeout(Duration::from_secs(5), agent.replaced()).await.unwrap();
    assert!(!agent.is_keeping() && agent.status().replaced);
    assert!(matches!(ours.journal.append(b"stale"), Err(JournalError::Fenced)));
    let mut theirs = AgentEnd::of(successor.claim("tor").await.unwrap());
    theirs.write(b"second");
    // The first one goes, and closes its duplicates.
    drop((agent, ours));
    let all = peer.until_silent();
    assert_eq!(all.replace('k', ""), "firstsecond");
    assert_eq!(theirs.journal.stream().unwrap(), all.as_bytes());
}

/// An agent of another release, by hand.
fn raw_agent(keeper: &TestKeeper, messages: &[&str]) -> Vec<String> {
    let mut socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    socket.connect(&SockAddr::unix(&keeper.socket).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for message in messages {
        socket.send(message.as_bytes()).unwrap();
    }
    let mut replies = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok(octets @ 1..) = socket.read(&mut buffer) {
        replies.push(String::from_utf8_lossy(&buffer[..octets]).into_owned());
    }
    replies
}

#[tokio::test]
async fn without_a_common_version_all_streams_part() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let (ours, mut peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", true));
    drop((agent, ours));
    peer.expect(b"k");
    let hello = r#"{"type":"hello","versions":{"least":98,"most":99},"release":"9.9"}"#;
    let replies = raw_agent(&keeper, &[hello]);
    assert!(replies.len() == 1 && replies[0].contains("refused"), "{replies:?}");
    assert!(peer.rest().ends_with("bye"));
    assert!(keeper.agent().await.names().await.is_empty());
}

#[tokio::test]
async fn a_malformed_message_costs_the_connection_and_no_stream() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let mut peer = left_stream(&keeper).await;
    peer.expect(b"k");
    let hello = r#"{"type":"hello","versions":{"least":1,"most":1},"release":"1"}"#;
    let hold = r#"{"type":"hold","name":"x","terms":{"keepalive":null,"keepalive_octets":"","farewell":"","restartable":false,"state":""}}"#;
    for garbage in ["{", "17", r#"{"type":"new"}"#, &"x".repeat(100_000), hello] {
        let replies = raw_agent(&keeper, &[hello, hold, garbage]);
        assert!(replies[0].contains("welcome") && replies[1].contains("tor"), "{replies:?}");
        assert!(replies[3].contains("rejected") && replies.len() == 4, "{replies:?}");
    }
    assert_eq!(raw_agent(&keeper, &[hold]), [""; 0], "before hello");
    assert!(keeper.agent().await.claim("tor").await.is_some());
}

#[tokio::test]
async fn a_connection_that_says_nothing_replaces_no_agent() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let agent = keeper.agent().await;
    assert_eq!(raw_agent(&keeper, &[]), [""; 0], "closed after a while");
    assert!(agent.is_keeping());
}

#[tokio::test]
async fn a_stopped_keeper_leaves_the_streams_to_its_agent() {
    let directory = TempDir::new().unwrap();
    let mut keeper = TestKeeper::start(&directory, BOUND);
    let (mut ours, mut peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    keeper.stop();
    until("leaving", || agent.status().leaving).await;
    assert!(!agent.is_keeping());
    let took = keeper.join();
    assert!(took < Duration::from_secs(1), "{took:?}");
    ours.write(b"still here");
    peer.expect(b"still here");
    assert_eq!(peer.until_silent(), "");
    // The next keeper gets them.
    let keeper = TestKeeper::start(&directory, BOUND);
    until("kept again", || agent.is_keeping() && agent.status().held == 1).await;
    drop((agent, ours));
    peer.expect(b"kk");
    drop(keeper);
}

#[tokio::test]
async fn a_stopped_keeper_without_an_agent_ends_its_streams() {
    let directory = TempDir::new().unwrap();
    let mut keeper = TestKeeper::start(&directory, BOUND);
    let (ours, mut peer) = stream();
    let (restartable, mut restart_peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    agent.hold(restartable.duplicates("spine", true));
    drop((agent, ours, restartable));
    for peer in [&mut peer, &mut restart_peer] {
        peer.expect(b"k");
    }
    keeper.stop();
    assert!(peer.rest().ends_with("bye"));
    assert!(!restart_peer.rest().contains("bye"), "the peer would not wait for the restart");
    drop((peer, restart_peer));
    let took = keeper.join();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_second_keeper_waits_for_the_first() {
    let directory = TempDir::new().unwrap();
    let mut first = TestKeeper::start(&directory, BOUND);
    let agent = first.agent().await;
    let second = TestKeeper::start(&directory, BOUND);
    let (ours, mut peer) = stream();
    agent.hold(ours.duplicates("tor", false));
    tokio::time::sleep(3 * NONE).await;
    assert!(agent.is_keeping());
    first.stop();
    first.join();
    until("kept by the second", || agent.is_keeping() && agent.status().held == 1).await;
    drop((agent, ours));
    peer.expect(b"k");
    drop(second);
}

#[tokio::test]
async fn a_stream_can_change_its_journal() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let (mut ours, mut peer) = stream();
    let agent = keeper.agent().await;
    agent.hold(ours.duplicates("tor", false));
    ours.write(b"much");
    let base = lb_keeper::position::written(&ours.socket).unwrap();
    ours.journal = lb_keeper::journal::Journal::create(base, b"summary").unwrap();
    assert!(agent.try_hold(ours.duplicates("tor", false)));
    ours.journal.append(b"more").unwrap();
    drop((agent, ours));
    peer.expect(b"muchmorek");
    let claimed = AgentEnd::of(keeper.agent().await.claim("tor").await.unwrap());
    assert_eq!(claimed.journal.snapshot().unwrap(), b"summary");
    assert!(claimed.journal.stream().unwrap().starts_with(b"morek"));
}

#[tokio::test]
async fn a_stream_that_does_not_match_its_journal_is_rejected_by_name() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let (mut ours, _peer) = stream();
    let agent = keeper.agent().await;
    ours.socket.write_all(b"not in the journal").unwrap();
    agent.hold(ours.duplicates("tor", false));
    until("rejected", || agent.status().last_error.is_some_and(|error| error.contains("tor"))).await;
    assert!(!agent.is_keeping());
    agent.release("tor");
    assert!(agent.is_keeping());
    assert!(ours.socket.as_fd().try_clone_to_owned().is_ok());
}

#[tokio::test]
async fn a_stream_whose_claimant_gives_up_gets_its_farewell() {
    let directory = TempDir::new().unwrap();
    let keeper = TestKeeper::start(&directory, BOUND);
    let mut peers = Vec::new();
    let agent = keeper.agent().await;
    for name in ["early", "late"] {
        let (ours, peer) = stream();
        agent.hold(ours.duplicates(name, false));
        peers.push(peer);
    }
    drop(agent);
    let successor = keeper.agent().await;
    // Before the reply, and after it, but before the task has it.
    assert!(tokio::time::timeout(Duration::ZERO, successor.claim("early")).await.is_err());
    {
        let mut claim = std::pin::pin!(successor.claim("late"));
        assert!(poll_once(claim.as_mut()).is_none());
        std::thread::sleep(3 * NONE);
    }
    for peer in &mut peers {
        assert!(peer.rest().ends_with("bye"));
    }
}

/// Polls a future a single time.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn without_a_keeper_the_agent_goes_on_after_a_moment() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("none.sock");
    let agent = lb_keeper::KeeperClient::start(socket, lb_keeper::ClientOptions::default()).unwrap();
    let start = Instant::now();
    assert!(agent.names().await.is_empty());
    assert!((1..4).contains(&start.elapsed().as_secs()));
    assert!(!agent.is_keeping());
    assert!(agent.status().last_error.unwrap().contains("none.sock"));
}
