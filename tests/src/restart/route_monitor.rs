//! Changes of routes in the routers' kernels, from `ip monitor`.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;

use super::vips::ROUTED;
use crate::failover::clock::TimeOfDay;
use crate::failover::{ObserverKind, read};
use crate::lab::{Lab, LabHost, Process};

/// The monitors of both routers and of the rack's switch, whose messages have the exact times.
#[derive(Debug)]
pub struct RouteMonitor {
    routes: [PathBuf; 2],
    links: PathBuf,
    _monitors: [Process; 3],
}

/// A position in the output of both routers' monitors.
#[derive(Clone, Copy, Debug)]
pub struct RouteMark([usize; 2]);

/// A change of a route to a VIP.
#[derive(Clone, Debug)]
pub struct RouteEvent {
    /// The router.
    pub router: ObserverKind,
    /// The VIP.
    pub vip: IpAddr,
    /// Its time.
    pub(crate) at: TimeOfDay,
    /// The kernel's message.
    pub line: String,
}

impl RouteMonitor {
    /// Starts them in the hosts of FRR and BIRD.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start(lab: &Lab, routers: [&LabHost; 2]) -> Result<Self> {
        let switch = lab.host("switch-a")?;
        let routes = routers.map(|host| host.directory_outside().join("routes.monitor"));
        let links = switch.directory_outside().join("links.monitor");
        let monitor = |host: &LabHost, what: &str, file: &PathBuf| {
            host.command("ip").args(["-o", "-ts", "monitor", what]).env("TZ", "UTC").spawn(file)
        };
        let monitors = [
            monitor(routers[0], "route", &routes[0])?,
            monitor(routers[1], "route", &routes[1])?,
            monitor(switch, "link", &links)?,
        ];
        monitors.iter().try_for_each(Process::prioritize)?;
        Ok(Self { routes, links, _monitors: monitors })
    }

    /// Returns the present end of both outputs.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn mark(&self) -> Result<RouteMark> {
        Ok(RouteMark([read(&self.routes[0])?.len(), read(&self.routes[1])?.len()]))
    }

    /// Returns the changes of routes to VIPs since `mark`.
    ///
    /// # Errors
    /// When the output cannot be read.
    pub fn since(&self, mark: RouteMark) -> Result<Vec<RouteEvent>> {
        let mut events = Vec::new();
        let routers = [ObserverKind::Frr, ObserverKind::Bird];
        for ((router, file), begin) in routers.into_iter().zip(&self.routes).zip(mark.0) {
            let text = read(file)?;
            events
                .extend(text.get(begin..).unwrap_or_default().lines().filter_map(|line| event(router, line)));
        }
        Ok(events)
    }

    /// Returns when the switch reported that its port to a node went down, after `since`.
    ///
    /// # Errors
    /// When the output cannot be read.
    pub(crate) fn cut_after(&self, node: &str, since: TimeOfDay) -> Result<Option<TimeOfDay>> {
        let text = read(&self.links)?;
        let mut lines = text.lines().filter(|line| line.contains(&format!(" {node}@")));
        Ok(lines.find_map(|line| TimeOfDay::of(line).filter(|it| it.is_after(since))))
    }
}

impl RouteEvent {
    /// Returns whether the route does not lead to `hop` afterwards.
    #[must_use]
    pub fn is_without(&self, hop: IpAddr) -> bool {
        self.line.contains("Deleted ") || !self.line.contains(&format!("via {hop} "))
    }
}

fn event(router: ObserverKind, line: &str) -> Option<RouteEvent> {
    let vip = line.split(' ').find_map(|word| word.parse().ok().filter(|it| ROUTED.contains(it)))?;
    Some(RouteEvent { router, vip, at: TimeOfDay::of(line)?, line: line.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::WEB_V4;

    #[test]
    fn only_changes_of_vips_are_events() {
        let changed = "[2026-11-21T05:10:22.773545] 203.0.113.10 nhid 38 proto bgp metric 20 \\ nexthop via \
                       10.1.0.12 dev rack-a weight 1 ";
        let found = event(ObserverKind::Frr, changed).unwrap();
        assert_eq!(found.vip, WEB_V4);
        assert!(found.is_without("10.1.0.11".parse().unwrap()));
        assert!(!found.is_without("10.1.0.12".parse().unwrap()));
        let deleted = "[2026-11-21T05:10:22.773545] Deleted 203.0.113.10 via 10.1.0.12 dev eth0 proto bird ";
        assert!(event(ObserverKind::Bird, deleted).unwrap().is_without("10.1.0.12".parse().unwrap()));
        let other = "[2026-11-21T05:10:22.773545] 10.244.1.0/24 via 10.1.0.11 dev rack-a ";
        assert!(event(ObserverKind::Frr, other).is_none());
    }
}
