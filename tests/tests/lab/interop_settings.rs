//! Tests of BGPPeer settings, correct and wrong, with real routers: one node has a session for each with FRR
//! and with BIRD at once, and those that stay down report why. Also GoBGP, ExaBGP and routers without
//! capabilities.
//!
//! Each session has an address of its own on both sides, because routers and nodes identify peers by address.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, WEB_V6};
use fairlead_tests::objects::{NAMESPACE, bfd_profile, metallb, yaml};
use fairlead_tests::peers::{AGENTS_AS, ROUTERS_AS};
use fairlead_tests::routers::fake::{FakeBehavior, FakeRouter};
use fairlead_tests::routers::{
    BfdTimers, Bird, Capability, Exabgp, Frr, Gobgp, RouterConfig, RouterDaemon, RouterPeer, wait,
};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(40);
/// The AS number by which one router knows the node.
const LOCAL_AS: u32 = 4_200_000_077;
/// An AS number that no router has.
const NOBODYS_AS: u32 = 4_200_000_099;
/// The AS number of routers with two-octet AS numbers only.
const OLD_AS: u32 = 64_513;
const ROUTER_ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
/// Attempts after which a router that waits after an error has reset some.
const ATTEMPTS: u64 = 4;

/// A session: its name, and edits of the BGPPeer and of the router's configuration.
type Row = (&'static str, fn(&mut Value), fn(RouterPeer) -> RouterPeer);

/// Sessions that come up.
const UP: [Row; 7] = [
    ("plain", |_| (), |peer| peer),
    ("local-asn", |spec| spec["localASN"] = json!(LOCAL_AS), |peer| RouterPeer { asn: LOCAL_AS, ..peer }),
    ("external", |spec| dynamic(spec, "external"), |peer| peer),
    (
        "internal",
        |spec| {
            dynamic(spec, "internal");
            spec["myASN"] = json!(ROUTERS_AS);
        },
        |peer| RouterPeer { asn: ROUTERS_AS, ..peer },
    ),
    ("router-id", |spec| spec["routerID"] = json!(ROUTER_ID.to_string()), |peer| peer),
    ("secret", |spec| spec["passwordSecret"] = json!({ "name": "kept" }), |peer| peer.password("theirs")),
    (
        "times",
        |spec| {
            spec["holdTime"] = json!("6s");
            spec["keepaliveTime"] = json!("1s");
        },
        |peer| peer,
    ),
];

/// Sessions that stay down because of the router's configuration: another AS number, or IPv6 only.
const WRONG: [Row; 5] = [
    ("wrong-peer", |spec| spec["peerASN"] = json!(NOBODYS_AS), with_error_wait),
    ("wrong-internal", |spec| dynamic(spec, "internal"), with_error_wait),
    (
        "wrong-external",
        |spec| {
            dynamic(spec, "external");
            spec["myASN"] = json!(ROUTERS_AS);
        },
        |peer| RouterPeer { asn: ROUTERS_AS, ..with_error_wait(peer) },
    ),
    ("wrong-own", |_| (), |peer| RouterPeer { asn: NOBODYS_AS, ..with_error_wait(peer) }),
    ("no-family", |_| (), |peer| RouterPeer { families: vec![IpVersion::V6], ..with_error_wait(peer) }),
];

/// Sessions that stay down until their Secret changes, or come up without BFD.
const OTHERS: [Row; 2] = [
    ("rotated", |spec| spec["passwordSecret"] = json!({ "name": "rotated" }), |peer| peer.password("theirs")),
    ("unwatched", |spec| spec["bfdProfile"] = json!("fast"), |peer| peer),
];

fn dynamic(spec: &mut Value, side: &str) {
    spec["peerASN"] = Value::Null;
    spec["dynamicASN"] = json!(side);
}

/// Sets BIRD's default wait after an error, with which it resets all attempts but the first.
fn with_error_wait(peer: RouterPeer) -> RouterPeer {
    RouterPeer { error_wait: 60, ..peer }
}

#[test]
fn every_setting_works_with_frr_and_bird_and_wrong_ones_are_reported() -> Result<()> {
    topology(2).run(|lab| {
        let rows: Vec<Row> = UP.into_iter().chain(WRONG).chain(OTHERS).collect();
        let places = [RouterHost::of(lab, 1, "frr")?, RouterHost::of(lab, 2, "bird")?];
        let frr = Frr::start(lab.host("r1")?, &places[0].router(lab, &rows, &[])?)?;
        let bird = Bird::start(lab.host("r2")?, &places[1].router(lab, &rows, &[])?)?;
        let routers: [(&RouterHost, &dyn RouterDaemon); 2] = [(&places[0], &frr), (&places[1], &bird)];
        let mut objects = vec![
            secret("kept", "theirs"),
            secret("rotated", "ours"),
            bfd_profile("fast", BfdTimers::every(Duration::from_millis(100))),
        ];
        for place in &places {
            objects.extend(place.peers(&rows));
            objects.push(place.unknown_peer(rows.len()));
        }
        let node = lab.node("n1")?;
        write_objects(lab, "bgp.yaml", &objects)?;
        node.start_agent(&LabAgentOptions::default())?;
        for (place, router) in routers {
            settings_are_used(place, router, &node)?;
            wrong_numbers_are_named(place, &node)?;
            let session = node.session(&place.name("unwatched"))?;
            ensure!(session["state"] == "established", "{session}");
            an_unknown_peer_is_retried_every_connect_time(place, rows.len(), &node)?;
        }
        wait(WITHIN, || {
            let problems = bgp(&node)?["problems"].to_string();
            ensure!(problems.matches("BFD is not up").count() == 2, "{problems}");
            Ok(())
        })?;
        the_log_explains_each_once(&node, &places)?;
        a_secret_is_rotated(lab, &node, &routers, &mut objects)
    })
}

/// GoBGP and ExaBGP reject differently than FRR and BIRD.
#[test]
fn wrong_as_numbers_of_gobgp_and_exabgp_are_reported() -> Result<()> {
    topology(4).run(|lab| {
        let rows: Vec<Row> = UP.into_iter().take(1).chain(WRONG).collect();
        let places = [RouterHost::of(lab, 1, "gobgp")?, RouterHost::of(lab, 2, "exabgp")?];
        let gobgp = Gobgp::start(lab.host("r1")?, &places[0].router(lab, &rows, &[])?)?;
        let mut listening = places[1].router(lab, &rows, &[])?;
        listening.peers.iter_mut().for_each(|peer| peer.passive = true);
        let exabgp = Exabgp::start(lab.host("r2")?, &listening)?;
        let routers: [(&RouterHost, &dyn RouterDaemon); 2] = [(&places[0], &gobgp), (&places[1], &exabgp)];
        let old = old_routers(lab)?;
        let mut objects: Vec<Value> = places.iter().flat_map(|place| place.peers(&rows)).collect();
        objects.extend(old.iter().map(|(name, address, _)| {
            let mut spec = spec(Ipv4Addr::new(10, 1, 0, 11), *address);
            spec["peerASN"] = json!(OLD_AS);
            spec["dualStackAddressFamily"] = json!(true);
            metallb("v1beta2", "BGPPeer", name, &spec)
        }));
        let node = lab.node("n1")?;
        write_objects(lab, "bgp.yaml", &objects)?;
        node.start_agent(&LabAgentOptions::default())?;
        for (place, router) in routers {
            router.wait_established(&place.ours(0).to_string(), WITHIN)?;
            wrong_numbers_are_named(place, &node)?;
        }
        routers_without_capabilities_get_sessions(&node, &old)
    })
}

/// Checks that the router sees each session as configured.
fn settings_are_used(place: &RouterHost, router: &dyn RouterDaemon, node: &LabNode<'_>) -> Result<()> {
    let session = |number: usize| router.wait_established(&place.ours(number).to_string(), WITHIN);
    let as_path = |number: usize| -> Result<Vec<u32>> {
        let from = place.ours(number).into();
        let routes = router.wait_routes(WEB_V4.into(), WITHIN, &|routes| {
            routes.iter().any(|route| route.from == Some(from))
        })?;
        let route = routes.into_iter().find(|route| route.from == Some(from));
        Ok(route.context("no route")?.as_path)
    };
    for (number, (name, ..)) in UP.iter().enumerate() {
        let session = session(number).with_context(|| (*name).to_owned())?;
        ensure!(!session.capabilities.contains(&Capability::GracefulRestart), "{name}: {session:?}");
        let hold_time = if *name == "times" { 6 } else { 9 };
        ensure!(session.hold_time == Duration::from_secs(hold_time), "{name}: {session:?}");
        ensure!((session.router_id == Some(ROUTER_ID)) == (*name == "router-id"), "{name}: {session:?}");
        let path: &[u32] = match *name {
            "local-asn" => &[LOCAL_AS],
            "internal" => &[],
            _ => &[AGENTS_AS],
        };
        ensure!(as_path(number)? == path, "{name}: {:?}", as_path(number)?);
    }
    let keepalives = || -> Result<u64> {
        let session = node.session(&place.name("times"))?;
        session["counters"]["sent"]["keepalive"].as_u64().context("no counter")
    };
    let before = keepalives()?;
    thread::sleep(Duration::from_secs(4));
    let sent = keepalives()? - before;
    ensure!((3..=6).contains(&sent), "{sent} KEEPALIVEs in 4 s instead of one per second");
    Ok(())
}

/// Checks the reported reasons: the first one stays, whatever the router does on later attempts.
fn wrong_numbers_are_named(place: &RouterHost, node: &LabNode<'_>) -> Result<()> {
    let expected = [
        ("wrong-peer", format!("AS number is {ROUTERS_AS}; peerASN is {NOBODYS_AS}"), "set peerASN to 42"),
        (
            "wrong-internal",
            format!("AS number is {ROUTERS_AS}; dynamicASN internal"),
            "dynamicASN to external",
        ),
        ("wrong-external", format!("AS number is {ROUTERS_AS}, the same as ours"), "dynamicASN to internal"),
        (
            "wrong-own",
            "bad peer AS (2/2)".to_owned(),
            "expects another AS number of this node than 4200000001",
        ),
        // The side that reads the other's OPEN first reports it.
        ("no-family", String::new(), "activate the address family for this node on the router"),
    ];
    for (name, error, advice) in expected {
        wait(WITHIN, || {
            let session = node.session(&place.name(name))?;
            let has = |field: &str, words: &str| session[field].as_str().is_some_and(|it| it.contains(words));
            ensure!(session["counters"]["sent"]["open"].as_u64() >= Some(ATTEMPTS), "{session}");
            ensure!(has("last_error", &error) && has("advice", advice), "{session}");
            println!("{}: {}; {}", place.name(name), session["last_error"], session["advice"]);
            Ok(())
        })?;
    }
    Ok(())
}

/// Checks that the log says the same, once for every kind of failure.
fn the_log_explains_each_once(node: &LabNode<'_>, places: &[RouterHost]) -> Result<()> {
    let log = node.agent_log();
    for place in places {
        for (name, advice) in [("wrong-peer", "set peerASN to"), ("wrong-internal", "dynamicASN to external")]
        {
            let peer = format!("peer={}", place.name(name));
            let is_it = |line: &&str| line.ends_with(&peer) && line.contains("no BGP session");
            let lines: Vec<_> = log.lines().filter(is_it).collect();
            ensure!(lines.len() == 1 && lines[0].contains(advice), "{peer}: {lines:#?}");
        }
    }
    Ok(())
}

/// Checks that attempts are no further apart than `connectTime`, and that the advice describes a router
/// without such a peer.
fn an_unknown_peer_is_retried_every_connect_time(
    place: &RouterHost,
    number: usize,
    node: &LabNode<'_>,
) -> Result<()> {
    let name = place.name("unknown-node");
    let attempts =
        || -> Result<u64> { node.session(&name)?["counters"]["connects"].as_u64().context("no counter") };
    // If delays doubled further, the next would be four seconds, and then eight.
    wait(WITHIN, || {
        ensure!(attempts()? >= ATTEMPTS);
        Ok(())
    })?;
    let before = attempts()?;
    thread::sleep(Duration::from_secs(5));
    let made = attempts()? - before;
    ensure!((2..=4).contains(&made), "{made} attempts in 5 s from {}", place.ours(number));
    let session = node.session(&name)?;
    println!("{name}: {}; {}", session["last_error"], session["advice"]);
    ensure!(session["advice"].to_string().contains("does not have this node's address"), "{session}");
    Ok(())
}

/// Checks that the session with the wrong password comes up with the right one, in the same agent, and the
/// other sessions are not disturbed.
fn a_secret_is_rotated(
    lab: &Lab,
    node: &LabNode<'_>,
    routers: &[(&RouterHost, &dyn RouterDaemon); 2],
    objects: &mut [Value],
) -> Result<()> {
    let number = UP.len() + WRONG.len();
    for (place, _) in routers {
        wait(WITHIN, || {
            let session = node.session(&place.name("rotated"))?;
            ensure!(session["last_error"].to_string().contains("no answer"), "{session}");
            ensure!(session["advice"].to_string().contains("the same TCP-MD5 password"), "{session}");
            Ok(())
        })?;
    }
    objects[1] = secret("rotated", "theirs");
    write_objects(lab, "bgp.yaml", objects)?;
    for (place, router) in routers {
        router.wait_established(&place.ours(number).to_string(), WITHIN)?;
        for (name, ..) in UP {
            let session = node.session(&place.name(name))?;
            ensure!(session["state"] == "established" && session["counters"]["flaps"] == 0, "{session}");
        }
    }
    Ok(())
}

/// Starts routers that support no capabilities, or not all.
fn old_routers(lab: &Lab) -> Result<Vec<(&'static str, Ipv4Addr, FakeRouter)>> {
    let manners = [
        ("without-capabilities", "r3", FakeBehavior::RejectsParameters),
        ("without-extended-message", "r4", FakeBehavior::RejectsExtendedMessages),
    ];
    let start = |(name, host, behavior)| -> Result<_> {
        let address = lab.topology().find_router(host)?.addresses().v4;
        Ok((name, address, FakeRouter::start(lab.host(host)?, OLD_AS, address, behavior)?))
    };
    manners.into_iter().map(start).collect()
}

/// RFC 5492 section 3: the second OPEN omits what was rejected, and the session stays up.
fn routers_without_capabilities_get_sessions(
    node: &LabNode<'_>,
    old: &[(&str, Ipv4Addr, FakeRouter)],
) -> Result<()> {
    for (name, _, router) in old {
        wait(WITHIN, || {
            let session = node.session(name)?;
            ensure!(session["state"] == "established" && !router.updates().is_empty(), "{session}");
            Ok(())
        })?;
        let opens = router.opens();
        ensure!(opens.len() == 2 && opens[1].len() < opens[0].len(), "{name}: {opens:?}");
    }
    ensure!(old[0].2.opens()[1].is_empty(), "{:?}", old[0].2.opens());
    let problems = bgp(node)?["problems"].to_string();
    for words in [
        "without-capabilities: the router refuses capabilities",
        "AS 23456 (AS_TRANS)",
        "): extended message",
    ] {
        ensure!(problems.contains(words), "{words}: {problems}");
    }
    ensure!(problems.contains("1 routes cannot be advertised to the router"), "{problems}");
    Ok(())
}

/// A router, and the addresses of its sessions with the node.
struct RouterHost {
    kind: &'static str,
    number: u8,
    router_id: Ipv4Addr,
}

impl RouterHost {
    /// Sets up `r<number>`, with an address per session on both sides.
    fn of(lab: &Lab, number: u8, kind: &'static str) -> Result<Self> {
        let host = format!("r{number}");
        let router_id = lab.topology().find_router(&host)?.addresses().v4;
        let place = Self { kind, number, router_id };
        let add = |address: Ipv4Addr| format!("addr add {address}/32 dev eth0");
        let sessions = 0..UP.len() + WRONG.len() + OTHERS.len() + 1;
        lab.node("n1")?.ip(&sessions.clone().map(|it| add(place.ours(it))).collect::<Vec<_>>())?;
        lab.host(&host)?.ip(&sessions.map(|it| add(place.theirs(it))).collect::<Vec<_>>())?;
        Ok(place)
    }

    /// Returns the node's address of a session.
    fn ours(&self, session: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 0, 20 + 20 * self.number + session as u8)
    }

    /// Returns the router's address of a session.
    fn theirs(&self, session: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 0, 80 + 20 * self.number + session as u8)
    }

    /// Returns the name of a BGPPeer.
    fn name(&self, row: &str) -> String {
        format!("{}-{row}", self.kind)
    }

    /// Returns the router's configuration.
    fn router(&self, lab: &Lab, rows: &[Row], more: &[RouterPeer]) -> Result<RouterConfig> {
        ensure!(lab.nodes()?.len() == 1, "each session needs exactly one node");
        let mut config = RouterConfig::new(ROUTERS_AS, self.router_id);
        for (number, (_, _, edit)) in rows.iter().enumerate() {
            let peer = RouterPeer::at(self.ours(number), AGENTS_AS).source(self.theirs(number));
            config = config.peer(edit(peer));
        }
        config.peers.extend(more.iter().cloned());
        Ok(config)
    }

    /// Returns the node's BGPPeers.
    fn peers(&self, rows: &[Row]) -> Vec<Value> {
        let peer = |(number, (name, change, _)): (usize, &Row)| {
            let mut spec = spec(self.ours(number), self.theirs(number));
            change(&mut spec);
            metallb("v1beta2", "BGPPeer", &self.name(name), &spec)
        };
        rows.iter().enumerate().map(peer).collect()
    }

    /// Returns a peer whose router does not have this node's address configured.
    fn unknown_peer(&self, session: usize) -> Value {
        let mut spec = spec(self.ours(session), self.theirs(session));
        spec["connectTime"] = json!("2s");
        metallb("v1beta2", "BGPPeer", &self.name("unknown-node"), &spec)
    }
}

fn spec(ours: Ipv4Addr, theirs: Ipv4Addr) -> Value {
    json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": theirs.to_string(),
        "sourceAddress": ours.to_string(),
        "holdTime": "9s",
        "connectTime": "1s",
    })
}

fn secret(name: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/basic-auth",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "stringData": { "password": password },
    })
}

fn write_objects(lab: &Lab, file: &str, objects: &[Value]) -> Result<()> {
    let all = metallb("v1beta1", "BGPAdvertisement", "all", &json!({}));
    let text = yaml(objects) + &yaml(&[all]);
    Ok(fs::write(lab.outside(&lab.manifests_directory().join(file)), text)?)
}

fn bgp(node: &LabNode<'_>) -> Result<Value> {
    Ok(serde_json::from_str(&node.fairlead(&["status", "bgp", "-o", "json"])?)?)
}

/// Access to the agent's status of a session.
trait Sessions {
    fn session(&self, peer: &str) -> Result<Value>;
}

impl Sessions for LabNode<'_> {
    fn session(&self, peer: &str) -> Result<Value> {
        let status = bgp(self)?;
        let found = status["sessions"].as_array().into_iter().flatten().find(|it| it["peer"] == peer);
        found.cloned().with_context(|| format!("no session {peer}: {status}"))
    }
}

/// Returns a node with a pod of the Service `web`, and additional routers.
fn topology(routers: u8) -> Topology {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    let topology = (1..=routers).fold(topology, |topology, number| topology.router('a', number));
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local)
}
