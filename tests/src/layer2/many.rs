//! A thousand addresses of one announcer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::frames::HostMac;
use super::observer::SegmentLog;
use super::segment::{LINK, OBSERVER, observe};
use crate::lab::Lab;
use crate::lab::topology::LabServiceSpec;

/// How long all addresses may take to be announced first: they are checked for duplicates, within the rate.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The time from one question to the next while waiting.
const EVERY: Duration = Duration::from_micros(500);

/// Adds Services of two addresses each, one of each family, on the pods of the first one, and gives all hosts
/// of the segment addresses in the networks of theirs. They have no rules for kube-proxy: no client connects
/// to them.
///
/// # Errors
/// When a host rejects its addresses.
pub fn add_services(lab: &Lab, count: u16) -> Result<Vec<IpAddr>> {
    let mut topology = lab.topology().clone();
    let hosts = topology.nodes.iter().map(|node| node.name.as_str()).chain([OBSERVER]);
    for (host, place) in hosts.zip(1..) {
        lab.host(host)?.ip(&[
            format!("addr add 10.99.255.{place}/16 dev {LINK}"),
            format!("addr add fd00:99::ffff:{place:x}/64 dev {LINK} nodad"),
        ])?;
    }
    let model = topology.services.first().context("no Service")?.clone();
    let mut addresses = Vec::new();
    for number in 1..=count {
        let [a, b] = number.to_be_bytes();
        let vips = [
            IpAddr::from(Ipv4Addr::new(10, 99, a, b)),
            IpAddr::from(Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, number)),
        ];
        addresses.extend(vips);
        let service = LabServiceSpec { name: format!("many-{number}"), vips: vips.into(), ..model.clone() };
        topology.services.push(service);
    }
    topology.write_manifests(&lab.outside(&lab.manifests_directory()))?;
    Ok(addresses)
}

/// Waits until the station with this MAC address has answered for each address, and no other one for any.
///
/// # Errors
/// When it has not in time.
pub fn wait_announced(lab: &Lab, addresses: &[IpAddr], mac: impl Fn(HostMac) -> bool) -> Result<()> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        let observer = observe(lab, addresses, EVERY)?;
        while observer.questions() < addresses.len() {
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_millis(100));
        let log = observer.finish()?;
        let answered = by_address(&log);
        let is_expected = |address| answered.get(address).is_some_and(|macs| macs.iter().all(|it| mac(*it)));
        let missing = addresses.iter().filter(|address| !is_expected(address)).count();
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("{missing} of {} addresses are not announced as expected", addresses.len());
        }
    }
}

fn by_address(log: &SegmentLog) -> BTreeMap<IpAddr, Vec<HostMac>> {
    let mut macs: BTreeMap<IpAddr, Vec<HostMac>> = BTreeMap::new();
    for it in log.frames.iter().filter(|it| it.frame.is_claim()) {
        macs.entry(it.frame.address).or_default().push(it.frame.mac);
    }
    macs
}

/// Returns when each address was first claimed by another station than this one.
#[must_use]
pub fn first_claims(log: &SegmentLog, former: HostMac) -> BTreeMap<IpAddr, Instant> {
    let mut claims = BTreeMap::new();
    for it in log.frames.iter().filter(|it| it.frame.is_claim() && it.frame.mac != former) {
        claims.entry(it.frame.address).or_insert(it.at);
    }
    claims
}
