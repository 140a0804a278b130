//! An agent's pass: objects → model → plan → maps, and → routes.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::bpffs::Bpffs;
use lb_common::hash::HashKey;
use lb_dataplane::attach::{MapSizes, load};
use lb_dataplane::maps::Maps;
use lb_dataplane::pins::Pins;
use lb_model::{IncrementalModel, Model, NodeName};
use lb_plan::contents::{Contents, diff};
use lb_plan::plan::{
    Facts, Forwarding, LivenessSettings, Planner, ResolvedNextHop, Settings, UndeclaredPorts, Uplink,
};
use lb_plan::speaker::{SpeakerPlan, SpeakerPlanner, SpeakerSettings};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::objects::{ClusterObjects, node_name};

/// Slots of the ring map: for a ring of a thousand nodes, the one that replaces it, and those of a hundred
/// Services with policy Local.
const RING_SLOTS: u32 = 1 << 20;
/// Sets of the flow table, which no pass writes.
const FLOW_SETS: u32 = 64;

/// The cost of a pass, in seconds of CPU time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PassCost {
    /// Building the model.
    pub model: f64,
    /// Planning the contents of the maps.
    pub plan: f64,
    /// Finding the difference to the installed contents.
    pub diff: f64,
    /// Writing the difference to the maps.
    pub maps: f64,
    /// Planning the routes to BGP peers.
    pub routes: f64,
    /// Map operations.
    pub operations: usize,
}

impl PassCost {
    /// Returns the time of the whole pass.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.model + self.plan + self.diff + self.maps + self.routes
    }
}

/// An agent without sockets and packets: its model, planners and maps.
pub(super) struct AgentModel {
    incremental: IncrementalModel,
    planner: Planner,
    speaker: SpeakerPlanner,
    installed: Contents,
    facts: Facts,
    settings: Settings,
    maps: Maps,
    _bpffs: Bpffs,
}

impl AgentModel {
    /// Loads the program, and opens its maps, which are empty. Needs root.
    pub(super) fn start() -> Result<Self> {
        let bpffs = Bpffs::mount()?;
        let pins = Pins::below(bpffs.path());
        fs::create_dir_all(pins.directory())?;
        load(Some(&pins), MapSizes { ring_slots: RING_SLOTS, flow_sets: FLOW_SETS })
            .context("load the program (needs root)")?;
        Ok(Self {
            incremental: IncrementalModel::default(),
            planner: Planner::new(),
            speaker: SpeakerPlanner::default(),
            installed: Contents::default(),
            facts: Facts::default(),
            settings: settings(&own()),
            maps: Maps::open(&pins)?,
            _bpffs: bpffs,
        })
    }

    /// Makes a pass over these objects, `now` after the start.
    pub(super) fn pass(&mut self, objects: &ClusterObjects, now: Duration) -> Result<PassCost> {
        let (problems, model) = timed(|| self.incremental.update(objects.all(), None));
        ensure!(problems.is_empty(), "{problems:?}");
        if self.facts.next_hops.is_empty()
            || self.incremental.model().nodes.len() > self.facts.next_hops.len()
        {
            self.facts = facts(self.incremental.model(), &self.settings.node);
        }
        let (planned, plan) = timed(|| {
            self.planner.plan(self.incremental.model(), &self.facts, &self.settings, &self.installed, now)
        });
        ensure!(planned.problems.is_empty(), "{:?}", planned.problems);
        let (operations, diff) = timed(|| diff(&self.installed, &planned.contents));
        let (written, maps) = timed(|| -> Result<()> {
            for operation in &operations {
                self.maps.apply(operation)?;
                self.installed.apply(operation);
            }
            self.installed.share_rings(&planned.contents);
            self.installed.share_sources(&planned.contents);
            Ok(())
        });
        written?;
        let (routes, took) = timed(|| self.routes());
        routes.context("the node is unknown")?;
        Ok(PassCost { model, plan, diff, maps, routes: took, operations: operations.len() })
    }

    /// Plans the routes.
    pub(super) fn routes(&mut self) -> Option<std::sync::Arc<SpeakerPlan>> {
        let model = self.incremental.model();
        self.speaker.plan(model, &self.settings.node, &SpeakerSettings::default())
    }
}

fn own() -> NodeName {
    node_name(0).as_str().into()
}

/// Returns the CPU time of this thread, in seconds: other processes do not count.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default();
    let begun = now();
    let done = work();
    (done, now().saturating_sub(begun).as_secs_f64())
}

/// Returns a line of this process's status, in bytes.
pub(super) fn memory(key: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

/// Every node is on-link.
fn facts(model: &Model, own: &NodeName) -> Facts {
    let uplink = Uplink { name: "eth0".into(), mac: [2, 0, 0, 0, 0, 1], mtu: 1500, ..Uplink::default() };
    let source = model.nodes.get(own).map_or(Ipv4Addr::LOCALHOST.into(), |node| node.primary());
    let way =
        ResolvedNextHop { ifindex: 2, next_hop_mac: [2, 0, 0, 0, 0, 2], on_link: true, mtu: 1500, source };
    let next_hops =
        model.addresses_to_resolve(own).into_iter().map(|address| (address, way.clone())).collect();
    Facts { uplinks: [(2, uplink)].into(), next_hops, ..Facts::default() }
}

fn settings(node: &NodeName) -> Settings {
    Settings {
        node: node.clone(),
        hash_key: HashKey::default(),
        tag_keys: lb_common::tag::TagKeys::derived(&HashKey::default()),
        accept_ipip: false,
        echo_rate: 1000,
        icmp_error_rate: 1000,
        undeclared: UndeclaredPorts::Pass,
        forwarding: Forwarding::Auto,
        slots_per_node: 256,
        ring_capacity: RING_SLOTS,
        flow_sets: 1 << 17,
        liveness: LivenessSettings::default(),
        draining: false,
        ignore_exclude_label: false,
        local_needs_endpoint: false,
        agent_limit: Duration::ZERO,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}
