//! BFD sessions of one thread with each other, over loopback.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lb_bfd::session::{Hops, SessionProfile};
use lb_bfd::state::BfdState;
use lb_common::wire::bfd::{self, Control};
use nix::sched::{CloneFlags, unshare};
use nix::time::{ClockId, clock_gettime};
use rtnetlink::LinkUnspec;
use socket2::SockRef;
use tokio::sync::{Mutex, oneshot};

use super::socket::RxKey;
use super::thread::{BfdCommand, BfdThread};
use super::{BfdMonitor, BfdSnapshot, BfdTarget, BfdTargets};
use crate::identity::hash;
use lb_runtime::watchdog::{THREAD_LIMIT, Watchdog};

const PATIENCE: Duration = Duration::from_secs(20);
const MULTIHOP: Hops = Hops::Multi { minimum_ttl: 254 };

fn target(address: &str, source: &str, hops: Hops) -> BfdTarget {
    let profile = SessionProfile { transmit: Duration::from_millis(50), ..SessionProfile::default() };
    let (address, source) = (address.parse().unwrap(), Some(source.parse().unwrap()));
    BfdTarget { address, source, device: None, hops, profile }
}

/// Both ends of three paths; the last is a single end that talks to itself.
fn all() -> BfdTargets {
    let addresses = [
        ("a", target("127.0.0.2", "127.0.0.1", Hops::Single)),
        ("b", target("127.0.0.1", "127.0.0.2", Hops::Single)),
        ("c", target("127.0.0.2", "127.0.0.1", MULTIHOP)),
        ("d", target("127.0.0.1", "127.0.0.2", MULTIHOP)),
        ("e", target("::1", "::1", Hops::Single)),
    ];
    addresses.map(|(name, end)| (name.to_owned(), end)).into()
}

async fn snapshot(monitor: &BfdMonitor, name: &str) -> BfdSnapshot {
    monitor.view().await.sessions.into_iter().find(|session| session.name == name).unwrap()
}

/// The ports are fixed, so a test needs them exclusively: among the tests and, as root, on the machine.
static PORTS: Mutex<()> = Mutex::const_new(());

/// Moves the calling thread and its future threads into a network namespace. Without privileges they share
/// that of the machine, where nothing else may use BFD.
async fn own_network() {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        return;
    }
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    let connection = tokio::spawn(connection);
    handle.link().set(LinkUnspec::new_with_index(LOOPBACK).up().build()).execute().await.unwrap();
    connection.abort();
}

/// The same without a runtime.
fn own_network_blocking() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(own_network());
}

/// The index of `lo`, in every network namespace.
const LOOPBACK: u32 = 1;

#[tokio::test]
async fn sessions_come_up_and_removing_one_end_reports_no_failure() {
    let _alone = PORTS.lock().await;
    own_network().await;
    let (reports, reported) = channel();
    let heart = Watchdog::default().heart("bfd", THREAD_LIMIT);
    let monitor =
        BfdMonitor::start(1, None, heart, move |name, up| reports.send((name.to_owned(), up)).unwrap())
            .unwrap();
    monitor.set(all());
    let up: BTreeSet<_> = (0..5).map(|_| reported.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(up, all().into_keys().map(|name| (name, true)).collect());
    let session = snapshot(&monitor, "a").await.view;
    assert_eq!((session.state, session.counters.rejected.len()), (BfdState::Up, 0));

    let left = all().into_iter().filter(|(name, _)| name != "b").collect();
    monitor.set(left);
    let again: BTreeSet<_> = (0..4).map(|_| reported.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(!again.contains(&("b".to_owned(), true)), "remaining sessions report again: {again:?}");
    tokio::time::timeout(PATIENCE, async {
        while snapshot(&monitor, "a").await.view.state == BfdState::Up {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(reported.try_recv().is_err(), "the other end was removed administratively");
    assert_eq!(snapshot(&monitor, "c").await.view.state, BfdState::Up);

    let before = monitor.view().await.unknown;
    let unknown = UdpSocket::bind("127.0.0.9:0").unwrap();
    unknown.send_to(&[0; 24], "127.0.0.1:3784").unwrap();
    tokio::time::timeout(PATIENCE, async {
        while monitor.view().await.unknown == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[test]
fn packets_have_the_kernels_receive_time() {
    own_network_blocking();
    let time = || Duration::from(clock_gettime(ClockId::CLOCK_REALTIME).unwrap());
    let key = RxKey::of(&target("::1", "::1", MULTIHOP));
    let socket = key.open().unwrap();
    let before = time();
    UdpSocket::bind("[::1]:0").unwrap().send_to(&[7], "[::1]:4784").unwrap();
    let datagram = key.receive(&socket, &mut [0; 8]).unwrap().unwrap();
    let stamp = datagram.stamp.unwrap();
    assert!(before <= stamp && stamp <= time(), "{before:?} {stamp:?}");
    assert_eq!(datagram.octets, 1);
}

/// A BFD thread stepped by the test, and a router played by the test.
struct TestThread {
    bfd_thread: BfdThread,
    router: UdpSocket,
}

const ROUTER: &str = "127.0.0.5";
const HERE: &str = "127.0.0.6";
/// The router's interval; the detection time is three times that.
const INTERVAL: Duration = Duration::from_millis(100);

impl TestThread {
    /// Returns one with a session that is up.
    fn up() -> Self {
        let (_, wake_rx) = std::os::unix::net::UnixStream::pair().unwrap();
        wake_rx.set_nonblocking(true).unwrap();
        let mut bfd_thread = BfdThread::new(1, None, wake_rx, Box::new(|_, _| ()));
        bfd_thread.handle_command(BfdCommand::SetTargets(
            [("r".to_owned(), target(ROUTER, HERE, Hops::Single))].into(),
        ));
        let router = UdpSocket::bind((ROUTER, 0)).unwrap();
        SockRef::from(&router).set_ttl_v4(255).unwrap();
        let mut test = Self { bfd_thread, router };
        let until = Instant::now() + PATIENCE;
        while test.state() != BfdState::Up {
            assert!(Instant::now() < until, "the session does not come up");
            let state = test.state();
            test.transmit(if state == BfdState::Down { bfd::DOWN } else { bfd::UP });
            test.bfd_thread.run_once();
            std::thread::sleep(Duration::from_millis(5));
        }
        test
    }

    fn transmit(&self, state: u8) {
        let interval = (INTERVAL.as_micros() as u32).to_be_bytes();
        let packet = Control {
            version_and_diagnostic: bfd::VERSION,
            state_and_flags: state,
            multiplier: 3,
            length: bfd::LENGTH as u8,
            my_discriminator: [0, 0, 0, 9],
            your_discriminator: (hash(1, "r") as u32).to_be_bytes(),
            intervals: [interval, interval, [0; 4]],
        };
        // Nothing listens there before the first step.
        let _ = self.router.send_to(&packet.to_bytes(), (HERE, 3784));
    }

    fn state(&mut self) -> BfdState {
        let (answer, mut answered) = oneshot::channel();
        self.bfd_thread.handle_command(BfdCommand::View(answer));
        answered.try_recv().unwrap().sessions[0].view.state
    }
}

#[test]
fn a_stalled_thread_judges_a_router_by_the_arrival_of_its_packets() {
    let _alone = PORTS.blocking_lock();
    own_network_blocking();
    let mut test = TestThread::up();
    // The router kept sending: its last packet is recent, whenever it is read.
    for _ in 0..12 {
        test.transmit(bfd::UP);
        std::thread::sleep(INTERVAL / 2);
    }
    test.bfd_thread.run_once();
    assert_eq!(test.state(), BfdState::Up);
    // The router sent one more packet and fell silent: the packet is old when it is read.
    test.bfd_thread.run_once();
    test.transmit(bfd::UP);
    std::thread::sleep(INTERVAL * 9);
    test.bfd_thread.run_once();
    assert_eq!(test.state(), BfdState::Down);
}
