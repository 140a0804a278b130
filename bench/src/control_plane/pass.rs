//! An agent's pass: objects → model → plan → maps, and → routes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::bpffs::Bpffs;
use lb_dataplane::attach::{MapSizes, load};
use lb_dataplane::maps::Maps;
use lb_dataplane::pins::Pins;
use lb_model::{IncrementalModel, NodeName};
use lb_plan::contents::{Contents, diff};
use lb_plan::plan::{Facts, Planner, Settings};
use lb_plan::speaker::{SpeakerPlan, SpeakerPlanner, SpeakerSettings};
use serde::{Deserialize, Serialize};

use super::objects::{ClusterObjects, node_name};
use crate::surroundings::{RING_SLOTS, facts, settings, timed};

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
