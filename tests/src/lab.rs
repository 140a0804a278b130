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
//! Labs need root. Many may run side by side: their names meet nowhere, and whatever becomes of the test,
//! nothing of them stays.

pub mod addresses;
pub mod agents;
pub mod command;
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

use self::addresses::{HostAddresses, IpFamily};
pub use self::command::Process;
use self::far_end::FarEnds;
pub use self::host::LabHost;
use self::namespaces::{LabNamespaces, NamespaceKeeper};
pub use self::node::{AgentOptions, LabNode};
use self::pod::Pod;
pub use self::router::LabRouter;
pub use self::topology::{FAR_V4, SHARED_V4, SHARED_V6, Topology, TrafficPolicy, WEB_V4, WEB_V6};
use self::wiring::WiredHost;

/// Lines of each log that are shown of a failed test: routers that trace their sessions write thousands.
const SHOWN_LINES: usize = 300;

/// A running lab. Fields are dropped in the order in which they stand: what runs, then what it runs in.
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
    /// The test's own, or that the lab cannot be built.
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
    /// When the kernel or a program refuses; the reason names the step.
    pub fn start(topology: Topology) -> Result<Self> {
        // A thousand connections are a thousand files.
        raise_file_limit()?;
        // The first runtime of a process makes sockets for signals that stay as long as the process. Made
        // inside a host, they would keep that host's network alive.
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

    /// The host of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn host(&self, name: &str) -> Result<&LabHost> {
        self.hosts.get(name).ok_or_else(|| anyhow!("no host {name}"))
    }

    /// The first client.
    ///
    /// # Errors
    /// When there is none.
    pub fn client(&self) -> Result<&LabHost> {
        self.host(&wiring::client_name(1))
    }

    /// The router.
    ///
    /// # Errors
    /// Never in a lab that has started.
    pub fn router(&self) -> Result<LabRouter<'_>> {
        LabRouter::of(self)
    }

    /// The node of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> Result<LabNode<'_>> {
        let spec = self.topology().find_node(name)?.clone();
        LabNode::of(self, spec)
    }

    /// All nodes.
    ///
    /// # Errors
    /// Never in a lab that has started.
    pub fn nodes(&self) -> Result<Vec<LabNode<'_>>> {
        let specs = self.topology().nodes.clone();
        specs.into_iter().map(|spec| LabNode::of(self, spec)).collect()
    }

    /// The node that a pod runs on.
    #[must_use]
    pub fn node_of_pod(&self, pod: &str) -> Option<String> {
        let topology = self.topology();
        topology.pods.iter().find(|it| it.name == pod).map(|it| it.node.clone())
    }

    /// The description of the lab as it is now.
    pub fn topology(&self) -> MutexGuard<'_, Topology> {
        lock(&self.topology)
    }

    /// Changes the cluster: which pods are ready, what a Service looks like, what a Node object says.
    /// kube-proxy's rules and the manifests follow. Hosts cannot be added or removed.
    ///
    /// # Errors
    /// That of `change`, or when the rules do not load.
    pub fn update(&self, change: impl FnOnce(&mut Topology) -> Result<()>) -> Result<()> {
        let mut topology = self.topology();
        change(&mut topology)?;
        for node in &topology.nodes {
            let rules = kube_proxy::ruleset(&topology, node)?;
            self.host(&node.name)?.command("nft").args(["-f", "-"]).feed(rules).text()?;
        }
        topology.write_manifests(&self.namespaces.outside(&self.manifests_directory()))
    }

    /// Kills the servers of a pod, as a crash would; its endpoint stays until [`Lab::update`] says otherwise.
    ///
    /// # Errors
    /// When they do not run.
    pub fn kill_pod(&self, name: &str) -> Result<()> {
        lock(&self.pods).remove(name).map(drop).ok_or_else(|| anyhow!("no pod {name} runs"))
    }

    /// Where the cluster's objects are, as the lab's programs see it.
    #[must_use]
    pub fn manifests_directory(&self) -> PathBuf {
        PathBuf::from("/run/lab/manifests")
    }

    /// Where the test process finds a path of the lab.
    #[must_use]
    pub fn outside(&self, path: &Path) -> PathBuf {
        self.namespaces.outside(path)
    }

    /// The lab's first process; it is in all of the lab's namespaces.
    #[must_use]
    pub fn init(&self) -> u32 {
        self.namespaces.init()
    }

    /// The ends of what the lab's programs have logged.
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

    /// Makes a link from a host to a switch, as the wiring has made them.
    pub(crate) fn wire_port(&self, host: &LabHost, name: &str, switch: &LabHost, far: &str) -> Result<()> {
        let place = LabHost::wiring_place(&self.namespaces)?;
        place.ip(&[wiring::veth(host.name(), name, switch.name(), far)])?;
        switch_offload_off(host, &[name.to_owned()])?;
        switch_offload_off(switch, &[far.to_owned()])?;
        switch.ip(&[format!("link set {far} master br0 up")])?;
        lock(&self.far_ends).attach(switch, far)
    }

    /// Gives every node a bpffs of its own, so that pinned names of one node never meet another's.
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

/// The end of a log, where what went wrong is.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Makes the hosts and everything between them.
fn wire(namespaces: &Arc<LabNamespaces>, topology: &Topology) -> Result<BTreeMap<String, LabHost>> {
    let place = LabHost::wiring_place(namespaces)?;
    let wired = wiring::hosts(topology)?;
    let names: Vec<String> = wired.iter().map(|host| format!("netns add {}", host.name)).collect();
    place.ip(&names)?;
    let mut hosts = BTreeMap::new();
    for WiredHost { name, sysctls, .. } in &wired {
        let host = LabHost::open(namespaces, name)?;
        fs::create_dir_all(host.directory_outside())?;
        // Before there are links: what stands under `default` is copied when a link is made.
        host.sysctl(sysctls)?;
        hosts.insert(name.clone(), host);
    }
    place.ip(&wiring::links(topology))?;
    for WiredHost { name, links, setup, .. } in &wired {
        let host = &hosts[name];
        switch_offload_off(host, links)?;
        host.ip(setup)?;
    }
    for WiredHost { name, gateway, .. } in &wired {
        if let Some(gateway) = gateway {
            wait_connected(&hosts[name], *gateway)?;
        }
    }
    Ok(hosts)
}

/// The kernel notices carriers in its own time, up to a second; until then bridges forward nothing.
fn wait_connected(host: &LabHost, gateway: HostAddresses) -> Result<()> {
    let script = "for gateway; do \
        until ping -q -c 1 -w 1 -i 0.02 \"$gateway\" >/dev/null 2>&1; do sleep 0.02; done; done";
    let gateways = IpFamily::BOTH.map(|family| gateway.of(family).to_string());
    let waiting = host.command("timeout").args(["10", "sh", "-c", script, "sh"]).args(gateways);
    waiting.text().map(drop).context("the gateway cannot be reached")
}

/// Frames that XDP hands from one namespace to the next need real checksums: nothing fills them in later.
fn switch_offload_off(host: &LabHost, links: &[String]) -> Result<()> {
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

/// Keeps the lab of a failed test for the seconds in `FAIRLEAD_LAB_HOLD`, so that one can look around in it.
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

/// The limit that a process starts with is made for programs of the last century.
fn raise_file_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

/// A test that panicked while it held the lock has not left the value half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
