//! Tests of agents as peers of real routers: the views of FRR, BIRD, GoBGP and ExaBGP.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabNode, Topology, WEB_V4, WEB_V6};
use fairlead_tests::objects::{bfd_profile, metallb};
use fairlead_tests::peers::{
    AGENTS_AS, PeerEdit, PeerHost, ROUTERS_AS, RouterPeerEdit, advertisement, all_next_hops, both,
    node_addresses, start_agents,
};
use fairlead_tests::routers::{
    BfdTimers, Bird, Capability, Exabgp, Frr, Gobgp, GracefulRestartMode, RouteOrigin, RouteView,
    RouterDaemon, RouterPeer, kernel_next_hops, wait, wait_kernel_next_hops,
};
use ipnet::IpNet;
use lb_common::wire::bfd;
use lb_dataplane::bfd::BfdMaps;
use serde_json::{Value, json};

/// Sessions come up within seconds; a busy machine takes longer.
const WITHIN: Duration = Duration::from_secs(30);
const NODES: [&str; 3] = ["n1", "n2", "n3"];

#[test]
fn every_router_sees_both_families_with_all_attributes() -> Result<()> {
    let topology = (1..=3).fold(web(), |topology, number| topology.router('a', number));
    topology.run(|lab| {
        let place = |name: &str| PeerHost::of(lab, name);
        let places = [place("router")?, place("r1")?, place("r2")?, place("r3")?];
        let bfd = Some(BfdTimers::every(Duration::from_millis(100)));
        let config = |place: usize, bfd| places[place].config(lab, &|peer| RouterPeer { bfd, ..peer });
        let mut listening = config(3, None)?;
        listening.peers.iter_mut().for_each(|peer| peer.passive = true);
        let routers: [Box<dyn RouterDaemon>; 4] = [
            Box::new(Frr::start(&places[0].host, &config(0, bfd)?)?),
            Box::new(Bird::start(&places[1].host, &config(1, bfd)?)?),
            Box::new(Gobgp::start(&places[2].host, &config(2, None)?)?),
            Box::new(Exabgp::start(&places[3].host, &listening)?),
        ];
        let mut objects = vec![bfd_profile("fast", BfdTimers::every(Duration::from_millis(100))), aliases()];
        for (number, place) in places.iter().enumerate() {
            objects.extend(place.peers(&format!("p{number}"), AGENTS_AS, |spec| {
                if number < 2 {
                    spec["bfdProfile"] = json!("fast");
                }
            }));
        }
        objects.push(advertisement("all", |spec| {
            spec["communities"] = json!(["64512:7", "edge", "large:4200000000:1:2"]);
        }));
        start_agents(lab, &objects)?;
        for router in &routers {
            sees_all_nodes(lab, router.as_ref())?;
        }
        for router in &routers[..2] {
            for address in node_addresses(lab)?.into_iter().flat_map(both) {
                let session = router.wait_bfd_up(address, WITHIN)?;
                ensure!(session.detection == Duration::from_millis(300), "{session:?}");
            }
            for vip in [WEB_V4, WEB_V6] {
                wait_kernel_next_hops(router.host(), vip.into(), &all_next_hops(lab, vip)?, WITHIN)?;
            }
        }
        for node in lab.nodes()? {
            let (bgp, bfd) = (node.fairlead(&["status", "bgp"])?, node.fairlead(&["status", "bfd"])?);
            ensure!(bgp.matches("established").count() == 8, "{bgp}");
            ensure!(bfd.lines().filter(|line| line.contains(" Up ")).count() == 4, "{bfd}");
            wait(WITHIN, || the_program_notes_bfd(&node, 4))?;
        }
        clients_are_served(lab)?;
        drained_nodes_set_graceful_shutdown(lab, &routers)
    })
}

/// One option per router: a password, TTL security, multihop with BFD, and a restart helper.
#[test]
fn sessions_come_up_with_every_option() -> Result<()> {
    let topology = (1..=4).fold(web(), |topology, number| topology.router('a', number));
    topology.run(|lab| {
        let slow = BfdTimers::every(Duration::from_millis(100));
        let options: [(&str, PeerEdit, RouterPeerEdit); 4] = [
            ("r1", |spec| spec["password"] = json!("secret"), |peer| peer.password("secret")),
            ("r2", |_| (), |peer| RouterPeer { ttl_security: Some(1), ..peer }),
            (
                "r3",
                |spec| {
                    spec["ebgpMultiHop"] = json!(true);
                    spec["bfdProfile"] = json!("slow");
                },
                |peer| {
                    RouterPeer { multihop: Some(2), ..peer }.bfd(BfdTimers::every(Duration::from_millis(100)))
                },
            ),
            (
                "r4",
                |spec| spec["enableGracefulRestart"] = json!(true),
                |peer| RouterPeer { graceful_restart: GracefulRestartMode::Helper, ..peer },
            ),
        ];
        let mut objects = vec![
            bfd_profile("slow", BfdTimers::every(Duration::from_millis(100))),
            advertisement("all", |_| ()),
        ];
        let mut routers = Vec::new();
        for (name, change, edit) in options {
            let place = PeerHost::of(lab, name)?;
            objects.extend(place.peers(name, AGENTS_AS, change));
            routers.push(Frr::start(&place.host, &place.config(lab, &edit)?)?);
        }
        start_agents(lab, &objects)?;
        for router in &routers {
            for address in node_addresses(lab)?.into_iter().flat_map(both) {
                router.wait_established(&address.to_string(), WITHIN)?;
            }
            for vip in [WEB_V4, WEB_V6] {
                wait_kernel_next_hops(router.host(), vip.into(), &all_next_hops(lab, vip)?, WITHIN)?;
            }
        }
        for address in node_addresses(lab)?.into_iter().flat_map(both) {
            let session = routers[2].wait_bfd_up(address, WITHIN)?;
            ensure!(session.multihop == Some(true), "{session:?}");
            ensure!(session.detection == slow.receive * u32::from(slow.multiplier), "{session:?}");
            let plain = routers[0].session(&address.to_string())?;
            ensure!(!plain.capabilities.contains(&Capability::GracefulRestart), "{plain:?}");
            let restarting = routers[3].session(&address.to_string())?;
            ensure!(restarting.capabilities.contains(&Capability::GracefulRestart), "{restarting:?}");
            let time = restarting.restart_time.context("no restart time")?;
            ensure!(
                time <= Duration::from_secs(10),
                "a longer time blackholes traffic when the node dies: {time:?}"
            );
        }
        Ok(())
    })
}

/// With a wrong password on one side TCP never connects, and the other router's session is not affected.
#[test]
fn a_wrong_password_keeps_only_its_own_session_down() -> Result<()> {
    let topology = (1..=2).fold(web(), |topology, number| topology.router('a', number));
    topology.run(|lab| {
        let places = [PeerHost::of(lab, "r1")?, PeerHost::of(lab, "r2")?];
        let start =
            |place: &PeerHost| Bird::start(&place.host, &place.config(lab, &|peer| peer.password("theirs"))?);
        let (wrong, right) = (start(&places[0])?, start(&places[1])?);
        let secret = |password: &'static str| move |spec: &mut Value| spec["password"] = json!(password);
        let mut objects = vec![advertisement("all", |_| ())];
        objects.extend(places[0].peers("wrong", AGENTS_AS, secret("ours")));
        objects.extend(places[1].peers("right", AGENTS_AS, secret("theirs")));
        start_agents(lab, &objects)?;
        for address in node_addresses(lab)?.into_iter().flat_map(both) {
            right.wait_established(&address.to_string(), WITHIN)?;
            let session = wrong.session(&address.to_string())?;
            ensure!(!session.established, "{session:?}");
        }
        ensure!(kernel_next_hops(wrong.host(), WEB_V4.into())?.is_empty());
        Ok(())
    })
}

/// Internal sessions carry the local preference, and prefixes have the advertisement's length.
#[test]
fn internal_peers_receive_the_local_preference_of_an_aggregate() -> Result<()> {
    web().router('a', 1).run(|lab| {
        let place = PeerHost::of(lab, "r1")?;
        let internal = |peer: RouterPeer| RouterPeer { asn: ROUTERS_AS, ..peer };
        let frr = Frr::start(&place.host, &place.config(lab, &internal)?)?;
        // A pool must contain the whole aggregate: the lab's own has only the addresses in use.
        let mut objects = vec![json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": { "name": "lab", "namespace": "metallb-system" },
            "spec": { "addresses": ["203.0.113.0/24", "2001:db8:f::/64"] },
        })];
        objects.extend(place.peers("internal", ROUTERS_AS, |_| ()));
        objects.push(advertisement("aggregate", |spec| {
            spec["aggregationLength"] = json!(24);
            spec["aggregationLengthV6"] = json!(64);
            spec["localPref"] = json!(250);
        }));
        replace_pool(lab)?;
        start_agents(lab, &objects)?;
        for prefix in ["203.0.113.0/24", "2001:db8:f::/64"] {
            let prefix: IpNet = prefix.parse()?;
            let routes = frr.wait_routes(prefix, WITHIN, &|routes| routes.len() == NODES.len())?;
            for route in &routes {
                ensure!(route.local_pref == Some(250) && route.as_path.is_empty(), "{route:?}");
            }
            ensure!(frr.routes(host_prefix(prefix))?.is_empty(), "the address itself is advertised, too");
        }
        Ok(())
    })
}

/// Returns the alias `edge` for 64512:8.
fn aliases() -> Value {
    let spec = json!({ "communities": [{ "name": "edge", "value": "64512:8" }] });
    metallb("v1beta1", "Community", "aliases", &spec)
}

/// Removes the lab's own pool, with its L2Advertisement.
fn replace_pool(lab: &Lab) -> Result<()> {
    Ok(fs::remove_file(lab.outside(&lab.manifests_directory().join("metallb.yaml")))?)
}

/// Checks that the program has noted state Up of each router.
fn the_program_notes_bfd(node: &LabNode<'_>, sessions: usize) -> Result<()> {
    let notes = BfdMaps::open(&node.pins())?;
    let known = notes.sessions()?;
    ensure!(known.len() == sessions, "{known:?}");
    for (discriminator, session) in known {
        let is_up = bfd::is_up(&bfd::words(&session.config.theirs));
        ensure!(is_up && session.heard.is_some(), "{discriminator}: {session:?}");
    }
    Ok(())
}

/// Checks that the router has sessions with all nodes as configured, and from each the routes of the Service.
fn sees_all_nodes(lab: &Lab, router: &dyn RouterDaemon) -> Result<()> {
    for addresses in node_addresses(lab)? {
        for family in IpVersion::BOTH {
            let session = router.wait_established(&addresses.of(family).to_string(), WITHIN)?;
            ensure!(session.asn == AGENTS_AS && session.hold_time == Duration::from_secs(9), "{session:?}");
            ensure!(session.families == [family].into(), "{session:?}");
            ensure!(session.capabilities.contains(&Capability::FourOctetAsn), "{session:?}");
            ensure!(!session.capabilities.contains(&Capability::GracefulRestart), "{session:?}");
        }
    }
    for vip in [WEB_V4, WEB_V6] {
        let routes = router.wait_routes(vip.into(), WITHIN, &|routes| routes.len() == NODES.len())?;
        for hop in all_next_hops(lab, vip)? {
            let route =
                routes.iter().find(|it| it.from == Some(hop)).with_context(|| format!("{routes:#?}"))?;
            ensure!(route.next_hops.first() == Some(&hop), "{route:?}");
            ensure!(route.as_path == [AGENTS_AS] && route.origin == RouteOrigin::Igp, "{route:?}");
            ensure!(route.communities == [(64512, 7), (64512, 8)].into(), "{route:?}");
            ensure!(route.large_communities == [(4_200_000_000, 1, 2)].into(), "{route:?}");
        }
    }
    Ok(())
}

/// Checks that clients are served over the routes that the lab's router has learnt.
fn clients_are_served(lab: &Lab) -> Result<()> {
    for vip in [WEB_V4, WEB_V6] {
        let url = format!("http://{}/", SocketAddr::new(vip, 80));
        let mut pods = BTreeSet::new();
        for _ in 0..8 {
            let curl = || lab.client()?.command("curl").args(["-sS", "-m", "5", "-g", &url]).text();
            pods.insert(wait(WITHIN, curl)?);
        }
        ensure!(pods.len() > 1, "eight connections to {vip} were served by {pods:?}");
    }
    Ok(())
}

/// Checks that the routes of a draining node, and no others, carry the community of RFC 8326.
fn drained_nodes_set_graceful_shutdown(lab: &Lab, routers: &[Box<dyn RouterDaemon>]) -> Result<()> {
    lab.node(NODES[0])?.fairlead(&["drain", "--no-wait"])?;
    let drained = lab.node(NODES[0])?.spec().addresses();
    for router in routers {
        let is_asked = |routes: &[RouteView]| {
            let asked = routes.iter().filter(|route| route.communities.contains(&(65535, 0)));
            asked.map(|route| route.from).eq([Some(drained.of(IpVersion::V4))])
        };
        router.wait_routes(WEB_V4.into(), WITHIN, &is_asked)?;
    }
    Ok(())
}

/// Returns the one address of a Service in a prefix of this test.
fn host_prefix(prefix: IpNet) -> IpNet {
    if prefix.addr().is_ipv4() { WEB_V4.into() } else { WEB_V6.into() }
}

/// Returns three nodes with two pods each, and the Service `web` on them.
fn web() -> Topology {
    let mut topology = Topology::empty();
    for number in 1..=3 {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 2);
    }
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
}
