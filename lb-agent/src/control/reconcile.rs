//! One pass of the control loop: plan, write the difference, advertise, publish.

use std::sync::Arc;
use std::time::Instant;

use lb_api::problem::Problem;
use lb_bfd::initiator::ProbeTarget;
use lb_common::tag;
use lb_dataplane::liveness::{NotAccepting, ProbeConfig, ProbedNode, ProbedNodes};
use lb_dataplane::map_io::MapsError;
use lb_kube::config_errors::{ConfigErrors, is_configuration};
use lb_l2::table::L2Table;
use lb_model::{Model, Node};
use lb_plan::contents::{Contents, Op, diff};
use lb_plan::plan::{Facts, NodeState, Plan, Settings};
use lb_plan::speaker::SpeakerSettings;
use lb_speaker::ServiceRoutes;

use super::peers::Advertised;
use super::readiness::ReadyState;
use super::state::LoopState;
use super::{ControlLoop, fill, log};
use crate::measurements::MapWrites;
use crate::state::{AgentState, Applied};

/// The outcome of a pass's writes.
#[derive(Default)]
struct Written {
    /// The operations that were done.
    operations: usize,
    /// The errors of the others.
    failures: Vec<MapsError>,
    times: MapWrites,
}

impl ControlLoop {
    /// Plans, writes the difference to the maps, advertises, and publishes the result.
    pub(super) fn reconcile(&mut self, state: &mut LoopState) {
        let begun = Instant::now();
        state.ready = self.readiness(state);
        let not_accepting = self.not_accepting();
        let plan = self.plan(state, &not_accepting);
        log::liveness(&state.not_accepting, &not_accepting, &plan.nodes);
        state.not_accepting = not_accepting;
        let Written { operations, failures, times } = self.apply(&plan, &mut state.installed, begun);
        self.probe(state, &plan);
        state.deadline = plan.wake.map(|wake| state.started + wake);
        let applied = Applied { operations, microseconds: begun.elapsed().as_micros() as u64 };
        if operations > 0 {
            tracing::info!(
                operations,
                microseconds = applied.microseconds,
                services = plan.services.len(),
                "wrote the maps"
            );
        }
        if state.installed.config.is_some() {
            self.attachment.note_maps_written();
        }
        // Routes are advertised only now that the maps serve their packets. The first plan can make the node
        // ready.
        state.ready = self.readiness(state);
        let announced = state.announcer.as_ref().map(|config| Arc::clone(&config.table));
        self.announce(state, &plan);
        let advertised = self.advertise(state);
        state.failures = failures.iter().map(ToString::to_string).collect();
        state.plan_problems.clone_from(&plan.problems);
        let routes = Arc::clone(&self.state.borrow().announced);
        self.publish(state, plan, applied, advertised);
        self.time_announcements(state, &routes, announced.as_deref());
        state.reconciled = Instant::now();
        self.measurements.handle_pass(begun.elapsed(), &times);
    }

    /// Measures how long what is new since the objects changed takes to be announced.
    fn time_announcements(
        &mut self,
        state: &mut LoopState,
        routes: &[ServiceRoutes],
        table: Option<&L2Table>,
    ) {
        let Some(since) = state.objects_changed.take() else { return };
        let announced = Arc::clone(&self.state.borrow().announced);
        self.announcement_timer.handle_routes(since, routes, &announced);
        if let (Some(before), Some(after)) = (table, &state.announcer) {
            self.announcement_timer.handle_addresses(since, before, &after.table);
        }
    }

    fn plan(&self, state: &mut LoopState, not_accepting: &NotAccepting) -> Plan {
        let announcer = self.announcer.state().borrow().clone();
        let facts = Facts {
            silent: not_accepting.clone(),
            standing: announcer.standing,
            was_alone: announcer.was_alone,
            checked: Some(announcer.checked),
            ..state.network.facts.clone()
        };
        let elapsed = state.started.elapsed();
        state.planner.plan(state.model.model(), &facts, &self.settings, &state.installed, elapsed)
    }

    /// Returns the addresses of the nodes that are dead or draining.
    fn not_accepting(&self) -> NotAccepting {
        self.prober.as_ref().map(|prober| prober.not_accepting().borrow().clone()).unwrap_or_default()
    }

    /// Writes the difference to the maps, in a pass that has begun at this time.
    fn apply(&mut self, plan: &Plan, installed: &mut Contents, begun: Instant) -> Written {
        let mut written = Written::default();
        let start = Instant::now();
        for op in diff(installed, &plan.contents) {
            match self.maps.apply(&op) {
                Ok(()) => {
                    installed.apply(&op);
                    written.operations += 1;
                    if matches!(op, Op::WriteSlots { .. }) {
                        written.times.rings_after = Some(begun.elapsed());
                    }
                }
                // The others go on: an entry that finds no room affects one Service.
                Err(error) => written.failures.push(error),
            }
        }
        written.times.took = (written.operations > 0).then(|| start.elapsed());
        // So the next plan need not compare rings and source ranges that stay.
        installed.share_rings(&plan.contents);
        installed.share_sources(&plan.contents);
        written
    }

    /// Configures the prober: all other nodes with a resolved next hop.
    fn probe(&self, state: &mut LoopState, plan: &Plan) {
        let probed = |node: &NodeState| {
            let next_hop = state.network.facts.next_hops.get(&node.address)?;
            let own_discriminator = tag::discriminator(self.settings.liveness.nonce, node.index);
            let target = ProbeTarget { discriminator: node.id, own_discriminator };
            Some((node.index, ProbedNode { address: node.address, source: next_hop.source, target }))
        };
        let targets: ProbedNodes =
            plan.nodes.iter().filter(|node| !node.is_self).filter_map(probed).collect();
        let probes = ProbeConfig { targets, key: self.settings.tag_keys.current };
        let is_new = state.probes.as_ref() != Some(&probes);
        if let Some(prober) = self.prober.as_ref().filter(|_| is_new) {
            prober.set(probes.clone());
            state.probes = Some(probes);
        }
    }

    /// Sets what is advertised to BGP peers.
    fn advertise(&mut self, state: &LoopState) -> Option<Advertised> {
        let withdrawn = state.ready == ReadyState::No;
        let settings = speaker_settings(&self.settings, state.model.model(), withdrawn);
        let may_advertise = state.ready != ReadyState::NotYet;
        self.advertiser.advertise(state.model.model(), &self.settings.node, &settings, may_advertise)
    }

    /// Returns whether this node takes no new flows: by request, for its health or by its Node object.
    pub(super) fn is_draining(&self, state: &LoopState) -> bool {
        is_draining(&self.settings, state.model.model())
    }

    fn publish(&self, state: &mut LoopState, plan: Plan, applied: Applied, advertised: Option<Advertised>) {
        let before = self.state.borrow().clone();
        let mut problems = state.problems.clone();
        problems.extend(state.plan_problems.iter().cloned());
        let (announced, unnumbered) = match advertised {
            Some(advertised) => {
                problems.extend(advertised.problems);
                (advertised.services, advertised.unnumbered)
            }
            None => (Arc::clone(&before.announced), Vec::new()),
        };
        let config_errors = self.config_errors(state, &problems);
        let tag_keys = self.tag_keys.borrow().problem.clone();
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.extend(state.failures.iter().cloned().chain(unnumbered).chain(tag_keys));
        problems.extend(state.uplinks.problems.iter().cloned());
        problems.extend(silent_veth(state, &plan.nodes));
        problems.extend(self.unhealthy().map(|why| format!("this node drains: {why}")));
        let rings = state.ring_balance.update(&state.installed.rings, &plan.services, &plan.nodes);
        let map_fill = match applied.operations {
            0 => before.map_fill.clone(),
            _ => fill::map_fill(&state.installed, self.maps.ring_capacity()),
        };
        log::problems(&before.problems, &problems);
        log::drains(&before, &plan.nodes);
        log::readiness(before.ready, state.ready);
        self.state.send_replace(Arc::new(AgentState {
            node: before.node.clone(),
            version: before.version.clone(),
            ready: state.ready == ReadyState::Yes,
            interfaces: state.uplinks.attached.clone(),
            asks_kernel: before.asks_kernel.clone(),
            turns: before.turns + 1,
            last: applied,
            services: plan.services,
            nodes: plan.nodes,
            announced,
            reading: state.reading.clone(),
            config_errors,
            liveness_limit: before.liveness_limit,
            draining: self.is_draining(state),
            problems,
            rings,
            map_fill,
        }));
    }

    fn config_errors(&self, state: &LoopState, problems: &[Problem]) -> ConfigErrors {
        let concerns = |it: &&Problem| state.model.concerns(it, &self.settings.node);
        ConfigErrors::of(problems.iter().filter(|it| is_configuration(it)).filter(concerns))
    }
}

/// Returns the settings of the plan of BGP peers.
pub(crate) fn speaker_settings(settings: &Settings, model: &Model, withdrawn: bool) -> SpeakerSettings {
    SpeakerSettings {
        ignore_exclude_label: settings.ignore_exclude_label,
        local_needs_endpoint: settings.local_needs_endpoint,
        draining: is_draining(settings, model),
        withdrawn,
    }
}

fn is_draining(settings: &Settings, model: &Model) -> bool {
    settings.draining || settings.unhealthy || model.nodes.get(&settings.node).is_some_and(Node::is_draining)
}

/// Returns a problem if the uplink may be the reason why no other node answers.
fn silent_veth(state: &LoopState, nodes: &[NodeState]) -> Option<String> {
    let others = nodes.iter().filter(|node| !node.is_self);
    state.uplinks.silent_veth(others.map(|node| !state.not_accepting.contains(&node.address)))
}
