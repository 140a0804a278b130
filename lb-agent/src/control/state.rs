//! The state that the control loop keeps between passes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_dataplane::attach::AttachedUplink;
use lb_dataplane::layer2::AnnouncerConfig;
use lb_dataplane::liveness::{NotAccepting, ProbeConfig};
use lb_dataplane::net::observe::NetworkState;
use lb_kube::reading::Reading;
use lb_model::IncrementalModel;
use lb_plan::contents::Contents;
use lb_plan::plan::Planner;

use super::fill::RingBalance;
use super::readiness::{Readiness, ReadyState};
use super::uplink_state::UplinkState;

/// The state that the control loop keeps between passes.
pub(super) struct LoopState {
    pub(super) planner: Planner,
    /// The contents of the maps.
    pub(super) installed: Contents,
    pub(super) model: IncrementalModel,
    /// The objects of the last read.
    pub(super) objects: Vec<Arc<Sourced<Object>>>,
    /// Whether the last-known-good configuration has not been saved since.
    pub(super) is_unsaved: bool,
    /// Problems of the objects.
    pub(super) problems: Vec<Problem>,
    /// Problems of the last plan.
    pub(super) plan_problems: Vec<Problem>,
    /// Operations of the last pass that the kernel refused, a sentence each.
    pub(super) failures: Vec<String>,
    /// The state of reading them.
    pub(super) reading: Reading,
    pub(super) network: NetworkState,
    pub(super) uplinks: UplinkState,
    /// What is below uplinks that are more than one device, by their names.
    pub(super) paths: BTreeMap<String, String>,
    /// When that is read again; `None`: when an uplink changes.
    pub(super) paths_due: Option<Instant>,
    pub(super) readiness: Readiness,
    pub(super) ready: ReadyState,
    /// Whether the program ran before this agent started.
    pub(super) is_restart: bool,
    /// The addresses that an earlier agent announced.
    pub(super) adopted: BTreeSet<IpAddr>,
    /// Whether no other node was heard when the announcer last said so.
    pub(super) was_alone: bool,
    /// The configuration of the announcer.
    pub(super) announcer: Option<AnnouncerConfig>,
    /// Until when other hosts are greeted on a new uplink.
    pub(super) greet_until: Option<Instant>,
    /// The nodes that were dead or draining in the last pass.
    pub(super) not_accepting: NotAccepting,
    /// The configuration of the prober.
    pub(super) probes: Option<ProbeConfig>,
    pub(super) started: Instant,
    /// When the last pass ended.
    pub(super) reconciled: Instant,
    /// When the next pass is due, whatever happens.
    pub(super) deadline: Option<Instant>,
    /// When the objects changed, until the pass that follows.
    pub(super) objects_changed: Option<Instant>,
    pub(super) ring_balance: RingBalance,
}

impl LoopState {
    /// Returns the state before the first pass.
    pub(super) fn new(installed: Contents, model: IncrementalModel, uplinks: Vec<AttachedUplink>) -> Self {
        let now = Instant::now();
        Self {
            planner: Planner::default(),
            is_restart: installed.config.is_some(),
            adopted: announced(&installed),
            installed,
            model,
            objects: Vec::new(),
            is_unsaved: false,
            problems: Vec::new(),
            plan_problems: Vec::new(),
            failures: Vec::new(),
            reading: Reading::default(),
            network: NetworkState::default(),
            uplinks: UplinkState::of(uplinks),
            paths: BTreeMap::new(),
            paths_due: None,
            readiness: Readiness::new(now),
            ready: ReadyState::NotYet,
            was_alone: false,
            announcer: None,
            greet_until: None,
            not_accepting: NotAccepting::new(),
            probes: None,
            started: now,
            reconciled: now,
            deadline: None,
            objects_changed: None,
            ring_balance: RingBalance::default(),
        }
    }
}

/// Returns the addresses that the program may answer for.
pub(crate) fn announced(installed: &Contents) -> BTreeSet<IpAddr> {
    installed.announcers.iter().filter(|(_, it)| it.uplinks != 0).map(|(address, _)| *address).collect()
}
