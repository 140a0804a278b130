//! Two peers over an unreliable network.

use std::time::Duration;

use lb_bgp::session::{BackOff, BgpState, NextHops, PeerAs, PeerConfig, Routes, Shutdown};
use lb_bgp::value::{AddressFamily, Asn, HoldTime, RouterId};
use proptest::prelude::*;

use crate::network::Network;
use crate::rib::{attributes, prefix};

pub(crate) fn config(local: u32, remote: u32, id: u8) -> PeerConfig {
    PeerConfig {
        local_asn: Asn::new(local).unwrap(),
        presented_asn: None,
        remote: PeerAs::Exactly(Asn::new(remote).unwrap()),
        router_id: RouterId::new([10, 0, 0, id].into()).unwrap(),
        hold_time: HoldTime::DEFAULT,
        keepalive: None,
        families: vec![AddressFamily::Ipv4, AddressFamily::Ipv6],
        next_hops: NextHops { v6: Some("2001:db8::1".parse().unwrap()), ..NextHops::default() },
        graceful_restart: None,
        restarted: false,
        passive: false,
        host_name: "node".to_owned(),
        connect_timeout: Duration::from_secs(10),
        back_off: BackOff { initial: Duration::from_secs(1), max: Duration::from_secs(8) },
    }
}

#[derive(Clone, Debug)]
enum Step {
    Routes { host: usize, routes: Vec<(u32, u32)> },
    Lose,
    LoseHalf(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let routes = (0..2usize, proptest::collection::vec((0..60u32, 0..4u32), 0..40));
    prop_oneof![
        4 => routes.prop_map(|(host, routes)| Step::Routes { host, routes }),
        1 => Just(Step::Lose),
        1 => (0..2usize).prop_map(Step::LoseHalf),
        4 => (0..4000u64).prop_map(Step::Wait),
    ]
}

fn routes(numbers: &[(u32, u32)]) -> Routes {
    numbers.iter().map(|(one, other)| (prefix(*one), attributes(*other))).collect()
}

/// Returns the routes as received: with the default preference on internal sessions.
fn heard(routes: &Routes, internal: bool) -> Routes {
    let mut received = routes.clone();
    received.values_mut().for_each(|attributes| attributes.local_pref = internal.then_some(100));
    received
}

/// Time within which an undisturbed session must come up: four minutes for an OPEN lost by one side, the
/// maximum delay, an attempt that times out, and a collision.
const SETTLED: Duration = Duration::from_secs(300);

fn configs(internal: bool, ids: (u8, u8), passive: u8, graceful: bool) -> [PeerConfig; 2] {
    let other = if internal { 65001 } else { 65002 };
    let mut configs = [config(65001, other, ids.0), config(other, 65001, ids.1)];
    for (index, config) in configs.iter_mut().enumerate() {
        config.passive = usize::from(passive) == index;
        config.graceful_restart = graceful.then_some(8);
    }
    configs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_peers_settle_on_one_connection_with_the_latest_routes(
        seed: u64,
        internal: bool,
        ids in prop_oneof![Just((1, 2)), Just((2, 1))],
        passive in 0..6u8,
        graceful: bool,
        delay in prop_oneof![Just(0u64), Just(1), Just(20), Just(300), Just(2000)],
        steps in proptest::collection::vec(step(), 0..25),
    ) {
        let mut network = Network::new(configs(internal, ids, passive, graceful), seed, delay, 10);
        let mut last = [Routes::new(), Routes::new()];
        for host in 0..2 {
            network.set_routes(host, Routes::new());
        }
        for step in steps {
            match step {
                Step::Routes { host, routes: numbers } => {
                    last[host] = routes(&numbers);
                    network.set_routes(host, last[host].clone());
                }
                Step::Lose => network.lose_all(),
                Step::LoseHalf(host) => network.lose_half(host),
                Step::Wait(ms) => network.run(Duration::from_millis(ms)),
            }
        }
        network.run(SETTLED);
        let connection = network.settled();
        prop_assert!(connection.is_some(), "{:?}", network.hosts.each_ref().map(|host| host.peer.view(network.now)));
        let flaps = network.hosts.each_ref().map(|host| host.peer.view(network.now).counters.flaps);
        network.run(Duration::from_secs(300));
        prop_assert_eq!(network.settled(), connection);
        prop_assert_eq!(network.hosts.each_ref().map(|host| host.peer.view(network.now).counters.flaps), flaps);
        for host in 0..2 {
            let rib = &network.hosts[host].ribs[&connection.unwrap()];
            prop_assert_eq!(rib.advertised(), heard(&last[1 - host], internal));
            prop_assert_eq!(&rib.ends, &[AddressFamily::Ipv4, AddressFamily::Ipv6]);
        }
    }

    /// The RFC's own rule loses both connections if one side has received the KEEPALIVE on one and the other
    /// side the OPEN on the other.
    #[test]
    fn exactly_one_of_two_simultaneous_connections_survives(
        seed: u64,
        internal: bool,
        ids in prop_oneof![Just((1, 2)), Just((2, 1))],
        graceful: bool,
    ) {
        let mut network = Network::new(configs(internal, ids, 9, graceful), seed, 20, 0);
        // Twelve times the maximum delay, and less than the minimum delay of another attempt.
        network.run(Duration::from_millis(240));
        let connection = network.settled();
        prop_assert!(connection.is_some(), "{:?}", network.hosts.each_ref().map(|host| host.peer.view(network.now)));
        network.run(Duration::from_secs(300));
        prop_assert_eq!(network.settled(), connection);
        for host in &network.hosts {
            let close = host.peer.view(network.now).last_close;
            prop_assert!(close.iter().all(|close| close.state == BgpState::Established), "{close:?}");
        }
    }
}

#[test]
fn an_administrative_shutdown_lasts_until_start() {
    let mut network = Network::new(configs(false, (1, 2), 9, false), 7, 20, 0);
    network.run(SETTLED);
    assert!(network.settled().is_some());
    network.shut_down(0, Shutdown::Administrative { text: "maintenance".to_owned() });
    network.run(SETTLED);
    assert_eq!(network.hosts[0].peer.state(), BgpState::Idle);
    let error = network.hosts[1].peer.view(network.now).last_error().unwrap();
    assert!(error.contains("administrative shutdown (6/2): \"maintenance\"; since then: "), "{error}");
    assert!(error.contains("cannot connect") || error.contains("closed"), "{error}");
    network.start(0);
    network.run(SETTLED);
    assert!(network.settled().is_some());
}
