//! The paths from the client to a pod that are compared: through each set-up, and without any.
//!
//! ```text
//! bare, one node       client ─ router ─ n1 ─ pod
//! bare, through        client ─ router ─ n1 ─ n2 ─ pod     answers: pod ─ n2 ─ router ─ client
//! on the entry node    client ─ router ─ n1 (kube-proxy) ─ pod
//! behind, MetalLB      client ─ router ─ n1 (kube-proxy) ─ n2 ─ pod, and back through n1
//! behind, Fairlead     client ─ router ─ n1 (XDP) ─ n2 (XDP, kube-proxy) ─ pod, and back from n2
//! ```

use std::net::{IpAddr, SocketAddr};
use std::thread;

use anyhow::{Context, Result, anyhow};
use fairlead_tests::contenders::{Contender, ContenderSettings, PodPlacement, RunningContender};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, LabHost};
use indicatif::ProgressBar;

/// Labels of the column of pods.
pub const ON_ENTRY: &str = "on the entry node";
/// See [`ON_ENTRY`].
pub const BEHIND: &str = "behind it";
/// See [`ON_ENTRY`].
pub const EVERYWHERE: &str = "on all nodes";
/// The name of the paths without a load balancer.
pub const BARE: &str = "bare path";

/// The names of a row's labels.
pub const LABELS: [&str; 2] = ["set-up", "pods"];

/// A path, whose lab runs.
#[derive(Debug)]
pub struct LabPath {
    /// The set-up's name, and where the pods are.
    pub labels: [&'static str; 2],
    /// Whether a single pod serves.
    pub has_one_pod: bool,
    /// The address that clients connect to.
    pub address: IpAddr,
    running: usize,
}

/// All paths of a measurement; the labs run at the same time, so that they can be measured in turns.
#[derive(Debug)]
pub struct LabPaths {
    /// The paths.
    pub paths: Vec<LabPath>,
    running: Vec<RunningContender>,
}

/// A contender, where its pods are, and the policy with which it reaches them.
#[derive(Clone, Copy, Debug)]
struct SetUp {
    contender: Contender,
    placement: PodPlacement,
    policy: ExternalPolicy,
}

const SET_UPS: [SetUp; 7] = [
    SetUp::new(Contender::MetallbL2, PodPlacement::Entry, ExternalPolicy::Local),
    SetUp::new(Contender::MetallbL2, PodPlacement::Behind, ExternalPolicy::Cluster),
    SetUp::new(Contender::FairleadL2, PodPlacement::Entry, ExternalPolicy::Local),
    SetUp::new(Contender::FairleadL2, PodPlacement::Behind, ExternalPolicy::Local),
    SetUp::new(Contender::MetallbBgp, PodPlacement::Everywhere, ExternalPolicy::Local),
    SetUp::new(Contender::ResilientEcmp, PodPlacement::Everywhere, ExternalPolicy::Local),
    SetUp::new(Contender::FairleadBgp, PodPlacement::Everywhere, ExternalPolicy::Local),
];

impl SetUp {
    const fn new(contender: Contender, placement: PodPlacement, policy: ExternalPolicy) -> Self {
        Self { contender, placement, policy }
    }

    /// Starts it, with one pod a node.
    fn start(self) -> Result<RunningContender> {
        let Self { contender, placement, policy } = self;
        let nodes = if placement == PodPlacement::Everywhere { 3 } else { 2 };
        contender.start(ContenderSettings {
            policy,
            placement,
            nodes,
            pods: 1,
            ..ContenderSettings::default()
        })
    }
}

/// The number of steps of [`LabPaths::start`].
pub const STEPS: usize = SET_UPS.len();

/// The number of paths.
pub const PATHS: usize = STEPS + 2;

impl LabPaths {
    /// Starts all set-ups, at the same time: most of a start is waiting.
    ///
    /// # Errors
    /// When one does not serve.
    pub fn start(progress: &ProgressBar) -> Result<Self> {
        let running = thread::scope(|scope| {
            let start = |set_up: SetUp| scope.spawn(move || set_up.start().inspect(|_| progress.inc(1)));
            let threads: Vec<_> = SET_UPS.into_iter().map(start).collect();
            let results = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that starts a set-up panicked")))
            });
            results.collect::<Result<Vec<_>>>()
        })?;
        let mut paths = Vec::new();
        for (place, (set_up, started)) in SET_UPS.iter().zip(&running).enumerate() {
            let (contender, pods) = (set_up.contender, where_pods_are(set_up.placement));
            let path = |name, address| LabPath {
                labels: [name, pods],
                has_one_pod: set_up.placement != PodPlacement::Everywhere,
                address,
                running: place,
            };
            // The bare paths are in labs without an XDP program on the nodes.
            if contender == Contender::MetallbL2 {
                paths.push(path(BARE, bare(started, set_up.placement)?));
            }
            paths.push(path(contender.name(), started.vip()));
        }
        Ok(Self { paths, running })
    }

    /// Returns the client of a path.
    ///
    /// # Errors
    /// Never in a lab that runs.
    pub fn client(&self, path: &LabPath) -> Result<&LabHost> {
        self.running[path.running].lab().client()
    }

    /// Returns the host of the only pod of a path.
    ///
    /// # Errors
    /// When there are several.
    pub fn pod(&self, path: &LabPath) -> Result<&LabHost> {
        let lab = self.running[path.running].lab();
        let name = lab.topology().pods.first().map(|pod| pod.name.clone());
        lab.host(&name.filter(|_| path.has_one_pod).context("not one pod")?)
    }
}

impl LabPath {
    /// Returns the target of clients.
    #[must_use]
    pub fn target(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }
}

const fn where_pods_are(placement: PodPlacement) -> &'static str {
    match placement {
        PodPlacement::Entry => ON_ENTRY,
        PodPlacement::Behind => BEHIND,
        PodPlacement::Everywhere => EVERYWHERE,
    }
}

/// Returns the address of the pod; if it is behind the entry node, its packets are routed through that node.
fn bare(running: &RunningContender, placement: PodPlacement) -> Result<IpAddr> {
    let lab = running.lab();
    let pod = {
        let topology = lab.topology();
        let pod = topology.pods.first().context("no pod")?;
        topology.pod_addresses(pod)?.of(IpVersion::V4)
    };
    if placement == PodPlacement::Behind {
        let entry = lab.node(&running.settings().entry())?.spec().addresses().v4;
        lab.router()?.ip(&[format!("route replace {pod}/32 via {entry}")])?;
    }
    Ok(pod)
}
