//! The loop: observe → plan → diff → apply, on every change, for as long as the agent runs.

mod neighbours;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_api::problem::Problem;
use lb_bfd::initiator::Target;
use lb_plan::contents::{Contents, diff};
use lb_plan::model::{Model, Modeller};
use lb_plan::plan::{Facts, Plan, Planner, Settings};
use lb_plan::speaker::SpeakerSettings;
use tokio::sync::watch;

pub use self::neighbours::Neighbours;
use crate::dataplane::maps::{Maps, MapsError};
use crate::liveness::{Probed, Prober, Silent, Targets};
use crate::net::observe::{ASK_EVERY, CONFIRM_EVERY, Network, Observation};
use crate::source::Source;
use crate::state::{Applied, State};

/// Changes that come together are taken together: a file is written in several steps, and a switch that
/// comes back moves many neighbours.
pub const DEBOUNCE: Duration = Duration::from_millis(10);
/// Ready all the same, though a node's MAC is not known: that node may be down for good.
const READY_ANYWAY: Duration = Duration::from_secs(5);

/// Everything the loop works on.
pub struct Control {
    /// Where objects come from.
    pub source: Source,
    /// What the network says.
    pub network: Network,
    /// The kernel's maps.
    pub maps: Maps,
    /// What does not change while the agent runs.
    pub settings: Settings,
    /// Services of this load-balancer class only, or of none.
    pub class: Option<String>,
    /// Where the outcome is shown.
    pub state: watch::Sender<Arc<State>>,
    /// Who probes the other nodes.
    pub prober: Option<Prober>,
    /// Who tells routers.
    pub neighbours: Neighbours,
    /// Whether this node has been told to take no new flows.
    pub draining: watch::Receiver<bool>,
}

/// What the loop remembers from one turn to the next.
struct Memory {
    planner: Planner,
    installed: Contents,
    modeller: Modeller,
    model: Model,
    /// What is wrong with the objects.
    problems: Vec<Problem>,
    observation: Observation,
    probed: Targets,
    started: Instant,
    /// When the plan wants to be made again, whatever happens.
    wake: Option<Instant>,
}

/// What woke the loop.
enum Wake {
    Source,
    Network,
    Ask,
    Confirm,
    Drain,
    /// Another node has gone silent, or is back.
    Silence,
    /// The plan has asked to be made again: a grace is over.
    Plan,
}

impl Control {
    /// Runs until the task is ended.
    ///
    /// # Errors
    /// When the maps cannot be read at the start.
    pub async fn run(mut self) -> Result<(), MapsError> {
        let mut memory = Memory {
            planner: Planner::default(),
            installed: self.maps.read_back()?,
            modeller: Modeller::default(),
            model: Model::default(),
            problems: Vec::new(),
            observation: Observation::default(),
            probed: Targets::new(),
            started: Instant::now(),
            wake: None,
        };
        self.neighbours.restarted = memory.installed.config.is_some();
        // Answers to probes of the agent before this one are answers, and a restart writes nothing that was right.
        if let Some(config) = memory.installed.config.filter(|config| config.probe_nonce != 0) {
            self.settings.liveness.nonce = config.probe_nonce;
        }
        // What is installed stays until it is known what shall be: what is not there may only not have come yet.
        while !self.read_source(&mut memory) {
            self.source.changed().await;
        }
        self.observe(&mut memory).await;
        self.network.solicit(&memory.observation.unresolved).await;
        self.turn(&mut memory);
        let mut silent = self.prober.as_ref().map(Prober::silent);
        let mut ask = tokio::time::interval(ASK_EVERY);
        let mut confirm = tokio::time::interval(CONFIRM_EVERY);
        loop {
            let wake = tokio::select! {
                () = self.source.changed() => Wake::Source,
                true = self.network.changed() => Wake::Network,
                _ = ask.tick() => Wake::Ask,
                _ = confirm.tick() => Wake::Confirm,
                Ok(()) = self.draining.changed() => Wake::Drain,
                () = changed(&mut silent) => Wake::Silence,
                () = sleep_until(memory.wake) => Wake::Plan,
            };
            self.woken(wake, &mut memory).await;
        }
    }

    async fn woken(&mut self, wake: Wake, memory: &mut Memory) {
        match wake {
            Wake::Source => {
                tokio::time::sleep(DEBOUNCE).await;
                self.read_source(memory);
                self.observe(memory).await;
                self.network.solicit(&memory.observation.unresolved).await;
                self.turn(memory);
            }
            Wake::Network => {
                tokio::time::sleep(DEBOUNCE).await;
                self.network.forget_changes();
                if self.observe(memory).await {
                    self.turn(memory);
                }
            }
            Wake::Ask => {
                self.network.solicit(&memory.observation.unresolved).await;
                // Time alone can make the agent ready.
                if self.observe(memory).await || !self.state.borrow().ready {
                    self.turn(memory);
                }
            }
            Wake::Silence => {
                tokio::time::sleep(DEBOUNCE).await;
                self.turn(memory);
            }
            Wake::Plan => self.turn(memory),
            Wake::Drain => {
                self.settings.draining = *self.draining.borrow_and_update();
                self.turn(memory);
            }
            Wake::Confirm => self.network.solicit(&self.wanted(memory)).await,
        }
    }

    fn wanted(&self, memory: &Memory) -> BTreeSet<IpAddr> {
        memory.model.addresses_to_resolve(&self.settings.node)
    }

    /// False where the source cannot tell now.
    fn read_source(&mut self, memory: &mut Memory) -> bool {
        let Some(snapshot) = self.source.read() else { return false };
        let class = self.class.as_deref();
        let (model, problems) = memory.modeller.after(&memory.model, &snapshot.objects, class);
        memory.problems = snapshot.problems;
        memory.problems.extend(problems);
        memory.model = model;
        true
    }

    /// Looks at the network; true where something is different from the last look.
    async fn observe(&self, memory: &mut Memory) -> bool {
        match self.network.observe(&self.wanted(memory)).await {
            Ok(mut observation) => {
                self.network.revive(observation.revived(&memory.observation)).await;
                observation.remember(&memory.observation);
                let differs = observation.facts != memory.observation.facts
                    || observation.unresolved != memory.observation.unresolved;
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
        let silent = self.prober.as_ref().map(|prober| prober.silent().borrow().clone()).unwrap_or_default();
        let facts = Facts { silent, ..memory.observation.facts.clone() };
        let plan = memory.planner.plan(
            &memory.model,
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
        // Only now that packets are taken care of may they be asked for.
        let failures = failures.iter().map(ToString::to_string).chain(self.tell(memory)).collect();
        self.publish(memory, plan, applied, failures);
    }

    /// Has routers told what they shall know.
    fn tell(&self, memory: &Memory) -> Vec<String> {
        let node = memory.model.nodes.get(&self.settings.node);
        let draining = self.settings.draining || node.is_some_and(|node| node.draining);
        let settings = SpeakerSettings { draining, ..SpeakerSettings::default() };
        self.neighbours.tell(&memory.model, &self.settings.node, &settings, self.is_ready(memory))
    }

    /// Whether packets for VIPs get to their nodes, or have done so before.
    fn is_ready(&self, memory: &Memory) -> bool {
        let resolved = memory.observation.unresolved.is_empty() || memory.started.elapsed() > READY_ANYWAY;
        self.state.borrow().ready || (memory.installed.config.is_some() && resolved)
    }

    /// Has the other nodes probed, those that a way is known to.
    fn probe(&self, memory: &mut Memory, plan: &Plan) {
        let targets: Targets = plan
            .nodes
            .iter()
            .filter(|node| !node.is_self)
            .filter_map(|node| {
                let way = memory.observation.facts.ways.get(&node.address)?;
                let own_discriminator = u32::from(self.settings.liveness.nonce) << 16 | u32::from(node.index);
                let target = Target { discriminator: node.id, own_discriminator };
                Some((node.index, Probed { address: node.address, source: way.source, target }))
            })
            .collect();
        if let Some(prober) = self.prober.as_ref().filter(|_| targets != memory.probed) {
            prober.set_targets(targets.clone());
            memory.probed = targets;
        }
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
        (done, failures)
    }

    fn publish(&self, memory: &Memory, plan: Plan, applied: Applied, failures: Vec<String>) {
        let mut problems = memory.problems.clone();
        problems.extend(plan.problems);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).chain(failures).collect();
        let before = self.state.borrow().clone();
        for problem in problems.iter().filter(|problem| !before.problems.contains(problem)) {
            tracing::warn!("{problem}");
        }
        for gone in before.problems.iter().filter(|problem| !problems.contains(problem)) {
            tracing::info!("no longer so: {gone}");
        }
        let ready = self.is_ready(memory);
        let turns = before.turns + 1;
        self.state.send_replace(Arc::new(State {
            ready,
            turns,
            last: applied,
            services: plan.services,
            nodes: plan.nodes,
            draining: self.settings.draining,
            problems,
            ..State::clone(&before)
        }));
    }
}

/// Waits until others are silent than before; without a prober for ever.
async fn changed(silent: &mut Option<watch::Receiver<Silent>>) {
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
