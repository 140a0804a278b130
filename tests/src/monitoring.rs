//! A lab on an API server that a real Prometheus scrapes, with the shipped alerts.

mod prometheus;
mod rules;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

pub use self::prometheus::{Alert, PrometheusServer, ScrapeTarget, Series};
pub use self::rules::{SPEED, expressions, metrics, scaled};
use crate::kubernetes::{KubernetesLab, NODES, ServiceLoad};
use crate::lab::topology::HTTP_PORT;
use crate::lab::{Lab, Process};
use crate::routers::wait;

/// The port of metrics.
const PORT: u16 = 9125;
/// That of the second controller, in the same network namespace as the first.
const STANDBY_PORT: u16 = 9126;
const STANDBY_WEBHOOK_PORT: &str = "9444";
/// How long sessions must have been up.
const SETTLED_SECONDS: u32 = 5;
/// Connections per second that a client opens, so that there are new flows all the time.
const NEW_FLOWS: u32 = 20;

/// The lab under observation.
pub struct MonitoredLab<'lab> {
    /// The cluster.
    pub cluster: KubernetesLab<'lab>,
    /// What observes it.
    pub prometheus: PrometheusServer,
    lab: &'lab Lab,
    /// A second controller, as the chart runs by default.
    standby: Process,
    _load: ServiceLoad,
    _requests: Process,
}

impl<'lab> MonitoredLab<'lab> {
    /// Starts the cluster, traffic to some of its Services, and Prometheus.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let agent = words(&["--metrics-address", &format!("0.0.0.0:{PORT}"), "--keeper", "spawn"]);
        let controller = words(&["--metrics-address", &format!("127.0.0.1:{PORT}")]);
        let cluster = KubernetesLab::start_with(lab, agent, controller)?;
        let standby = start_standby(&cluster)?;
        let load = ServiceLoad::start(&cluster, |name| name == "v4" || name == "any")?;
        let requests = open_connections(lab, &cluster)?;
        let prometheus = PrometheusServer::start(&*lab.router()?, &targets(lab)?, &scaled()?)?;
        Ok(Self { cluster, prometheus, lab, standby, _load: load, _requests: requests })
    }

    /// Cuts the cable of a node.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn cut(&self, node: &str) -> Result<()> {
        self.lab.node(node)?.cut_link()
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn restore(&self, node: &str) -> Result<()> {
        self.lab.node(node)?.restore_link()
    }

    /// Waits until a node's BGP and BFD sessions are up and have been for some seconds.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn wait_sessions(&self, node: &str, within: Duration) -> Result<()> {
        let down = ["bgp", "bfd"].map(|it| {
            format!(r#"min_over_time(metallb_{it}_session_up{{node="{node}"}}[{SETTLED_SECONDS}s]) == 0"#)
        });
        wait(within, || {
            let down = self.prometheus.query(&down.join(" or "))?;
            ensure!(down.is_empty(), "{down:?}");
            Ok(())
        })
    }

    /// Kills both controllers.
    ///
    /// # Errors
    /// When one does not run.
    pub fn kill_controllers(&mut self) -> Result<()> {
        self.standby.signal(Signal::SIGKILL)?;
        self.cluster.kill_controller()
    }

    /// Starts both controllers again.
    ///
    /// # Errors
    /// When the product's binary is missing.
    pub fn start_controllers(&mut self) -> Result<()> {
        self.standby = start_standby(&self.cluster)?;
        self.cluster.start_controller()
    }

    /// Waits until these alerts fire, each about this object (a value of one of its labels).
    ///
    /// # Errors
    /// When one does not fire in time.
    pub fn wait_firing(&self, expected: &[(&str, &str)], within: Duration) -> Result<()> {
        wait(within, || {
            let firing = self.prometheus.firing()?;
            let missing = expected.iter().find(|(name, object)| {
                !firing.iter().any(|alert| alert.name == *name && alert.is_about(object))
            });
            missing.map_or(Ok(()), |missing| bail!("{missing:?} does not fire, but {firing:#?}"))
        })
    }

    /// Waits until no alert fires.
    ///
    /// # Errors
    /// When one fires after that time.
    pub fn wait_quiet(&self, within: Duration) -> Result<()> {
        wait(within, || {
            let firing = self.prometheus.firing()?;
            ensure!(firing.is_empty(), "still firing: {firing:#?}");
            Ok(())
        })
    }

    /// Checks that every alert that has fired since `start` is one of `names` about one of these objects.
    ///
    /// # Errors
    /// When another one has.
    pub fn check_only(&self, start: Instant, names: &[&str], objects: &[&str]) -> Result<()> {
        let fired = self.prometheus.fired(start.elapsed())?;
        let is_promised = |alert: &&Alert| {
            names.contains(&&*alert.name) && objects.iter().any(|object| alert.is_about(object))
        };
        let others: Vec<_> = fired.iter().filter(|alert| !is_promised(alert)).collect();
        ensure!(others.is_empty(), "not promised: {others:#?}");
        Ok(())
    }

    /// Returns those of these metrics that Prometheus has never scraped.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub fn missing(&self, metrics: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let scraped = self.prometheus.metric_names()?;
        Ok(metrics.difference(&scraped).cloned().collect())
    }
}

fn start_standby(cluster: &KubernetesLab<'_>) -> Result<Process> {
    let metrics = format!("127.0.0.1:{STANDBY_PORT}");
    let arguments = ["--metrics-address", &metrics, "--webhook-port", STANDBY_WEBHOOK_PORT];
    cluster.plane.controller_with("standby", &arguments.map(str::to_owned))
}

/// Starts a client that opens a connection for each request.
fn open_connections(lab: &Lab, cluster: &KubernetesLab<'_>) -> Result<Process> {
    let address = *cluster.addresses_of("v4")?.first().context("no address")?;
    let url = format!("http://{}/", SocketAddr::new(address, HTTP_PORT));
    let pause = Duration::from_secs(1) / NEW_FLOWS;
    let script = format!(
        "while :; do curl --silent --max-time 1 --output /dev/null {url}; sleep {}; done",
        pause.as_secs_f64()
    );
    let client = lab.client()?;
    client.command("sh").args(["-c", &script]).spawn(&client.directory_outside().join("requests.log"))
}

/// Returns the agents and the controllers, with the labels that the chart's monitors set.
fn targets(lab: &Lab) -> Result<Vec<ScrapeTarget>> {
    let controller = |pod: &str, port| ScrapeTarget {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        component: "fairlead-controller",
        node: "router".into(),
        pod: pod.into(),
    };
    let mut targets = vec![controller("controller-a", PORT), controller("controller-b", STANDBY_PORT)];
    for name in NODES {
        targets.push(ScrapeTarget {
            address: SocketAddr::new(lab.node(name)?.spec().addresses().v4.into(), PORT),
            component: "fairlead-agent",
            node: name.into(),
            pod: format!("agent-{name}"),
        });
    }
    Ok(targets)
}
