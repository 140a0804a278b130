//! Faults of the API server, and what they must not change.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{A_WHILE, KubernetesLab, NODES, ServiceLoad, words};
use crate::routers::wait;
use crate::traffic::UdpReport;

/// Longer than a Lease lasts.
const LONG: Duration = Duration::from_secs(18);
const SHORT: Duration = Duration::from_secs(5);
/// Statuses are right this long after the server is well.
const CONVERGED_WITHIN: Duration = Duration::from_secs(10);

/// What can be wrong with a server, and for how long.
type ServerFault = (&'static str, fn(&mut KubernetesLab<'_>) -> Result<()>);

const SERVER_FAULTS: [ServerFault; 6] = [
    ("paused", |cluster| {
        cluster.faults()?.pause();
        sleep(SHORT);
        cluster.faults()?.resume();
        Ok(())
    }),
    ("cut off", |cluster| {
        cluster.plane.cut(true)?;
        sleep(LONG);
        cluster.plane.cut(false)
    }),
    ("slow", |cluster| {
        cluster.faults()?.delay(Duration::from_secs(2));
        sleep(SHORT);
        cluster.faults()?.clear();
        Ok(())
    }),
    ("moody", |cluster| {
        cluster.faults()?.refuse(3, &[429, 500, 410], 5);
        cluster.faults()?.drop_connections();
        sleep(SHORT);
        cluster.faults()?.clear();
        Ok(())
    }),
    ("without connections", |cluster| {
        for _ in 0..5 {
            cluster.faults()?.drop_connections();
            sleep(Duration::from_millis(300));
        }
        Ok(())
    }),
    ("restarted", |cluster| cluster.plane.restart(Duration::from_secs(2))),
];

impl KubernetesLab<'_> {
    /// Lets the server fail in every way, for at least so long: routes, maps and connections stay, and a Service that comes
    /// after it all is served and told soon.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn bear_with_the_server(&mut self, at_least: Duration) -> Result<()> {
        if self.plane.faults().is_none() {
            println!("skipped: {} does not fail when it is told to", self.plane);
            return Ok(());
        }
        let _second = self.plane.controller("controller-b")?;
        let load = ServiceLoad::start(self, |_| true)?;
        // What ends the first table of a session may still be on its way.
        sleep(A_WHILE);
        let (told, routes, written) = (self.told()?, self.routes(|_| true)?, self.writes());
        let begun = Instant::now();
        loop {
            for (name, mood) in &SERVER_FAULTS {
                mood(self).with_context(|| format!("a server that is {name}"))?;
                load.stands(&format!("a server that is {name}"))?;
            }
            if begun.elapsed() >= at_least {
                break;
            }
        }
        let well = Instant::now();
        ensure!(self.told()? == told, "the router was told something: {told:?}, then {:?}", self.told()?);
        ensure!(self.routes(|_| true)? == routes, "routes changed");
        ensure!(self.writes() == written, "maps were written");
        self.converges(well)?;
        let (tcp, udp) = load.end()?;
        ensure!(tcp.iter().all(|report| report.failed() == 0), "{}", words(&tcp));
        let sent: u64 = udp.iter().map(UdpReport::sent).sum();
        println!("{}, {sent} datagrams, after {:.0?} of faults", words(&tcp), begun.elapsed());
        Ok(())
    }

    fn converges(&self, well: Instant) -> Result<()> {
        let late = self.late_service("late")?;
        wait(CONVERGED_WITHIN, || {
            let told = self.plane.list("metallb.io/v1beta1", "ServiceBGPStatus")?;
            let of_late = told.iter().filter(|it| it["status"]["serviceName"] == "late").count();
            ensure!(of_late == NODES.len(), "{of_late} nodes say that they announce it");
            Ok(())
        })?;
        let took = well.elapsed();
        ensure!(took < CONVERGED_WITHIN, "{late} was announced and told after {took:?}");
        println!("a Service made then was announced and told {took:.1?} after the server was well");
        Ok(())
    }

    fn faults(&self) -> Result<&crate::api_server::Faults> {
        self.plane.faults().context("a real server")
    }
}
