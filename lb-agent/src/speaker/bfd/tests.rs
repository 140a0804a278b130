//! Sessions of one thread with each other, over loopback. The ports are fixed, so what shares one is one test.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::mpsc::channel;
use std::time::Duration;

use lb_bfd::session::{Hops, Profile};
use lb_bfd::state::State;
use nix::time::{ClockId, clock_gettime};

use super::socket::Ear;
use super::{BfdViewed, Monitor, Watch, Watched};

const PATIENCE: Duration = Duration::from_secs(20);
const MULTIHOP: Hops = Hops::Multi { minimum_ttl: 254 };

fn watched(address: &str, source: &str, hops: Hops) -> Watched {
    let profile = Profile { transmit: Duration::from_millis(50), ..Profile::default() };
    let (address, source) = (address.parse().unwrap(), Some(source.parse().unwrap()));
    Watched { address, source, device: None, hops, profile }
}

/// Both ends of three ways; the last has one end, which hears itself.
fn all() -> Watch {
    let ends = [
        ("a", watched("127.0.0.2", "127.0.0.1", Hops::Single)),
        ("b", watched("127.0.0.1", "127.0.0.2", Hops::Single)),
        ("c", watched("127.0.0.2", "127.0.0.1", MULTIHOP)),
        ("d", watched("127.0.0.1", "127.0.0.2", MULTIHOP)),
        ("e", watched("::1", "::1", Hops::Single)),
    ];
    ends.map(|(name, end)| (name.to_owned(), end)).into()
}

async fn viewed(monitor: &Monitor, name: &str) -> BfdViewed {
    monitor.view().await.sessions.into_iter().find(|session| session.name == name).unwrap()
}

#[tokio::test]
async fn sessions_come_up_and_those_who_are_left_on_purpose_report_no_failure() {
    let (reports, reported) = channel();
    let monitor =
        Monitor::start(1, None, move |name, up| reports.send((name.to_owned(), up)).unwrap()).unwrap();
    monitor.set(all());
    let up: BTreeSet<_> = (0..5).map(|_| reported.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(up, all().into_keys().map(|name| (name, true)).collect());
    let session = viewed(&monitor, "a").await.view;
    assert_eq!((session.state, session.counters.refusals.len()), (State::Up, 0));

    let left = all().into_iter().filter(|(name, _)| name != "b").collect();
    monitor.set(left);
    let again: BTreeSet<_> = (0..4).map(|_| reported.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(!again.contains(&("b".to_owned(), true)), "those who go on say so again: {again:?}");
    tokio::time::timeout(PATIENCE, async {
        while viewed(&monitor, "a").await.view.state == State::Up {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(reported.try_recv().is_err(), "the other end was taken away on purpose");
    assert_eq!(viewed(&monitor, "c").await.view.state, State::Up);

    let before = monitor.view().await.unknown;
    let stranger = UdpSocket::bind("127.0.0.9:0").unwrap();
    stranger.send_to(&[0; 24], "127.0.0.1:3784").unwrap();
    tokio::time::timeout(PATIENCE, async {
        while monitor.view().await.unknown == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[test]
fn packets_say_when_the_kernel_received_them() {
    let time = || Duration::from(clock_gettime(ClockId::CLOCK_REALTIME).unwrap());
    let ear = Ear::of(&watched("::1", "::1", MULTIHOP));
    let socket = ear.open().unwrap();
    let before = time();
    UdpSocket::bind("[::1]:0").unwrap().send_to(&[7], "[::1]:4784").unwrap();
    let came = ear.receive(&socket, &mut [0; 8]).unwrap().unwrap();
    let stamp = came.stamp.unwrap();
    assert!(before <= stamp && stamp <= time(), "{before:?} {stamp:?}");
    assert_eq!(came.octets, 1);
}
