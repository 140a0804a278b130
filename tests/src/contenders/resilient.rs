//! A resilient next-hop group of the kernel in the router.
//!
//! The kernel maps flows to buckets, and buckets to next hops. When a next hop goes, only its buckets get
//! others; when one comes, it gets buckets that have been idle. FRR does not use such groups, so a controller
//! follows the routes that FRR installs.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::{Lab, LabHost, Process};

/// The number of buckets: enough that eight next hops get equal shares within 2 %.
const BUCKETS: u32 = 512;
/// The seconds for which a bucket must be idle before another next hop may get it.
const IDLE_SECONDS: u32 = 120;
/// The group's number. Those of its members are far below it, and FRR's are as small as possible.
const GROUP: u32 = 900_000;
/// Added to a member's place, its number.
const FIRST_MEMBER: u32 = 800_000;
/// The routing table of its route: FRR would take a route in the main table for one that is better than its
/// own, and delete its own.
const TABLE: u32 = 100;
/// How often the output of `ip monitor` is read.
const READ_EVERY: Duration = Duration::from_millis(1);

/// The controller of a group, stopped on drop.
#[derive(Debug)]
pub(super) struct ResilientGroup {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    _monitor: Process,
}

/// A group whose members are set.
struct Group {
    router: LabHost,
    vip: IpAddr,
    /// Addresses of all machines: a member's number is its place.
    machines: Vec<IpAddr>,
    members: Vec<IpAddr>,
}

impl ResilientGroup {
    /// Starts it; to be called before the router learns its first route.
    pub(super) fn start(lab: &Lab, vip: IpAddr) -> Result<Self> {
        ensure!(vip.is_ipv4(), "the group is made of IPv4 next hops");
        let router = LabHost::clone(&*lab.router()?);
        let machines: Vec<IpAddr> =
            lab.nodes()?.iter().map(|node| node.spec().addresses().v4.into()).collect();
        let rack = crate::lab::addresses::Segment::rack('a').name;
        let lines = (FIRST_MEMBER..).zip(&machines);
        let mut lines: Vec<String> =
            lines.map(|(id, address)| format!("nexthop add id {id} via {address} dev {rack}")).collect();
        lines.push(format!("rule add pref {TABLE} to {vip}/32 lookup {TABLE}"));
        router.ip(&lines).context("the kernel rejects next-hop objects")?;
        let log = router.directory_outside().join("group.log");
        let monitor = router.command("ip").args(["-o", "-4", "monitor", "route"]).spawn(&log)?;
        let mut log = File::open(log)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut group = Group { router, vip, machines, members: Vec::new() };
        let thread = thread::spawn(move || {
            let mut text = String::new();
            while !stopped.load(Ordering::Relaxed) {
                log.read_to_string(&mut text)?;
                let whole = text.rfind('\n').map_or(0, |end| end + 1);
                let last = text[..whole].lines().rev().find_map(|line| learned(line, group.vip));
                text.drain(..whole);
                if let Some(members) = last {
                    group.set(members)?;
                }
                thread::sleep(READ_EVERY);
            }
            Ok(())
        });
        Ok(Self { stop, thread: Some(thread), _monitor: monitor })
    }

    /// Returns why the controller has ended, if it has.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.thread.take()
        {
            let result = thread.join().map_err(|_| anyhow::anyhow!("the controller panicked"))?;
            return result.context("the controller of the resilient next-hop group has ended");
        }
        Ok(())
    }
}

impl Drop for ResilientGroup {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Group {
    fn set(&mut self, mut members: Vec<IpAddr>) -> Result<()> {
        members.sort_unstable();
        if members == self.members {
            return Ok(());
        }
        let numbers: Vec<String> = (FIRST_MEMBER..)
            .zip(&self.machines)
            .filter(|(_, address)| members.contains(address))
            .map(|(id, _)| id.to_string())
            .collect();
        let (vip, group) = (self.vip, numbers.join("/"));
        let replace = format!("nexthop replace id {GROUP} group {group} type resilient");
        let lines = match (self.members.is_empty(), members.is_empty()) {
            (_, true) => vec![format!("nexthop del id {GROUP}")],
            (true, false) => vec![
                format!("{replace} buckets {BUCKETS} idle_timer {IDLE_SECONDS}"),
                format!("route replace {vip}/32 nhid {GROUP} table {TABLE}"),
            ],
            (false, false) => vec![replace],
        };
        self.members = members;
        self.router.ip(&lines)
    }
}

/// Returns the next hops of a route that FRR has installed or deleted, from a line of `ip -o monitor`; `None`
/// if the line is about another route.
fn learned(line: &str, vip: IpAddr) -> Option<Vec<IpAddr>> {
    let mut words = line.split_whitespace().peekable();
    let is_deleted = words.next_if_eq(&"Deleted").is_some();
    if words.next()?.parse::<IpAddr>().ok()? != vip || !line.contains(" proto bgp ") {
        return None;
    }
    if is_deleted {
        return Some(Vec::new());
    }
    let words: Vec<&str> = words.collect();
    let hops = words.windows(2).filter(|pair| pair[0] == "via");
    Some(hops.filter_map(|pair| pair[1].parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::learned;

    #[test]
    fn next_hops_of_learned_routes_are_read() {
        let vip: IpAddr = "203.0.113.10".parse().unwrap();
        let [a, b]: [IpAddr; 2] = ["10.1.0.11", "10.1.0.12"].map(|it| it.parse().unwrap());
        let many = r"203.0.113.10 nhid 20 proto bgp metric 20 \	nexthop via 10.1.0.11 dev rack-a weight 1 \	nexthop via 10.1.0.12 dev rack-a weight 1 ";
        assert_eq!(learned(many, vip), Some(vec![a, b]));
        assert_eq!(
            learned("203.0.113.10 nhid 20 via 10.1.0.12 dev rack-a proto bgp metric 20 ", vip),
            Some(vec![b])
        );
        assert_eq!(learned("Deleted 203.0.113.10 nhid 20 proto bgp metric 20 ", vip), Some(vec![]));
        assert_eq!(learned("203.0.113.10 nhid 900000 via 10.1.0.12 dev rack-a ", vip), None);
        assert_eq!(learned("203.0.113.1 via 10.1.0.12 dev rack-a proto bgp metric 20 ", vip), None);
    }
}
