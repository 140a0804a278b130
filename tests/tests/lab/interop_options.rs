//! Tests of every session option with every router that supports it; those of FRR are in `lab/interop.rs`.

use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, Lab, Topology, WEB_V4, WEB_V6};
use fairlead_tests::objects::bfd_profile;
use fairlead_tests::peers::{
    AGENTS_AS, PeerEdit, PeerHost, RouterPeerEdit, advertisement, all_next_hops, both, node_addresses,
    start_agents,
};
use fairlead_tests::routers::{
    BfdTimers, Bird, Exabgp, Gobgp, GracefulRestartMode, RouterConfig, RouterDaemon, RouterPeer,
};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(30);
const BFD: Duration = Duration::from_millis(100);

/// The router's host, and both sides of the option.
type Row = (&'static str, PeerEdit, RouterPeerEdit);

const SECRET: Row = ("r1", |spec| spec["password"] = json!("secret"), |peer| peer.password("secret"));
const TTL: Row = ("r2", |_| (), |peer| RouterPeer { ttl_security: Some(1), ..peer });
const MULTIHOP: Row =
    ("r3", |spec| spec["ebgpMultiHop"] = json!(true), |peer| RouterPeer { multihop: Some(2), ..peer });
const RESTART: Row = (
    "r4",
    |spec| spec["enableGracefulRestart"] = json!(true),
    |peer| RouterPeer { graceful_restart: GracefulRestartMode::Helper, ..peer },
);
/// Multihop with BFD.
const WATCHED: Row = (
    "r3",
    |spec| {
        spec["ebgpMultiHop"] = json!(true);
        spec["bfdProfile"] = json!("watched");
    },
    |peer| RouterPeer { multihop: Some(2), ..peer }.bfd(BfdTimers::every(BFD)),
);

#[test]
fn bird_supports_every_session_option() -> Result<()> {
    with_each(
        &[SECRET, TTL, WATCHED, RESTART],
        |place, config| Bird::start(&place.host, config),
        |lab, routers| {
            for address in node_addresses(lab)?.into_iter().flat_map(both) {
                let session = routers[2].wait_bfd_up(address, WITHIN)?;
                ensure!(session.detection == BFD * 3, "{session:?}");
            }
            Ok(())
        },
    )
}

#[test]
fn gobgp_supports_every_session_option() -> Result<()> {
    with_each(
        &[SECRET, TTL, MULTIHOP, RESTART],
        |place, config| Gobgp::start(&place.host, config),
        |_, _| Ok(()),
    )
}

/// Agents open the sessions: ExaBGP listens, and does not connect.
#[test]
fn exabgp_supports_every_session_option() -> Result<()> {
    let start = |place: &PeerHost, config: &RouterConfig| {
        let mut listening = config.clone();
        listening.peers.iter_mut().for_each(|peer| peer.passive = true);
        Exabgp::start(&place.host, &listening)
    };
    with_each(&[SECRET, TTL, MULTIHOP], start, |_, _| Ok(()))
}

/// Starts a router of this kind for each option, all at once: sessions of both families must come up, and the
/// routes arrive.
fn with_each<R: RouterDaemon>(
    rows: &[Row],
    start: impl Fn(&PeerHost, &RouterConfig) -> Result<R>,
    more: impl FnOnce(&Lab, &[R]) -> Result<()>,
) -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    let topology = (1..=4).fold(topology, |topology, number| topology.router('a', number));
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local).run(|lab| {
        // In multihop sessions, BIRD sends with the default TTL.
        let mut watched = bfd_profile("watched", BfdTimers::every(BFD));
        watched["spec"]["minimumTtl"] = json!(64);
        let mut objects = vec![watched, advertisement("all", |_| ())];
        let mut routers = Vec::new();
        for (name, change, edit) in rows {
            let place = PeerHost::of(lab, name)?;
            objects.extend(place.peers(name, AGENTS_AS, change));
            routers.push(start(&place, &place.config(lab, edit)?)?);
        }
        start_agents(lab, &objects)?;
        for router in &routers {
            for address in node_addresses(lab)?.into_iter().flat_map(both) {
                router.wait_established(&address.to_string(), WITHIN)?;
            }
            for vip in [WEB_V4, WEB_V6] {
                let all_next_hops = all_next_hops(lab, vip)?;
                router.wait_routes(vip.into(), WITHIN, &|routes| {
                    routes.iter().filter_map(|route| route.from).eq(all_next_hops.iter().copied())
                })?;
            }
        }
        more(lab, &routers)
    })
}
