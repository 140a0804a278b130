//! Tests of the lab's routers without Fairlead: FRR, BIRD, GoBGP and ExaBGP interoperate, and the harness
//! reads back their configuration.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::{HostAddresses, IpVersion};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabHost, Topology, WEB_V4, WEB_V6};
use fairlead_tests::routers::{
    BfdTimers, Bird, Capability, Exabgp, Frr, Gobgp, GracefulRestartMode, OriginatedRoute, RouteOrigin,
    RouteView, RouterConfig, RouterDaemon, RouterPeer, wait_kernel_next_hops,
};
use ipnet::IpNet;

/// Sessions are up in 2 s to 6 s here; a busy machine takes longer.
const WITHIN: Duration = Duration::from_secs(30);
/// The autonomous system of the lab's router.
const ROUTER_AS: u32 = 4_200_000_000;

#[test]
fn frr_spreads_clients_over_advertising_nodes() -> Result<()> {
    web().run(|lab| {
        let bfd = BfdTimers::every(Duration::from_millis(50));
        let members = members(lab, &["n1", "n2", "n3"])?;
        let _nodes = start_nodes(&members, Some(bfd))?;
        let router = lab.router()?;
        let frr = Frr::start(&router, &router_config(&members, Some(bfd)))?;
        for member in &members {
            for family in IpVersion::BOTH {
                let session = frr.wait_established(&member.addresses.of(family).to_string(), WITHIN)?;
                ensure!(
                    session.asn == member.asn && session.hold_time == Duration::from_secs(9),
                    "{session:?}"
                );
                ensure!(session.families == [family].into(), "{session:?}");
                ensure!(session.capabilities.contains(&Capability::FourOctetAsn), "{session:?}");
                ensure!(!session.capabilities.contains(&Capability::GracefulRestart), "{session:?}");
                let detection = frr.wait_bfd_up(member.addresses.of(family), WITHIN)?.detection;
                ensure!(detection == Duration::from_millis(150), "{detection:?}");
            }
        }
        spreads(lab, &router, &members)?;
        let routes = frr.routes(host_prefix(WEB_V4))?;
        let first = routes.iter().find(|it| it.from == Some(members[0].addresses.v4.into()));
        has_attributes(first.context("no route from n1")?, &members[0], &[members[0].asn])
    })
}

#[test]
fn bird_spreads_clients_over_nodes_and_detects_a_dead_one() -> Result<()> {
    web().run(|lab| {
        let bfd = BfdTimers::every(Duration::from_millis(50));
        let members = members(lab, &["n1", "n2", "n3"])?;
        let mut nodes = start_nodes(&members, Some(bfd))?;
        let router = lab.router()?;
        let bird = Bird::start(&router, &router_config(&members, Some(bfd)))?;
        for member in &members {
            for family in IpVersion::BOTH {
                let session = bird.wait_established(&member.addresses.of(family).to_string(), WITHIN)?;
                ensure!(session.asn == member.asn && session.families == [family].into(), "{session:?}");
                let bfd = bird.wait_bfd_up(member.addresses.of(family), WITHIN)?;
                ensure!(bfd.detection == Duration::from_millis(150), "{bfd:?}");
            }
        }
        spreads(lab, &router, &members)?;
        let routes = bird.routes(host_prefix(WEB_V4))?;
        let first = routes.iter().find(|it| it.from == Some(members[0].addresses.v4.into()));
        has_attributes(first.context("no route from n1")?, &members[0], &[members[0].asn])?;

        drop(nodes.remove(0));
        spreads(lab, &router, &members[1..])
    })
}

/// Four routers in a rack, in session with the lab's own FRR, which propagates their routes.
#[test]
fn four_router_implementations_exchange_routes() -> Result<()> {
    let topology = (1..=4).fold(Topology::empty(), |topology, number| topology.router('a', number));
    topology.run(|lab| {
        let members = members(lab, &["r1", "r2", "r3", "r4"])?;
        let config = |place: usize| member_config(&members[place], None);
        let mut listening = config(3);
        listening.peers.iter_mut().for_each(|peer| peer.passive = true);
        let others: [Box<dyn RouterDaemon>; 4] = [
            Box::new(Frr::start(members[0].host, &config(0))?),
            Box::new(Bird::start(members[1].host, &config(1))?),
            Box::new(Gobgp::start(members[2].host, &config(2))?),
            Box::new(Exabgp::start(members[3].host, &listening)?),
        ];
        let router = lab.router()?;
        let frr = Frr::start(&router, &router_config(&members, None).originate(far_route()?))?;
        for (member, other) in members.iter().zip(&others) {
            for family in IpVersion::BOTH {
                frr.wait_established(&member.addresses.of(family).to_string(), WITHIN)?;
                let session = other.wait_established(&member.gateway.of(family).to_string(), WITHIN)?;
                ensure!(session.asn == ROUTER_AS && session.families == [family].into(), "{session:?}");
                ensure!(session.capabilities.contains(&Capability::FourOctetAsn), "{session:?}");
                ensure!(session.hold_time == Duration::from_secs(9), "{session:?}");
            }
            let far = far_route()?;
            let routes = other.wait_routes(far.prefix, WITHIN, &|routes| !routes.is_empty())?;
            let expected = RouteView {
                from: Some(member.gateway.v4.into()),
                origin: RouteOrigin::Igp,
                next_hops: vec![member.gateway.v4.into()],
                as_path: vec![ROUTER_AS],
                communities: far.communities.into_iter().collect(),
                large_communities: far.large_communities.into_iter().collect(),
                ..routes[0].clone()
            };
            ensure!(routes == [expected], "{}: {routes:?}", other.host().name());
        }
        for vip in [WEB_V4, WEB_V6] {
            let prefix = host_prefix(vip);
            let routes = frr.wait_routes(prefix, WITHIN, &|routes| routes.len() == members.len())?;
            for member in &members {
                let from = member.addresses.of(IpVersion::of(vip));
                let route = routes.iter().find(|it| it.from == Some(from));
                has_attributes(route.with_context(|| format!("none from {from}"))?, member, &[member.asn])?;
            }
            let hops: Vec<IpAddr> = members.iter().map(|it| it.addresses.of(IpVersion::of(vip))).collect();
            wait_kernel_next_hops(&router, prefix, &hops, WITHIN)?;
        }
        Ok(())
    })
}

/// One BIRD for each session option, all with FRR.
#[test]
fn sessions_come_up_with_every_option() -> Result<()> {
    let topology = (1..=6).fold(Topology::empty(), |topology, number| topology.router('a', number));
    topology.run(|lab| {
        let members = members(lab, &["r1", "r2", "r3", "r4", "r5", "r6"])?;
        let router = lab.router()?;
        let gateway = members[0].gateway.v4;
        let mut config = RouterConfig::new(ROUTER_AS, gateway);
        let mut birds = Vec::new();
        for (member, (ours, theirs)) in members.iter().zip(options(&members)) {
            config = config.peer(ours);
            birds.push(Bird::start(
                member.host,
                &RouterConfig::new(member.asn, member.addresses.v4).peer(theirs),
            )?);
        }
        let frr = Frr::start(&router, &config)?;
        let name = |place: usize| members[place].addresses.v4.to_string();
        for place in 0..4 {
            frr.wait_established(&name(place), WITHIN).with_context(|| format!("option {place}"))?;
        }
        let multihop = frr.wait_bfd_up(members[2].addresses.v4.into(), WITHIN)?;
        ensure!(multihop.multihop == Some(true), "{multihop:?}");
        ensure!(multihop.transmit == Duration::from_millis(100), "{multihop:?}");
        let restarting = frr.session(&name(3))?;
        ensure!(restarting.restart_time == Some(Duration::from_secs(7)), "{restarting:?}");
        ensure!(restarting.capabilities.contains(&Capability::GracefulRestart), "{restarting:?}");

        let unnumbered = frr.wait_established("rack-a", WITHIN)?;
        ensure!(unnumbered.families == IpVersion::BOTH.into() && unnumbered.asn == members[4].asn);
        ensure!(birds[4].session("eth0")?.established, "{:?}", birds[4].sessions());
        // All others had their time; this one, with the wrong password, never comes up.
        let wrong = frr.session(&name(5))?;
        ensure!(!wrong.established, "{wrong:?}");
        Ok(())
    })
}

#[test]
fn routers_leave_nothing_behind() -> Result<()> {
    let before = traces();
    let lab = Topology::empty().router('a', 1).start()?;
    let frr = Frr::start(lab.host("r1")?, &RouterConfig::new(65_001, Ipv4Addr::new(192, 0, 2, 1)))?;
    ensure!(frr.sessions()?.is_empty());
    drop(frr);
    drop(lab);
    let left: Vec<String> = traces().difference(&before).cloned().collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Returns the files under the names that FRR uses.
fn traces() -> BTreeSet<String> {
    let places = ["/etc/frr", "/run/frr", "/var/tmp/frr"].into_iter().filter_map(|it| fs::read_dir(it).ok());
    places.flatten().flatten().map(|entry| entry.path().display().to_string()).collect()
}

/// Returns for each member FRR's and its own configuration: a password; TTL security; multihop with BFD; a
/// range and graceful restart; an interface; and two different passwords.
fn options(members: &[Member<'_>]) -> [(RouterPeer, RouterPeer); 6] {
    let ours = |place: usize| RouterPeer::at(members[place].addresses.v4, members[place].asn);
    let theirs = RouterPeer::at(members[0].gateway.v4, ROUTER_AS);
    let range = IpNet::from(IpAddr::V4(members[3].addresses.v4));
    let secure = |peer: RouterPeer| RouterPeer { ttl_security: Some(1), ..peer };
    // BIRD sends multihop BFD packets with the default TTL, 64. FRR requires 255 minus the hops of the BGP
    // session, whatever the profile says: with fewer than 192 hops it drops them.
    let multihop = |peer: RouterPeer| RouterPeer { multihop: Some(255), ..peer };
    let slow = BfdTimers::every(Duration::from_millis(100));
    let restarting = RouterPeer { graceful_restart: GracefulRestartMode::Full(7), ..theirs.clone() };
    let listening = RouterPeer {
        graceful_restart: GracefulRestartMode::Helper,
        ..RouterPeer::within(range, members[3].asn)
    };
    // BIRD's multihop sessions need a source address.
    let far = theirs.clone().source(members[2].addresses.v4);
    [
        (ours(0).password("secret"), theirs.clone().password("secret")),
        (secure(ours(1)), secure(theirs.clone())),
        (multihop(ours(2)).bfd(slow), multihop(far).bfd(slow)),
        (listening, restarting),
        (RouterPeer::behind("rack-a", members[4].asn), RouterPeer::behind("eth0", ROUTER_AS)),
        (ours(5).password("one"), theirs.password("another")),
    ]
}

/// A host in rack a that is a peer of the lab's router.
struct Member<'lab> {
    host: &'lab LabHost,
    addresses: HostAddresses,
    gateway: HostAddresses,
    asn: u32,
    /// Its number, which is part of its communities.
    number: u16,
}

fn members<'lab>(lab: &'lab Lab, names: &[&str]) -> Result<Vec<Member<'lab>>> {
    let mut members = Vec::new();
    for (number, name) in (1..).zip(names) {
        let (addresses, segment) = {
            let topology = lab.topology();
            let node = topology.find_node(name).map(|it| (it.addresses(), it.segment()));
            node.or_else(|_| topology.find_router(name).map(|it| (it.addresses(), it.segment())))?
        };
        members.push(Member {
            host: lab.host(name)?,
            addresses,
            gateway: segment.gateway(),
            asn: ROUTER_AS + u32::from(number),
            number,
        });
    }
    Ok(members)
}

/// Returns a member's configuration: sessions of both families, and the Service's addresses.
fn member_config(member: &Member<'_>, bfd: Option<BfdTimers>) -> RouterConfig {
    let mut config = RouterConfig::new(member.asn, member.addresses.v4);
    for family in IpVersion::BOTH {
        let peer = RouterPeer::at(member.gateway.of(family), ROUTER_AS).source(member.addresses.of(family));
        config = config.peer(RouterPeer { bfd, ..peer });
    }
    for vip in [WEB_V4, WEB_V6] {
        config = config.originate(OriginatedRoute {
            communities: vec![(64512, member.number), (64512, 100)],
            large_communities: vec![(ROUTER_AS, 1, member.number.into())],
            med: Some(10),
            ..OriginatedRoute::of(host_prefix(vip))
        });
    }
    config
}

/// Returns the router's configuration: sessions of both families with all members.
fn router_config(members: &[Member<'_>], bfd: Option<BfdTimers>) -> RouterConfig {
    let mut config = RouterConfig::new(ROUTER_AS, Ipv4Addr::new(192, 0, 2, 1));
    for member in members {
        for family in IpVersion::BOTH {
            let peer =
                RouterPeer::at(member.addresses.of(family), member.asn).source(member.gateway.of(family));
            config = config.peer(RouterPeer { bfd, ..peer });
        }
    }
    config
}

fn start_nodes(members: &[Member<'_>], bfd: Option<BfdTimers>) -> Result<Vec<Bird>> {
    members.iter().map(|member| Bird::start(member.host, &member_config(member, bfd))).collect()
}

fn far_route() -> Result<OriginatedRoute> {
    Ok(OriginatedRoute {
        communities: vec![(65_000, 7)],
        large_communities: vec![(ROUTER_AS, 7, 7)],
        ..OriginatedRoute::of("198.51.100.0/24".parse()?)
    })
}

fn has_attributes(route: &RouteView, member: &Member<'_>, as_path: &[u32]) -> Result<()> {
    ensure!(route.as_path == as_path, "{route:?}");
    ensure!(route.med == Some(10), "{route:?}");
    ensure!(route.communities == [(64512, member.number), (64512, 100)].into(), "{route:?}");
    ensure!(route.large_communities == [(ROUTER_AS, 1, member.number.into())].into(), "{route:?}");
    Ok(())
}

/// Checks that the router's kernel routes both addresses of the Service to all members, and clients are
/// served.
fn spreads(lab: &Lab, router: &LabHost, members: &[Member<'_>]) -> Result<()> {
    for vip in [WEB_V4, WEB_V6] {
        let hops: Vec<IpAddr> = members.iter().map(|it| it.addresses.of(IpVersion::of(vip))).collect();
        wait_kernel_next_hops(router, host_prefix(vip), &hops, WITHIN)?;
        let url = format!("http://{}/", SocketAddr::new(vip, 80));
        let mut pods = BTreeSet::new();
        for _ in 0..8 {
            let body = lab.client()?.command("curl").args(["-sS", "-m", "5", "-g", &url]).text()?;
            pods.extend(body.split_whitespace().find(|word| word.starts_with("pod=")).map(str::to_owned));
        }
        ensure!(pods.len() > 1, "eight connections to {vip} were served by {pods:?}");
    }
    Ok(())
}

fn host_prefix(address: IpAddr) -> IpNet {
    address.into()
}

/// Returns three nodes with two pods each, and the Service `web` on them.
fn web() -> Topology {
    let mut topology = Topology::empty();
    for number in 1..=3 {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 2);
    }
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
}
