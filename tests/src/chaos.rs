//! Chaos test of a cluster: API server faults, a workload meanwhile, and the invariants that must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api_server::ObjectStore;
use crate::cluster::{Controller, NAMESPACE, TestCluster, eventually};
use crate::fault_proxy::{FaultProxy, ProxyFault, WriteLog};
use crate::random::SeededRandom;
use anyhow::{Result, bail, ensure};
use lb_kube::client::{self, ClientRole};
use lb_kube::status::{
    DesiredStatus, SessionReport, StatusComponent, StatusScope, StatusWriter, WriteLimits,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

const LEASE: &str = "fairlead-controller";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Longer than a Lease: another controller takes over.
const LONG: Duration = Duration::from_secs(18);
const SHORT: Duration = Duration::from_secs(5);

/// The faults.
#[derive(Clone, Copy, Debug)]
enum ChaosFault {
    /// The leader is cut off for a long time.
    CutLeader,
    /// The leader's process is stopped for a long time.
    StopLeader,
    CutAll,
    Paused,
    Restarted,
    Slow,
    Flaky,
}

const CHAOS_FAULTS: [ChaosFault; 7] = [
    ChaosFault::CutLeader,
    ChaosFault::Slow,
    ChaosFault::Flaky,
    ChaosFault::StopLeader,
    ChaosFault::CutAll,
    ChaosFault::Paused,
    ChaosFault::Restarted,
];

/// A running cluster under faults.
pub struct Chaos {
    cluster: TestCluster,
    log: WriteLog,
    controllers: BTreeMap<&'static str, Controller>,
    proxies: BTreeMap<&'static str, FaultProxy>,
    agents: Vec<watch::Sender<Option<Arc<DesiredStatus>>>>,
    random: SeededRandom,
    services: usize,
    /// Violations seen at any moment.
    violations: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Chaos {
    /// Starts everything, and waits for a leader.
    ///
    /// # Errors
    /// When there is none, or the product's binary is missing.
    pub async fn start(seed: u64) -> Result<Self> {
        let cluster = TestCluster::start().await?;
        cluster.define_statuses()?;
        cluster.apply(&format!(
            "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\n\
             metadata: {{name: a, namespace: {NAMESPACE}}}\nspec: {{addresses: [10.64.0.0/16]}}\n"
        ))?;
        let log = WriteLog::default();
        let mut chaos = Self {
            controllers: BTreeMap::new(),
            proxies: BTreeMap::new(),
            agents: Vec::new(),
            random: SeededRandom::new(seed),
            services: 0,
            violations: Arc::default(),
            tasks: JoinSet::new(),
            cluster,
            log,
        };
        for name in ["one", "two"] {
            let kubeconfig = chaos.start_proxy(name)?;
            let controller = chaos.cluster.controller_of(name, &kubeconfig, &[])?;
            chaos.controllers.insert(name, controller);
        }
        for node in NODES {
            chaos.agent(node).await?;
        }
        let (store, violations) = (Arc::clone(&chaos.cluster.store), Arc::clone(&chaos.violations));
        chaos.tasks.spawn(watch_addresses(store, violations));
        eventually("there is a leader", Duration::from_secs(20), || chaos.leader().is_some()).await?;
        Ok(chaos)
    }

    fn start_proxy(&mut self, name: &'static str) -> Result<std::path::PathBuf> {
        let proxy = FaultProxy::start(name, self.cluster.address(), &self.log, true)?;
        let kubeconfig = self.cluster.write_kubeconfig(name, &proxy.kubeconfig("127.0.0.1"))?;
        self.proxies.insert(name, proxy);
        Ok(kubeconfig)
    }

    async fn agent(&mut self, node: &'static str) -> Result<()> {
        let kubeconfig = self.start_proxy(node)?;
        let client = client::connect(Some(&kubeconfig), ClientRole::Agent).await?;
        let writer = StatusWriter {
            write_client: client.clone(),
            client,
            namespace: NAMESPACE.to_owned(),
            scope: StatusScope::Node(node.to_owned()),
            pod: None,
            limits: WriteLimits::DEFAULT,
        };
        let (desired_status, written) = watch::channel(Some(Arc::new(desired_status(node, 0))));
        self.tasks.spawn(writer.run(written));
        self.agents.push(desired_status);
        Ok(())
    }

    fn leader(&self) -> Option<&'static str> {
        let lease = self.cluster.store.get("coordination.k8s.io", "leases", NAMESPACE, LEASE)?;
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        self.controllers.keys().copied().find(|name| *name == holder)
    }

    /// Injects one fault after the other, with short pauses; without a duration, each fault once.
    ///
    /// # Errors
    /// When an invariant was violated at any moment.
    pub async fn inject_faults(&mut self, lasts: Option<Duration>) -> Result<()> {
        let begun = Instant::now();
        let mut first = CHAOS_FAULTS.iter();
        loop {
            let fault = match (first.next(), lasts) {
                (_, Some(lasts)) if begun.elapsed() > lasts => return Ok(()),
                (None, None) => return Ok(()),
                (Some(fault), _) => *fault,
                (None, Some(_)) => CHAOS_FAULTS[self.random.below(CHAOS_FAULTS.len())],
            };
            self.inject(fault).await?;
            self.change(2)?;
            sleep(Duration::from_secs(2)).await;
            let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ensure!(violations.is_empty(), "during {fault:?}: {violations:?}");
        }
    }

    async fn inject(&mut self, fault: ChaosFault) -> Result<()> {
        let leader = self.leader().unwrap_or("one");
        match fault {
            ChaosFault::CutLeader => {
                self.proxies[leader].set(ProxyFault::Cut);
                self.run_workload(LONG).await?;
                self.proxies[leader].set(ProxyFault::None);
            }
            ChaosFault::StopLeader => {
                self.controllers[leader].signal(Signal::SIGSTOP)?;
                self.run_workload(LONG).await?;
                self.controllers[leader].signal(Signal::SIGCONT)?;
            }
            ChaosFault::CutAll => self.set_all(&ProxyFault::Cut).await?,
            ChaosFault::Paused => self.set_all(&ProxyFault::Paused).await?,
            ChaosFault::Slow => self.set_all(&ProxyFault::Slow(Duration::from_secs(2))).await?,
            ChaosFault::Flaky => self.set_all(&ProxyFault::Flaky(3, vec![429, 500, 410])).await?,
            ChaosFault::Restarted => {
                self.change(2)?;
                self.cluster.restart_server(Duration::from_secs(2)).await?;
            }
        }
        Ok(())
    }

    async fn set_all(&mut self, fault: &ProxyFault) -> Result<()> {
        self.proxies.values().for_each(|proxy| proxy.set(fault.clone()));
        self.run_workload(SHORT).await?;
        self.proxies.values().for_each(|proxy| proxy.set(ProxyFault::None));
        Ok(())
    }

    /// Runs the workload for a while.
    async fn run_workload(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.change(1)?;
            sleep(Duration::from_millis(1500)).await;
        }
        Ok(())
    }

    /// Creates Services, deletes some, and changes what agents report.
    fn change(&mut self, many: usize) -> Result<()> {
        for _ in 0..many {
            self.services += 1;
            self.cluster.store.put(&service(self.services))?;
        }
        if self.services > 6 {
            let gone = self.services - 6;
            if self.random.below(2) == 0 {
                self.cluster.store.remove("", "services", "shop", &format!("s{gone}"));
            }
        }
        for (sender, node) in self.agents.iter().zip(NODES) {
            sender.send_replace(Some(Arc::new(desired_status(node, self.services))));
        }
        Ok(())
    }

    /// Waits until the cluster has converged.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn converge(&mut self, within: Duration) -> Result<()> {
        self.change(1)?;
        let begun = Instant::now();
        loop {
            match self.difference() {
                None => return Ok(()),
                Some(difference) if begun.elapsed() > within => {
                    let logs: Vec<_> = self.controllers.values().map(Controller::log).collect();
                    bail!("not within {within:?}: {difference}\n{}", logs.join("\n=====\n"));
                }
                Some(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Returns the first difference from the desired state.
    fn difference(&self) -> Option<String> {
        let services = self.cluster.load_balancers();
        let without = services.iter().find(|service| addresses(service).is_empty());
        if let Some(service) = without {
            return Some(format!("Service {} has no address", service["metadata"]["name"]));
        }
        let given = services.len();
        let pool = self.cluster.store.get("metallb.io", "ipaddresspools", NAMESPACE, "a").unwrap_or_default();
        if pool["status"]["assignedIPv4"] != json!(given) {
            return Some(format!("the pool's status is {}, assigned {given}", pool["status"]));
        }
        let state = |name: &str| {
            let state = self.cluster.store.get("metallb.io", "configurationstates", NAMESPACE, name);
            state.unwrap_or_default()["status"].clone()
        };
        if state("controller")["result"] != "Valid" {
            return Some(format!("the controller's ConfigurationState is {}", state("controller")));
        }
        for node in NODES {
            let status = state(&format!("speaker-{node}"));
            if status["errorSummary"] != json!(fault(self.services)) {
                return Some(format!("the ConfigurationState of {node} is {status}"));
            }
            let name = format!("bgp-s{}.shop.{node}", self.services);
            let status = self.cluster.store.get("metallb.io", "servicebgpstatuses", NAMESPACE, &name);
            if status.is_none_or(|it| it["status"]["peers"] != json!(["tor"])) {
                return Some(format!("{name} does not report the peer"));
            }
        }
        None
    }

    /// Checks the order of all writes; returns how many there were, and the number of leaders.
    ///
    /// # Errors
    /// When a controller wrote without holding the Lease.
    pub fn check(&self) -> Result<(usize, usize)> {
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(violations.is_empty(), "{violations:?}");
        self.log.check_leaders(LEASE)
    }
}

fn service(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{number}"), "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
    })
}

fn fault(turn: usize) -> String {
    if turn.is_multiple_of(2) { String::new() } else { format!("fault {turn}") }
}

fn desired_status(node: &str, turn: usize) -> DesiredStatus {
    let mut desired_status = DesiredStatus::default();
    desired_status.set_service_bgp(node, "shop", &format!("s{turn}"), &["tor".to_owned()]);
    let faults: Vec<String> = [fault(turn)].into_iter().filter(|fault| !fault.is_empty()).collect();
    desired_status.set_configuration(StatusComponent::Agent(node), &[], &faults);
    let session = SessionReport { peer: "10.1.0.1".into(), vrf: None, bgp: "Established", bfd: None };
    desired_status.set_session(node, &session);
    desired_status
}

fn addresses(service: &Value) -> Vec<String> {
    let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    let ips = ingress.into_iter().flatten();
    ips.filter_map(|entry| Some(entry["ip"].as_str()?.to_owned())).collect()
}

/// Reports Services that share an address, or whose address changes.
async fn watch_addresses(store: Arc<ObjectStore>, violations: Arc<Mutex<Vec<String>>>) {
    let mut before = BTreeMap::<String, Vec<String>>::new();
    loop {
        let services = store.all("", "services");
        let mut taken = BTreeSet::new();
        let report = |words: String| violations.lock().unwrap_or_else(PoisonError::into_inner).push(words);
        for service in &services {
            let uid = service["metadata"]["uid"].to_string();
            let now = addresses(service);
            for address in &now {
                if !taken.insert(address.clone()) {
                    report(format!("two Services have {address}"));
                }
            }
            if before.get(&uid).is_some_and(|before| !before.is_empty() && *before != now) {
                report(format!("{} had {:?} and has {now:?}", service["metadata"]["name"], before[&uid]));
            }
            before.insert(uid, now);
        }
        sleep(Duration::from_millis(20)).await;
    }
}
