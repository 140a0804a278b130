//! A lab: a client, a router, racks of nodes and pods, as network namespaces on this machine.
//!
//! ```no_run
//! use fairlead_tests::lab::{Topology, WEB_V4};
//!
//! Topology::standard().run(|lab| {
//!     lab.router()?.set_next_hops(WEB_V4, &["n1", "n2", "n3"])?;
//!     let body = lab.client()?.command("curl").args(["-s", "http://203.0.113.10/"]).text()?;
//!     assert!(body.contains("client=192.0.2.11"));
//!     Ok(())
//! })
//! # .unwrap();
//! ```
//!
//! Labs need root. Many may run side by side: they share no names, and however the test ends, nothing of them
//! stays.

pub mod addresses;
pub mod agents;
pub mod command;
mod echo_server;
mod far_end;
pub mod host;
mod kube_proxy;
mod manifests;
mod namespaces;
pub mod node;
mod pod;
pub mod router;
pub mod topology;
mod wiring;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow};

use self::addresses::{HostAddresses, IpVersion};
pub use self::command::Process;
use self::far_end::FarEnds;
pub use self::host::LabHost;
use self::namespaces::{LabNamespaces, NamespaceKeeper};
pub use self::node::{LabAgentOptions, LabNode};
use self::pod::Pod;
pub use self::router::LabRouter;
pub use self::topology::{ExternalPolicy, FAR_V4, SHARED_V4, SHARED_V6, Topology, WEB_V4, WEB_V6};
use self::wiring::WiredHost;

/// Lines of each log that are shown for a failed test: routers that trace their sessions write thousands.
const SHOWN_LINES: usize = 300;

/// A running lab. Fields are dropped in order: processes first, then their namespaces.
#[derive(Debug)]
pub struct Lab {
    agents: Mutex<BTreeMap<String, Process>>,
    pods: Mutex<BTreeMap<String, Pod>>,
    far_ends: Mutex<FarEnds>,
    hosts: BTreeMap<String, LabHost>,
    topology: Mutex<Topology>,
    namespaces: Arc<LabNamespaces>,
    _keeper: NamespaceKeeper,
}

impl Topology {
    /// Builds the lab, runs `test` in it, and shows the lab's logs when the test fails.
    ///
    /// # Errors
    /// The test's own error, or why the lab cannot be built.
    pub fn run<T>(self, test: impl FnOnce(&Lab) -> Result<T>) -> Result<T> {
        let lab = self.start()?;
        let result = test(&lab);
        if result.is_err() {
            eprint!("{}", lab.logs());
            hold(&lab);
        }
        result
    }
}

impl Lab {
    /// Builds a lab.
    ///
    /// # Errors
    /// When the kernel or a program fails; the error names the step.
    pub fn start(topology: Topology) -> Result<Self> {
        // A thousand connections take a thousand files.
        raise_file_limit()?;
        // The first runtime of a process creates signal sockets that live as long as the process. Created
        // inside a host, they would keep that host's network namespace alive.
        drop(host::runtime()?);
        let (keeper, namespaces) = namespaces::create()?;
        let namespaces = Arc::new(namespaces);
        let hosts = wire(&namespaces, &topology)?;
        let far_ends = attach_far_ends(&topology, &hosts)?;
        let lab = Self {
            agents: Mutex::default(),
            pods: Mutex::default(),
            far_ends: Mutex::new(far_ends),
            hosts,
            topology: Mutex::new(topology),
            namespaces,
            _keeper: keeper,
        };
        lab.prepare_nodes()?;
        lab.start_pods()?;
        lab.update(|_| Ok(()))?;
        Ok(lab)
    }

    /// Returns the host of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn host(&self, name: &str) -> Result<&LabHost> {
        self.hosts.get(name).ok_or_else(|| anyhow!("no host {name}"))
    }

    /// Returns the first client.
    ///
    /// # Errors
    /// When there is none.
    pub fn client(&self) -> Result<&LabHost> {
        self.host(&wiring::client_name(1))
    }

    /// Returns the router.
    ///
    /// # Errors
    /// Never in a lab that has started.
    pub fn router(&self) -> Result<LabRouter<'_>> {
        LabRouter::of(self)
    }

    /// Returns the node of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> Result<LabNode<'_>> {
        let spec = self.topology().find_node(name)?.clone();
        LabNode::of(self, spec)
    }

    /// Returns all nodes.
    ///
    /// # Errors
    /// Never in a lab that has started.
    pub fn nodes(&self) -> Result<Vec<LabNode<'_>>> {
        let specs = self.topology().nodes.clone();
        specs.into_iter().map(|spec| LabNode::of(self, spec)).collect()
    }

    /// Returns the node that a pod runs on.
    #[must_use]
    pub fn node_of_pod(&self, pod: &str) -> Option<String> {
        let topology = self.topology();
        topology.pods.iter().find(|it| it.name == pod).map(|it| it.node.clone())
    }

    /// Returns the present description of the lab.
    pub fn topology(&self) -> MutexGuard<'_, Topology> {
        lock(&self.topology)
    }

    /// Changes the cluster: readiness of pods, Services, Node objects. kube-proxy's rules and the manifests
    /// follow. Hosts cannot be added or removed.
    ///
    /// # Errors
    /// The error of `change`, or when the rules do not load.
    pub fn update(&self, change: impl FnOnce(&mut Topology) -> Result<()>) -> Result<()> {
        let mut topology = self.topology();
        change(&mut topology)?;
        for node in &topology.nodes {
            let rules = kube_proxy::ruleset(&topology, node)?;
            self.host(&node.name)?.command("nft").args(["-f", "-"]).feed(rules).text()?;
        }
        topology.write_manifests(&self.namespaces.outside(&self.manifests_directory()))
    }

    /// Kills the servers of a pod, as a crash would; its endpoint stays until [`Lab::update`] changes it.
    ///
    /// # Errors
    /// When they do not run.
    pub fn kill_pod(&self, name: &str) -> Result<()> {
        lock(&self.pods).remove(name).map(drop).ok_or_else(|| anyhow!("no pod {name} runs"))
    }

    /// Returns the directory of the cluster's objects as the lab's programs see it.
    #[must_use]
    pub fn manifests_directory(&self) -> PathBuf {
        PathBuf::from("/run/lab/manifests")
    }

    /// Returns a path of the lab as the test process sees it.
    #[must_use]
    pub fn outside(&self, path: &Path) -> PathBuf {
        self.namespaces.outside(path)
    }

    /// Returns the process ID of the lab's init, which is in all of the lab's namespaces.
    #[must_use]
    pub fn init(&self) -> u32 {
        self.namespaces.init()
    }

    /// Returns the ends of the logs of the lab's programs.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for host in self.hosts.values() {
            for log in host.logs() {
                let lines = last_lines(&fs::read_to_string(&log).unwrap_or_default());
                if !lines.is_empty() {
                    let file = log.file_name().unwrap_or_default().display();
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "--- {}: {file}\n{lines}", host.name());
                }
            }
        }
        text
    }

    pub(crate) fn agents(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        lock(&self.agents)
    }

    /// Creates a link from a host to a port of a switch, as the wiring does.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn wire_port(&self, host: &LabHost, name: &str, switch: &LabHost, far: &str) -> Result<()> {
        self.wire(host, name, switch, far)?;
        switch.ip(&[format!("link set {far} master br0 up")])?;
        self.pass_all(switch, far)
    }

    /// Creates a link between two hosts; both ends are down.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn wire(&self, host: &LabHost, name: &str, peer: &LabHost, far: &str) -> Result<()> {
        let place = LabHost::open_wiring(&self.namespaces)?;
        place.ip(&[wiring::veth(host.name(), name, peer.name(), far)])?;
        disable_offload(host, &[name.to_owned()])?;
        disable_offload(peer, &[far.to_owned()])
    }

    /// Attaches the program of far ends to a link, so that it receives what XDP sends at the other end.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn pass_all(&self, host: &LabHost, link: &str) -> Result<()> {
        lock(&self.far_ends).attach(host, link)
    }

    /// Mounts a separate bpffs for every node, so that pins of different nodes never collide.
    fn prepare_nodes(&self) -> Result<()> {
        for node in self.nodes()? {
            node.mount_bpffs()?;
        }
        Ok(())
    }

    fn start_pods(&self) -> Result<()> {
        let names: Vec<String> = self.topology().pods.iter().map(|pod| pod.name.clone()).collect();
        let mut pods = lock(&self.pods);
        for name in names {
            let pod = Pod::start(self.host(&name)?)?;
            pods.insert(name, pod);
        }
        for (name, pod) in pods.iter_mut() {
            pod.wait_ready(self.host(name)?)?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprint!("{}", self.logs());
        }
    }
}

/// Returns the last lines of a log.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Creates the hosts and the links between them.
fn wire(namespaces: &Arc<LabNamespaces>, topology: &Topology) -> Result<BTreeMap<String, LabHost>> {
    let place = LabHost::open_wiring(namespaces)?;
    let wired = wiring::hosts(topology)?;
    let names: Vec<String> = wired.iter().map(|host| format!("netns add {}", host.name)).collect();
    place.ip(&names)?;
    let mut hosts = BTreeMap::new();
    for WiredHost { name, sysctls, .. } in &wired {
        let host = LabHost::open(namespaces, name)?;
        fs::create_dir_all(host.directory_outside())?;
        // Before there are links: the settings under `default` are copied when a link is created.
        host.sysctl(sysctls)?;
        hosts.insert(name.clone(), host);
    }
    place.ip(&wiring::links(topology))?;
    for WiredHost { name, links, setup, .. } in &wired {
        let host = &hosts[name];
        disable_offload(host, links)?;
        host.ip(setup)?;
    }
    for WiredHost { name, gateway, .. } in &wired {
        if let Some(gateway) = gateway {
            wait_connected(&hosts[name], *gateway)?;
        }
    }
    Ok(hosts)
}

/// Waits for the gateway: the kernel takes up to a second to notice carriers, and bridges forward nothing
/// before.
fn wait_connected(host: &LabHost, gateway: HostAddresses) -> Result<()> {
    let script = "for gateway; do \
        until ping -q -c 1 -w 1 -i 0.02 \"$gateway\" >/dev/null 2>&1; do sleep 0.02; done; done";
    let gateways = IpVersion::BOTH.map(|family| gateway.of(family).to_string());
    let waiting = host.command("timeout").args(["10", "sh", "-c", script, "sh"]).args(gateways);
    waiting.text().map(drop).context("the gateway cannot be reached")
}

/// Disables checksum offload: frames that XDP redirects between namespaces need real checksums.
fn disable_offload(host: &LabHost, links: &[String]) -> Result<()> {
    let script = "for link; do ethtool -K \"$link\" tx off || exit 1; done";
    host.command("sh").args(["-c", script, "sh"]).args(links).text().map(drop)
}

fn attach_far_ends(topology: &Topology, hosts: &BTreeMap<String, LabHost>) -> Result<FarEnds> {
    let mut far_ends = FarEnds::load()?;
    for node in &topology.nodes {
        let switch = node.segment().switch();
        far_ends.attach(&hosts[&switch], &node.name)?;
    }
    Ok(far_ends)
}

/// Keeps the lab of a failed test for the seconds in `FAIRLEAD_LAB_HOLD`, for inspection.
fn hold(lab: &Lab) {
    let seconds = env::var("FAIRLEAD_LAB_HOLD").ok().and_then(|seconds| seconds.parse().ok());
    if let Some(seconds) = seconds {
        eprintln!(
            "held for {seconds} s; enter it by: nsenter -t {} -m -p -n ip netns exec n1 sh",
            lab.init()
        );
        thread::sleep(Duration::from_secs(seconds));
    }
}

/// Raises the soft limit on open files, which is too low for thousands of connections.
fn raise_file_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

/// Locks; a test that panicked while it held the lock has not left the value half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
