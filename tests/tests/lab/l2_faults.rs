//! Tests of announcement on the local network with many addresses, with other hosts that use one, and while
//! the network is split.

use std::collections::BTreeMap;
use std::env;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabNode, agents};
use fairlead_tests::layer2::frames::announcements;
use fairlead_tests::layer2::many;
use fairlead_tests::layer2::segment::{
    LINK, OBSERVER, PREEMPT_AFTER, STRANGER, layer2_status, mac_of, neighbor, observe, observe_from, options,
    preferring, start_agents, topology, vips,
};
use fairlead_tests::layer2::takeover::wait_alone;
use fairlead_tests::layer2::wire::Wire;
use fairlead_tests::layer2::{Detection, HostMac, NeighborFrame, SegmentLog};
use serde_json::Value;

/// Serializes the tests of this file, which measure times.
static ALONE: Mutex<()> = Mutex::new(());

/// Pairs of addresses that one node announces.
const PAIRS: u16 = 500;
/// What all frames a second of nodes that take over are limited to.
const RATE: usize = 2000;
/// How long the first announcements of all addresses may take.
const ANNOUNCED_WITHIN: Duration = Duration::from_millis(500);
/// Errors of the measurement: the announcer's tick, and when the observer's host ran.
const BLUR: Duration = Duration::from_millis(100);
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// The defence of an address is repeated no sooner (RFC 5227, `DEFEND_INTERVAL`).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

fn is_long() -> bool {
    env::var_os("FAIRLEAD_SOAK").is_some()
}

/// One node announces a thousand addresses and dies: all of them are announced once before any of them twice,
/// and the survivors share the rate.
#[test]
fn a_thousand_addresses_are_taken_over_at_once() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for nodes in [2, 3] {
        preferring(topology(nodes, 1, ExternalPolicy::Local), &["n1"]).run(take_over_many)?;
    }
    Ok(())
}

fn take_over_many(lab: &Lab) -> Result<()> {
    let addresses = many::add_services(lab, PAIRS)?;
    start_agents(lab, &options(Detection::DEFAULT))?;
    let (node, first) = (lab.node("n1")?, mac_of(lab, "n1")?);
    many::wait_announced(lab, &addresses, |mac| mac == first)?;
    // The repeated announcements of the start are over.
    sleep(Duration::from_secs(2));
    let observer = observe(lab, &[], Duration::from_secs(1))?;
    let failed = Instant::now();
    node.cut_link()?;
    sleep(Duration::from_secs(4));
    let log = observer.finish()?;
    let claims = many::first_claims(&log, first);
    let missing = addresses.iter().filter(|it| !claims.contains_key(it)).count();
    let of_vips = claims.iter().filter(|(address, _)| addresses.contains(address)).map(|(_, at)| *at);
    let begun = of_vips.clone().min().context("nothing was announced")?;
    let last = of_vips.max().unwrap_or(begun);
    let is_theirs = |it: &NeighborFrame| it.is_claim() && it.mac != first;
    let sent = log.frames.iter().filter(|it| is_theirs(&it.frame)).count();
    let busiest = log.busiest(is_theirs, Duration::from_secs(1));
    println!(
        "{} addresses, {} survivors: detected after {:.3?}, all announced {:.3?} later; {sent} frames, at most \
         {busiest} in a second; {missing} not announced, {} not captured",
        addresses.len(),
        lab.nodes()?.len() - 1,
        begun.saturating_duration_since(failed),
        last.saturating_duration_since(begun),
        log.dropped,
    );
    ensure!(missing == 0 && log.dropped == 0, "{missing} of {} were not announced", addresses.len());
    ensure!(last.saturating_duration_since(begun) <= ANNOUNCED_WITHIN + BLUR, "announced too slowly");
    ensure!(busiest <= RATE, "{busiest} frames in a second");
    many::wait_announced(lab, &addresses, |mac| mac != first)
}

/// Returns the status of an address at a node.
fn address_status(node: &LabNode<'_>, address: IpAddr) -> Result<Value> {
    let status = layer2_status(node)?;
    let found = agents::list(&status, "addresses")?.iter().find(|it| it["address"] == address.to_string());
    found.cloned().with_context(|| format!("{}: no {address} in {status}", node.name()))
}

/// Waits until a node says something of an address.
fn wait_address(lab: &Lab, address: IpAddr, what: &str, expected: impl Fn(&Value) -> bool) -> Result<()> {
    let until = Instant::now() + SEEN_WITHIN;
    loop {
        let seen =
            lab.nodes()?.iter().map(|node| address_status(node, address)).collect::<Result<Vec<_>>>()?;
        if seen.iter().any(&expected) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{address}: no node reports {what}: {seen:?}");
        sleep(Duration::from_millis(50));
    }
}

/// Gives the stranger addresses, or takes them away.
fn set_stranger(lab: &Lab, addresses: &[IpAddr], verb: &str) -> Result<()> {
    let lines = addresses.iter().map(|address| {
        let length = if address.is_ipv4() { 24 } else { 64 };
        format!(
            "addr {verb} {address}/{length} dev {LINK} {}",
            if verb == "add" { "noprefixroute" } else { "" }
        )
    });
    lab.host(STRANGER)?.ip(&lines.collect::<Vec<_>>())
}

/// An address that another host has is not announced, and its other traffic goes on; the others are.
#[test]
fn an_address_in_use_is_not_announced() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    topology(3, 2, ExternalPolicy::Local).run(|lab| {
        let (taken, free, stranger) = (vips(0..1), vips(1..2), mac_of(lab, STRANGER)?);
        set_stranger(lab, &taken, "add")?;
        let observer = observe(lab, &vips(0..2), Duration::from_millis(2))?;
        start_agents(lab, &options(Detection::DEFAULT))?;
        sleep(Duration::from_secs(3));
        let log = observer.finish()?;
        for address in &taken {
            let claims = claims_of(&log, *address);
            ensure!(claims.keys().eq([&stranger]), "{address}: {claims:?}, not {stranger} alone");
            wait_address(lab, *address, "a conflict", |it| it["phase"] == "conflict")?;
        }
        for address in &free {
            let claims = claims_of(&log, *address);
            // It may move once, when the nodes that started later are stable.
            ensure!(!claims.is_empty() && !claims.contains_key(&stranger), "{address}: {claims:?}");
        }
        if is_long() {
            // It is asked for again, every 30 s.
            set_stranger(lab, &taken, "del")?;
            sleep(Duration::from_secs(35));
            let observer = observe(lab, &taken, Duration::from_millis(10))?;
            sleep(Duration::from_secs(1));
            let log = observer.finish()?;
            for address in &taken {
                let claims = claims_of(&log, *address);
                ensure!(claims.len() == 1 && !claims.contains_key(&stranger), "{address}: {claims:?}");
            }
        }
        Ok(())
    })
}

/// Returns who claimed an address, how often.
fn claims_of(log: &SegmentLog, address: IpAddr) -> BTreeMap<HostMac, usize> {
    let mut claims = BTreeMap::new();
    for it in log.frames.iter().filter(|it| it.frame.is_claim() && it.frame.address == address) {
        *claims.entry(it.frame.mac).or_default() += 1;
    }
    claims
}

/// A host that claims an address ten times a second is reported, and answered once in ten seconds.
#[test]
fn an_address_is_defended_once_in_an_interval() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    preferring(topology(3, 1, ExternalPolicy::Local), &["n1"]).run(|lab| {
        let (addresses, stranger, mac) = (vips(0..1), mac_of(lab, STRANGER)?, mac_of(lab, "n1")?);
        let mut options = options(Detection::DEFAULT);
        // An announcement that is due anyway would be taken for a defense.
        options.arguments.extend(["--l2-keepalive".to_owned(), "0".to_owned()]);
        start_agents(lab, &options)?;
        wait_alone(&observe(lab, &addresses, Duration::from_millis(10))?, &addresses, mac)?;
        // The repeated announcements of the start are over.
        sleep(Duration::from_secs(2));
        let observer = observe(lab, &[], Duration::from_secs(1))?;
        let (mut claims, begun) = (0, Instant::now());
        lab.host(STRANGER)?.run(|| {
            let wire = Wire::open(LINK)?;
            while begun.elapsed() < DEFEND_INTERVAL + Duration::from_secs(2) {
                for frame in addresses.iter().flat_map(|address| announcements(wire.mac(), *address)) {
                    wire.send(&frame)?;
                    claims += 1;
                }
                sleep(Duration::from_millis(100));
            }
            Ok(())
        })?;
        let log = observer.finish()?;
        for address in &addresses {
            let (seen, announced) = (claims_of(&log, *address), log.announcements(*address));
            let times: Vec<u128> = announced
                .filter(|it| it.frame.mac == mac)
                .map(|it| it.at.saturating_duration_since(begun).as_millis())
                .collect();
            println!("{address}: {seen:?}: {claims} claims by {stranger}, defended after (ms): {times:?}");
            // One at once, and one when the interval is over; nothing by the nodes that stand by.
            ensure!(times.len() == 2 && seen.len() == 2, "{address}: {seen:?}, {times:?}");
            wait_address(lab, *address, "the stranger", |it| {
                it["strangers"][0]["mac"] == stranger.to_string()
            })?;
        }
        wait_alone(&observe(lab, &addresses, Duration::from_millis(10))?, &addresses, mac)
    })
}

/// Splits the segment's bridge into two that are joined by a link, and moves these hosts to the second one.
fn split_bridge(lab: &Lab, hosts: &[&str]) -> Result<()> {
    let mut lines = vec![
        "link add br1 type bridge mcast_snooping 0".to_owned(),
        "link set br1 up".to_owned(),
        "link add trunk0 type veth peer name trunk1".to_owned(),
        "link set trunk0 master br0 up".to_owned(),
        "link set trunk1 master br1 up".to_owned(),
    ];
    lines.extend(hosts.iter().map(|host| format!("link set {host} master br1")));
    lab.host("switch-a")?.ip(&lines)
}

fn set_trunk(lab: &Lab, state: &str) -> Result<()> {
    lab.host("switch-a")?.ip(&[format!("link set trunk0 {state}")])
}

/// Both halves of a split network answer, and after the join one node goes on, which the other half's hosts
/// learn at once.
#[test]
fn halves_of_a_split_network_answer_and_join() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    preferring(topology(4, 1, ExternalPolicy::Local), &["n1", "n2", "n3"]).run(|lab| {
        split_bridge(lab, &["n3", "n4", STRANGER])?;
        start_agents(lab, &options(Detection::DEFAULT))?;
        let (addresses, every) = (vips(0..1), Duration::from_millis(10));
        let (one, other) = (mac_of(lab, "n1")?, mac_of(lab, "n3")?);
        let hosts = [OBSERVER, STRANGER];
        let observers = hosts.map(|host| observe_from(lab, host, &addresses, every));
        let [near, far] = observers;
        let (near, far) = (near?, far?);
        wait_alone(&near, &addresses, one)?;
        wait_alone(&far, &addresses, one)?;
        set_trunk(lab, "down")?;
        wait_alone(&far, &addresses, other)?;
        wait_alone(&near, &addresses, one)?;
        // The other half serves its clients.
        ping_all(lab, STRANGER, &addresses)?;
        // Both halves have been stable for long when they join.
        sleep(PREEMPT_AFTER * 2);
        let joined = Instant::now();
        set_trunk(lab, "up")?;
        // Another node may go on first, because each half held nodes of the other; the best one takes the
        // address back when it is stable. How many moves there may be is a matter of `lb-l2`'s simulation.
        wait_alone(&far, &addresses, one)?;
        wait_alone(&near, &addresses, one)?;
        let logs = [near.finish()?, far.finish()?];
        for address in &addresses {
            let shapes = logs.each_ref().map(|log| after(log, *address, joined));
            println!("{address} after the join, as (station, first ms, last ms): {shapes:?}");
            // A host that has the address in its table follows without asking.
            let known = neighbor(lab.host(STRANGER)?, *address)?;
            ensure!(known == one, "{STRANGER}: {address}: {known}, not {one}");
        }
        ping_all(lab, STRANGER, &addresses)?;
        ping_all(lab, OBSERVER, &addresses)
    })
}

/// Returns who answered for an address after a moment, and from when to when, in milliseconds since then.
fn after(log: &SegmentLog, address: IpAddr, moment: Instant) -> Vec<(HostMac, u128, u128)> {
    let since = |at: Instant| at.saturating_duration_since(moment).as_millis();
    let tenures = log.tenures(address, 2 * Detection::DEFAULT.time());
    let after = tenures.into_iter().filter(|it| it.last > moment);
    after.map(|it| (it.mac, since(it.first), since(it.last))).collect()
}

fn ping_all(lab: &Lab, host: &str, addresses: &[IpAddr]) -> Result<()> {
    addresses.iter().try_for_each(|address| {
        let ping = ["-q", "-c", "1", "-W", "2", &address.to_string()].map(str::to_owned);
        lab.host(host)?.command("ping").args(&ping).text().map(drop)
    })
}

/// A node that hears neither another node nor a gateway is itself what is cut off.
#[test]
fn an_isolated_node_stops_answering() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    preferring(topology(3, 1, ExternalPolicy::Local), &["n3"]).run(|lab| {
        split_bridge(lab, &["n3", STRANGER])?;
        start_agents(lab, &options(Detection::DEFAULT))?;
        let (addresses, alone) = (vips(0..1), mac_of(lab, "n3")?);
        let far = observe_from(lab, STRANGER, &addresses, Duration::from_millis(10))?;
        wait_alone(&far, &addresses, alone)?;
        let cut = Instant::now();
        set_trunk(lab, "down")?;
        // Ten seconds for the kernel to give up the gateway, and as long again for those that share the
        // cores.
        sleep(Duration::from_secs(20));
        let log = far.finish()?;
        for address in &addresses {
            let last = log.answers(*address).next_back().context("it never answered")?.at;
            println!("{address}: answered until {:.3?} after the cut", last.saturating_duration_since(cut));
            ensure!(
                last.saturating_duration_since(cut) < Duration::from_secs(15),
                "{address}: still answered"
            );
        }
        set_trunk(lab, "up")?;
        wait_alone(&observe_from(lab, STRANGER, &addresses, Duration::from_millis(10))?, &addresses, alone)
    })
}
