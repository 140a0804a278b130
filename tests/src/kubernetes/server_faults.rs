//! Faults of the API server that must not change routes, maps or connections.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{A_WHILE, KubernetesLab, NODES, ServiceLoad, words};
use crate::routers::wait;
use crate::traffic::UdpReport;

/// Longer than a Lease.
const LONG: Duration = Duration::from_secs(18);
const SHORT: Duration = Duration::from_secs(5);
/// How soon statuses must converge after the server has recovered.
const CONVERGED_WITHIN: Duration = Duration::from_secs(10);

/// A fault of the server: name and injection.
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
    ("flaky", |cluster| {
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
    /// Injects every fault into the server, for at least this long: routes, maps and connections must stay,
    /// and a Service created afterwards must soon be served and reported.
    ///
    /// # Errors
    /// When it is not so, or the lab fails.
    pub fn endure_server_faults(&mut self, at_least: Duration) -> Result<()> {
        if self.plane.faults().is_none() {
            println!("skipped: faults cannot be injected into {}", self.plane);
            return Ok(());
        }
        let _second = self.plane.controller("controller-b")?;
        let load = ServiceLoad::start(self, |_| true)?;
        // The End-of-RIB of a session may still be on its way.
        sleep(A_WHILE);
        let (counters, routes, written) = (self.bgp_counters()?, self.routes(|_| true)?, self.writes());
        let begun = Instant::now();
        loop {
            for (name, inject) in &SERVER_FAULTS {
                inject(self).with_context(|| format!("with the server {name}"))?;
                load.check_alive(&format!("with the server {name}"))?;
            }
            if begun.elapsed() >= at_least {
                break;
            }
        }
        let well = Instant::now();
        ensure!(
            self.bgp_counters()? == counters,
            "the router received updates: {counters:?}, then {:?}",
            self.bgp_counters()?
        );
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
        let late = self.create_service("late")?;
        wait(CONVERGED_WITHIN, || {
            let statuses = self.plane.list("metallb.io/v1beta1", "ServiceBGPStatus")?;
            let of_late = statuses.iter().filter(|it| it["status"]["serviceName"] == "late").count();
            ensure!(of_late == NODES.len(), "{of_late} nodes report that they advertise it");
            Ok(())
        })?;
        let took = well.elapsed();
        ensure!(took < CONVERGED_WITHIN, "{late} was advertised and reported after {took:?}");
        println!("a new Service was advertised and reported {took:.1?} after the server recovered");
        Ok(())
    }

    fn faults(&self) -> Result<&crate::api_server::ApiFaults> {
        self.plane.faults().context("a real server has no fault injection")
    }
}
