//! The loop: observe → plan → diff → apply, on every change, for as long as the agent runs.

mod log;
mod peers;
mod readiness;
mod uplinks;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_bfd::initiator::ProbeTarget;
use lb_common::tag;
use lb_model::{AddressRule, DrainRules, IncrementalModel, Model, Node};
use lb_plan::contents::{Contents, diff};
use lb_plan::plan::{Facts, NodeState, Plan, Planner, Settings};
use lb_plan::speaker::SpeakerSettings;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

pub use self::peers::Neighbours;
use self::peers::Told;
use self::readiness::{Readiness, Ready};
use self::uplinks::Standing;
pub use self::uplinks::interface;
use crate::last_good::LastGoodFile;
use crate::state::{AgentState, Applied};
use crate::tag_keys::TagKeysRead;
use lb_dataplane::attachment::Attachment;
use lb_dataplane::liveness::{NotAccepting, ProbeConfig, ProbedNode, ProbedNodes, Prober};
use lb_dataplane::maps::{Maps, MapsError};
use lb_dataplane::net::observe::{ASK_EVERY, CONFIRM_EVERY, NetworkMonitor, NetworkState, WATCH_EVERY};
use lb_kube::config_errors::{Faults, is_configuration};
use lb_kube::reading::Reading;
use lb_kube::source::Source;
use lb_runtime::watchdog::{TASK_LIMIT, Watchdog};

/// Changes that come together are taken together: a switch that comes back moves many neighbours.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Everything the loop works on.
pub struct Control {
    /// Where objects come from.
    pub source: Source,
    /// What of them was accepted last.
    pub accepted: LastGoodFile,
    /// What the network says.
    pub network: NetworkMonitor,
    /// The program on the uplinks.
    pub attachment: Attachment,
    /// The kernel's maps.
    pub maps: Maps,
    /// What does not change while the agent runs.
    pub settings: Settings,
    /// Services of this load-balancer class only, or of none.
    pub class: Option<String>,
    /// By what nodes drain.
    pub drain: DrainRules,
    /// Which addresses count as a Service's.
    pub addresses: AddressRule,
    /// Where the outcome is shown.
    pub state: watch::Sender<Arc<AgentState>>,
    /// Who probes the other nodes.
    pub prober: Option<Prober>,
    /// Who tells routers.
    pub neighbours: Neighbours,
    /// Whether this node has been told to take no new flows.
    pub draining: watch::Receiver<bool>,
    /// Whether the program is to be taken off the uplinks.
    pub detaching: watch::Receiver<bool>,
    /// The keys of the tags on what nodes say to each other, read again where their file has changed.
    pub tag_keys: watch::Receiver<TagKeysRead>,
}

/// What the loop remembers from one turn to the next.
struct Memory {
    planner: Planner,
    installed: Contents,
    modeller: IncrementalModel,
    /// What was read last, until it has been noted what of it is accepted.
    unnoted: Option<Vec<Arc<Sourced<Object>>>>,
    /// What is wrong with the objects.
    problems: Vec<Problem>,
    /// What became of reading them.
    reading: Reading,
    observation: NetworkState,
    standing: Standing,
    readiness: Readiness,
    ready: Ready,
    greet_until: Option<Instant>,
    probed: Option<ProbeConfig>,
    started: Instant,
    /// When the last turn was over.
    turned: Instant,
    /// When the plan wants to be made again, whatever happens.
    wake: Option<Instant>,
}

/// What woke the loop.
enum Wake {
    Source,
    NetworkMonitor,
    Ask,
    Confirm,
    /// Uplinks and pins are to be looked at.
    Watch,
    Drain,
    Detach,
    Keys,
    /// On an interface without addresses there is another router.
    Router,
    /// Another node has gone silent, or is back.
    Silence,
    /// The plan has asked to be made again: a grace is over.
    Plan,
}

impl Control {
    /// Runs until the task is ended. The heart of the loop beats from the first plan on: the wait for the source before it
    /// may take as long as it likes.
    ///
    /// # Errors
    /// When the maps cannot be read at the start.
    pub async fn run(mut self, watchdog: &Watchdog) -> Result<(), MapsError> {
        let mut memory = Memory {
            planner: Planner::default(),
            installed: self.maps.read_back()?,
            modeller: self.modeller(Model::default()),
            unnoted: None,
            problems: Vec::new(),
            reading: Reading::default(),
            observation: NetworkState::default(),
            standing: Standing::of(self.attachment.status()),
            readiness: Readiness::new(Instant::now()),
            ready: Ready::NotYet,
            greet_until: None,
            probed: None,
            started: Instant::now(),
            turned: Instant::now(),
            wake: None,
        };
        self.neighbours.restarted = memory.installed.config.is_some();
        self.accepted.read(memory.installed.config.is_some());
        // Answers to probes of the agent before this one are answers, and a restart writes nothing that was right.
        if let Some(config) = memory.installed.config.filter(|config| config.probe_nonce != 0) {
            self.settings.liveness.nonce = config.probe_nonce;
        }
        // What is installed stays until it is known what shall be: what is not there may only not have come yet.
        while !self.read_source(&mut memory) {
            self.wait_source(&mut memory).await;
        }
        self.observe(&mut memory).await;
        self.network.solicit(&memory.observation.unresolved).await;
        self.turn(&mut memory);
        self.note_accepted(&mut memory);
        let mut silent = self.prober.as_ref().map(Prober::not_accepting);
        // Beats with every wake, and so at least as often as neighbours are asked for.
        let heart = watchdog.heart("control", TASK_LIMIT);
        let mut ask = tokio::time::interval(ASK_EVERY);
        let mut confirm = tokio::time::interval(CONFIRM_EVERY);
        let mut watch = watch_ticks();
        loop {
            let wake = tokio::select! {
                () = self.source.changed() => Wake::Source,
                true = self.network.changed() => Wake::NetworkMonitor,
                _ = ask.tick() => Wake::Ask,
                _ = confirm.tick() => Wake::Confirm,
                _ = watch.tick() => Wake::Watch,
                Ok(()) = self.detaching.changed() => Wake::Detach,
                Ok(()) = self.draining.changed() => Wake::Drain,
                Ok(()) = self.tag_keys.changed() => Wake::Keys,
                () = changed(&mut silent) => Wake::Silence,
                () = self.neighbours.routers.changed() => Wake::Router,
                () = sleep_until(memory.wake) => Wake::Plan,
            };
            heart.beat();
            self.woken(wake, &mut memory).await;
        }
    }

    /// Waits until the source may be able to tell. What is attached is watched over all the same: it may carry packets
    /// by what an agent before this one has installed.
    async fn wait_source(&mut self, memory: &mut Memory) {
        let mut watch = watch_ticks();
        loop {
            self.state.send_if_modified(|state| {
                let is_same = state.reading == memory.reading && state.interfaces == memory.standing.attached;
                let state = Arc::make_mut(state);
                state.reading.clone_from(&memory.reading);
                state.interfaces.clone_from(&memory.standing.attached);
                !is_same
            });
            tokio::select! {
                () = self.source.changed() => return,
                Ok(()) = self.detaching.changed() => self.attachment.detach(),
                _ = watch.tick() => {}
            }
            if self.watch_alone(memory).await {
                memory.standing.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
            }
        }
    }

    async fn woken(&mut self, wake: Wake, memory: &mut Memory) {
        match wake {
            Wake::Source => {
                self.source.settle(memory.turned).await;
                let before = self.wanted(memory);
                self.read_source(memory);
                // The kernel is asked for the way to each node: not for a Service's sake.
                if self.wanted(memory) != before {
                    self.observe(memory).await;
                    self.network.solicit(&memory.observation.unresolved).await;
                }
                self.turn(memory);
                self.note_accepted(memory);
            }
            Wake::NetworkMonitor => {
                tokio::time::sleep(DEBOUNCE).await;
                self.network.discard_changes();
                if self.observe(memory).await {
                    self.turn(memory);
                }
                if memory.ready != Ready::Yes {
                    self.network.solicit(&memory.observation.unresolved).await;
                }
            }
            Wake::Ask => {
                self.network.solicit(&memory.observation.unresolved).await;
                self.greet(memory).await;
                // Time alone can make the agent ready.
                if self.observe(memory).await || memory.ready != Ready::Yes {
                    self.turn(memory);
                }
            }
            Wake::Watch => {
                if self.watch_alone(memory).await {
                    self.observe(memory).await;
                    self.turn(memory);
                } else if self.judge(memory) != memory.ready {
                    self.turn(memory);
                }
            }
            Wake::Detach => {
                self.attachment.detach();
                self.watch_alone(memory).await;
                self.observe(memory).await;
                self.turn(memory);
            }
            Wake::Silence => {
                tokio::time::sleep(DEBOUNCE).await;
                self.turn(memory);
            }
            Wake::Plan | Wake::Router => self.turn(memory),
            Wake::Drain => {
                self.settings.draining = *self.draining.borrow_and_update();
                self.turn(memory);
            }
            Wake::Keys => {
                self.settings.tag_keys = self.tag_keys.borrow_and_update().keys;
                self.turn(memory);
            }
            Wake::Confirm => self.network.solicit(&self.wanted(memory)).await,
        }
    }

    /// Goes on from a model, by the rules of this agent.
    fn modeller(&self, before: Model) -> IncrementalModel {
        IncrementalModel::new(&Model { drain: self.drain.clone(), addresses: self.addresses, ..before })
    }

    fn wanted(&self, memory: &Memory) -> BTreeSet<IpAddr> {
        memory.modeller.model().addresses_to_resolve(&self.settings.node)
    }

    /// False where the source cannot tell now.
    fn read_source(&mut self, memory: &mut Memory) -> bool {
        let Some(mut snapshot) = self.source.read() else {
            memory.reading.failed();
            return false;
        };
        self.accepted.complete(&mut snapshot);
        if let Some(recalled) = self.accepted.recall(&snapshot.objects) {
            memory.modeller = self.modeller(recalled);
        }
        memory.problems = snapshot.problems;
        memory.problems.extend(memory.modeller.update(&snapshot.objects, self.class.as_deref()));
        memory.reading.succeeded(&memory.problems);
        memory.unnoted = Some(snapshot.objects);
        true
    }

    /// Only after all else: it may take a disk's time.
    fn note_accepted(&mut self, memory: &mut Memory) {
        if let Some(objects) = memory.unnoted.take() {
            self.accepted.note(&objects, &memory.problems, memory.modeller.model());
        }
    }

    /// Looks at the network; true where something is different from the last look.
    async fn observe(&mut self, memory: &mut Memory) -> bool {
        let standing = memory.standing.clone();
        match self.observation(memory).await {
            Ok(mut observation) => {
                self.network.revive(observation.revived(&memory.observation)).await;
                observation.remember(&memory.observation);
                let differs = observation.facts != memory.observation.facts
                    || observation.unresolved != memory.observation.unresolved
                    || standing != memory.standing;
                memory.observation = observation;
                differs
            }
            Err(error) => {
                tracing::error!(%error, "the kernel does not say how nodes are reached; what was known stays in force");
                false
            }
        }
    }

    /// Plans, writes what is different, and shows it.
    fn turn(&mut self, memory: &mut Memory) {
        let begun = Instant::now();
        let silent =
            self.prober.as_ref().map(|prober| prober.not_accepting().borrow().clone()).unwrap_or_default();
        memory.ready = self.judge(memory);
        let withdrawn = memory.ready == Ready::No;
        let facts = Facts { silent, withdrawn, ..memory.observation.facts.clone() };
        let plan = memory.planner.plan(
            memory.modeller.model(),
            &facts,
            &self.settings,
            &memory.installed,
            memory.started.elapsed(),
        );
        let (operations, failures) = self.apply(&plan, &mut memory.installed);
        self.probe(memory, &plan);
        memory.wake = plan.wake.map(|wake| memory.started + wake);
        let applied = Applied { operations, microseconds: begun.elapsed().as_micros() as u64 };
        if operations > 0 {
            tracing::info!(
                operations,
                microseconds = applied.microseconds,
                services = plan.services.len(),
                "maps written"
            );
        }
        if memory.installed.config.is_some() {
            self.attachment.note_maps_written();
        }
        // Only now that packets are taken care of may they be asked for. The first plan can make the node ready.
        memory.ready = self.judge(memory);
        let told = self.tell(memory);
        let failures = failures.iter().map(ToString::to_string).collect();
        self.publish(memory, plan, applied, told, failures);
        memory.turned = Instant::now();
    }

    /// Has routers told what they shall know.
    fn tell(&mut self, memory: &Memory) -> Option<Told> {
        let settings = SpeakerSettings {
            ignore_exclude_label: self.settings.ignore_exclude_label,
            local_needs_endpoint: self.neighbours.local_needs_endpoint,
            draining: self.is_draining(memory),
            withdrawn: memory.ready == Ready::No,
        };
        let may_tell = memory.ready != Ready::NotYet;
        self.neighbours.tell(memory.modeller.model(), &self.settings.node, &settings, may_tell)
    }

    /// Whether this node takes no new flows: it has been told so, or its Node object says so.
    fn is_draining(&self, memory: &Memory) -> bool {
        let node = memory.modeller.model().nodes.get(&self.settings.node);
        self.settings.draining || node.is_some_and(Node::is_draining)
    }

    /// Has the other nodes probed, those that a way is known to.
    fn probe(&self, memory: &mut Memory, plan: &Plan) {
        let targets: ProbedNodes = plan
            .nodes
            .iter()
            .filter(|node| !node.is_self)
            .filter_map(|node| {
                let way = memory.observation.facts.next_hops.get(&node.address)?;
                let own_discriminator = tag::discriminator(self.settings.liveness.nonce, node.index);
                let target = ProbeTarget { discriminator: node.id, own_discriminator };
                Some((node.index, ProbedNode { address: node.address, source: way.source, target }))
            })
            .collect();
        let probing = ProbeConfig { targets, key: self.settings.tag_keys.current };
        let is_new = memory.probed.as_ref() != Some(&probing);
        if let Some(prober) = self.prober.as_ref().filter(|_| is_new) {
            prober.set(probing.clone());
            memory.probed = Some(probing);
        }
    }

    /// Whether the uplink may be why all other nodes are dead.
    fn deaf_veth(&self, memory: &Memory, nodes: &[NodeState]) -> Option<String> {
        let silent = self.prober.as_ref()?.not_accepting();
        let silent = silent.borrow();
        let others = nodes.iter().filter(|node| !node.is_self);
        memory.standing.deaf_veth(others.map(|node| !silent.contains(&node.address)))
    }

    fn apply(&mut self, plan: &Plan, installed: &mut Contents) -> (usize, Vec<MapsError>) {
        let mut done = 0;
        let mut failures = Vec::new();
        for op in diff(installed, &plan.contents) {
            match self.maps.apply(&op) {
                Ok(()) => {
                    installed.apply(&op);
                    done += 1;
                }
                // The rest goes on: one entry that finds no room is one Service's trouble.
                Err(error) => failures.push(error),
            }
        }
        // So the next plan need not look into rings and source ranges that stay.
        installed.share_rings(&plan.contents);
        installed.share_sources(&plan.contents);
        (done, failures)
    }

    fn publish(
        &self,
        memory: &Memory,
        plan: Plan,
        applied: Applied,
        told: Option<Told>,
        failures: Vec<String>,
    ) {
        let before = self.state.borrow().clone();
        let mut problems = memory.problems.clone();
        problems.extend(plan.problems);
        let (announced, troubles) = match told {
            Some(told) => {
                problems.extend(told.problems);
                (told.services.into(), told.troubles)
            }
            None => (Arc::clone(&before.announced), Vec::new()),
        };
        let concerns = |it: &&Problem| memory.modeller.concerns(it, &self.settings.node);
        let faults = Faults::of(problems.iter().filter(|it| is_configuration(it)).filter(concerns));
        let keys = self.tag_keys.borrow().problem.clone();
        let mut problems: Vec<String> =
            problems.iter().map(ToString::to_string).chain(failures).chain(troubles).chain(keys).collect();
        problems.extend(memory.standing.problems.iter().cloned());
        problems.extend(self.deaf_veth(memory, &plan.nodes));
        log::problems(&before.problems, &problems);
        log::drains(&before, &plan.nodes);
        self.state.send_replace(Arc::new(AgentState {
            node: before.node.clone(),
            version: before.version.clone(),
            ready: memory.ready == Ready::Yes,
            interfaces: memory.standing.attached.clone(),
            asks_kernel: before.asks_kernel.clone(),
            turns: before.turns + 1,
            last: applied,
            services: plan.services,
            nodes: plan.nodes,
            announced,
            reading: memory.reading.clone(),
            faults,
            liveness_limit: before.liveness_limit,
            draining: self.is_draining(memory),
            problems,
        }));
    }
}

/// When uplinks are looked at. Looks that were missed in a long turn are not made up for.
fn watch_ticks() -> Interval {
    let mut ticks = tokio::time::interval(WATCH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits until others are silent than before; without a prober for ever.
async fn changed(silent: &mut Option<watch::Receiver<NotAccepting>>) {
    let is_told = match silent {
        Some(silent) => silent.changed().await.is_ok(),
        None => false,
    };
    if !is_told {
        std::future::pending::<()>().await;
    }
}

/// Sleeps until then; without a time for ever.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
