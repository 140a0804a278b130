//! The control loop: observe → plan → diff → apply, on every change, for as long as the agent runs.
//!
//! | module | holds |
//! | --- | --- |
//! | `state` | what the loop keeps between passes |
//! | `reconcile` | one pass |
//! | [`uplinks`](self::interface) | observation and repair of the uplinks |
//! | `readiness` | whether this node forwards packets |
//! | `peers` | from the plan of BGP peers to sessions |
//! | `announce` | from the plan to the announcer on the local network |
//! | `announcement_timer` | the time until new addresses are announced |
//! | `fill` | how full the maps are, and how balanced the rings |
//! | `inquiry` | answers to questions of operators |
//! | `log` | differences between two passes, for the log |

mod announce;
mod announcement_timer;
mod fill;
mod inquiry;
mod log;
mod peers;
mod readiness;
mod reconcile;
mod state;
mod uplink_state;
mod uplinks;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_dataplane::attachment::Attachment;
use lb_dataplane::layer2::AnnouncerHandle;
use lb_dataplane::liveness::Prober;
use lb_dataplane::map_io::MapsError;
use lb_dataplane::maps::{HAND_OVER, Maps};
use lb_dataplane::net::observe::{ASK_EVERY, CONFIRM_EVERY, NetworkMonitor, WATCH_EVERY};
use lb_dataplane::net::solicited::SolicitedGroups;
use lb_kube::source::ObjectSource;
use lb_model::{AddressRule, DrainRules, IncrementalModel, Model};
use lb_plan::plan::Settings;
use lb_runtime::watchdog::{TASK_LIMIT, Watchdog};
use lb_trace::tracer::TraceSwitch;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

pub use self::announcement_timer::AnnouncementTimer;
pub use self::peers::{Advertiser, PlannedRoutes};
use self::readiness::ReadyState;
pub(crate) use self::reconcile::speaker_settings;
use self::state::LoopState;
pub(crate) use self::state::announced;
pub use self::uplinks::interface;
use crate::inquiry::Inquiry;
use crate::measurements::Measurements;
use crate::state::AgentState;
use crate::tag_keys::TagKeysRead;
use lb_kube::last_good::LastGoodFile;

/// Changes within this time are one pass: a switch that comes back changes many neighbor entries.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Everything that the loop observes and writes.
pub struct ControlLoop {
    /// Where objects come from.
    pub source: ObjectSource,
    /// The last-known-good configuration.
    pub last_good: LastGoodFile,
    /// The host's network.
    pub network: NetworkMonitor,
    /// The program on the uplinks.
    pub attachment: Attachment,
    /// The kernel's maps.
    pub maps: Maps,
    /// Settings of the plan.
    pub settings: Settings,
    /// The load-balancer class that is served; `None`: Services without one.
    pub class: Option<String>,
    /// The conditions under which nodes drain.
    pub drain: DrainRules,
    /// Which addresses count as a Service's.
    pub addresses: AddressRule,
    /// The agent's state, published after each pass.
    pub state: watch::Sender<Arc<AgentState>>,
    /// The prober of the other nodes, if they are probed.
    pub prober: Option<Prober>,
    /// The announcer on the local network.
    pub announcer: AnnouncerHandle,
    /// The multicast groups of IPv6 addresses.
    pub groups: SolicitedGroups,
    /// The sessions with BGP peers.
    pub advertiser: Advertiser,
    /// What the agent measures.
    pub measurements: Measurements,
    /// Measures how long new addresses take to be announced.
    pub announcement_timer: AnnouncementTimer,
    /// Requests to drain this node.
    pub draining: watch::Receiver<bool>,
    /// Why the node is unhealthy, if its health is checked and it is.
    pub health: Option<watch::Receiver<Option<String>>>,
    /// Requests to detach the program.
    pub detaching: watch::Receiver<bool>,
    /// Requests to put the tracing program on the uplinks, or to take it off.
    pub tracing: mpsc::Receiver<TraceSwitch>,
    /// Keys of the tags between nodes, read again when their file changes.
    pub tag_keys: watch::Receiver<TagKeysRead>,
    /// Questions of operators.
    pub inquiries: mpsc::Receiver<Inquiry>,
}

/// The event that starts a pass.
enum Trigger {
    /// An object changed.
    Source,
    /// The kernel's network state changed.
    Network,
    /// Unresolved next hops are to be solicited again.
    Solicit,
    /// All next hops are to be confirmed.
    Confirm,
    /// Uplinks and pins are to be checked.
    CheckUplinks,
    /// A drain was requested or ended.
    Drain,
    /// The node's health check fails, or passes again.
    Health,
    /// A detach was requested.
    Detach,
    /// A trace begins or has ended.
    Trace(TraceSwitch),
    /// The tag keys changed.
    TagKeys,
    /// A router on an interface of an unnumbered peer appeared or went.
    Router,
    /// A node went silent, drains, or is back.
    Liveness,
    /// The announcer has checked an address, or changed its standing.
    Announcer,
    /// A grace period of the plan is over.
    Deadline,
    /// An operator asks.
    Inquiry(Inquiry),
}

impl ControlLoop {
    /// Runs until the task is cancelled. The heart of the loop beats from the first plan on: waiting for the
    /// source before it has no limit.
    ///
    /// # Errors
    /// When the maps cannot be read at the start.
    pub async fn run(mut self, watchdog: &Watchdog) -> Result<(), MapsError> {
        let mut state = self.start().await?;
        let mut liveness = self.prober.as_ref().map(Prober::not_accepting);
        let mut announcer = self.announcer.state();
        // Beats with every trigger, and so at least as often as next hops are solicited.
        let heart = watchdog.heart("control", TASK_LIMIT);
        let mut solicit = tokio::time::interval(ASK_EVERY);
        let mut confirm = tokio::time::interval(CONFIRM_EVERY);
        let mut check = check_ticks();
        loop {
            let trigger = tokio::select! {
                () = self.source.changed() => Trigger::Source,
                true = self.network.changed() => Trigger::Network,
                _ = solicit.tick() => Trigger::Solicit,
                _ = confirm.tick() => Trigger::Confirm,
                _ = check.tick() => Trigger::CheckUplinks,
                Ok(()) = self.detaching.changed() => Trigger::Detach,
                Ok(()) = self.draining.changed() => Trigger::Drain,
                Some(switch) = self.tracing.recv() => Trigger::Trace(switch),
                Ok(()) = self.tag_keys.changed() => Trigger::TagKeys,
                () = changed(&mut liveness) => Trigger::Liveness,
                () = changed(&mut self.health) => Trigger::Health,
                Ok(()) = announcer.changed() => Trigger::Announcer,
                () = self.advertiser.routers.changed() => Trigger::Router,
                () = sleep_until(state.deadline) => Trigger::Deadline,
                Some(inquiry) = self.inquiries.recv() => Trigger::Inquiry(inquiry),
            };
            heart.beat();
            self.handle(trigger, &mut state).await;
        }
    }

    /// Reads back what an earlier agent installed, waits for the source, and makes the first pass.
    async fn start(&mut self) -> Result<LoopState, MapsError> {
        let installed = self.maps.read_back()?;
        let mut state =
            LoopState::new(installed, self.model_after(Model::default()), self.attachment.status());
        self.advertiser.restarted = state.is_restart;
        self.last_good.read(state.is_restart);
        // With the same nonce, answers to the earlier agent's probes count, and a restart writes nothing that
        // was right.
        if let Some(config) = state.installed.config.filter(|config| config.probe_nonce != 0) {
            self.settings.liveness.nonce = config.probe_nonce;
        }
        // What is installed stays until the desired state is known: an object may be missing only because it
        // has not been listed yet.
        while !self.read_source(&mut state) {
            self.wait_for_source(&mut state).await;
        }
        self.observe(&mut state).await;
        self.network.solicit(&state.network.unresolved).await;
        self.reconcile(&mut state);
        self.save_last_good(&mut state);
        Ok(state)
    }

    /// Waits until the source may be readable. Uplinks are checked all the while: they may carry packets by
    /// what an earlier agent installed.
    async fn wait_for_source(&mut self, state: &mut LoopState) {
        let mut check = check_ticks();
        loop {
            self.state.send_if_modified(|published| {
                let is_same =
                    published.reading == state.reading && published.interfaces == state.uplinks.attached;
                let published = Arc::make_mut(published);
                published.reading.clone_from(&state.reading);
                published.interfaces.clone_from(&state.uplinks.attached);
                !is_same
            });
            tokio::select! {
                () = self.source.changed() => return,
                Ok(()) = self.detaching.changed() => self.attachment.detach(),
                _ = check.tick() => {}
            }
            if self.check_uplinks(state).await {
                state.uplinks.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
            }
        }
    }

    async fn handle(&mut self, trigger: Trigger, state: &mut LoopState) {
        match trigger {
            Trigger::Source => self.handle_source(state).await,
            Trigger::Network => {
                tokio::time::sleep(DEBOUNCE).await;
                self.network.discard_changes();
                if self.observe(state).await {
                    self.reconcile(state);
                }
                if state.ready != ReadyState::Yes {
                    self.network.solicit(&state.network.unresolved).await;
                }
            }
            Trigger::Solicit => {
                self.network.solicit(&state.network.unresolved).await;
                self.greet(state).await;
                if self.announcer.state().borrow().is_alone {
                    self.network.solicit_all(&self.next_hop_targets(state)).await;
                }
                // Time alone can make the agent ready.
                if self.observe(state).await || state.ready != ReadyState::Yes {
                    self.reconcile(state);
                }
            }
            Trigger::CheckUplinks => {
                if self.check_uplinks(state).await {
                    self.observe(state).await;
                    self.reconcile(state);
                } else if self.readiness(state) != state.ready {
                    self.reconcile(state);
                }
            }
            Trigger::Detach => {
                // The other nodes take over before this node's stack sees their packets.
                match self.maps.leave() {
                    Ok(_) => tokio::time::sleep(HAND_OVER).await,
                    Err(error) => tracing::warn!(%error, "cannot hand over before the program is detached"),
                }
                self.attachment.detach();
                self.check_uplinks(state).await;
                self.observe(state).await;
                self.reconcile(state);
            }
            Trigger::Liveness => {
                tokio::time::sleep(DEBOUNCE).await;
                self.reconcile(state);
            }
            Trigger::Announcer => {
                let is_alone = self.announcer.state().borrow().is_alone;
                if is_alone && !state.was_alone {
                    // Is it the others that are gone, or this node? Once: each probe begins anew.
                    self.network.probe_gateways(&state.network).await;
                }
                state.was_alone = is_alone;
                self.reconcile(state);
            }
            Trigger::Deadline | Trigger::Router => self.reconcile(state),
            Trigger::Drain => {
                self.settings.draining = *self.draining.borrow_and_update();
                match self.settings.draining {
                    true => tracing::info!("draining on request"),
                    false => tracing::info!("drain ended on request"),
                }
                self.reconcile(state);
            }
            Trigger::Health => {
                self.settings.unhealthy = self.unhealthy().is_some();
                self.reconcile(state);
            }
            Trigger::Trace(switch) => self.switch_trace(switch),
            Trigger::TagKeys => {
                self.settings.tag_keys = self.tag_keys.borrow_and_update().keys;
                self.reconcile(state);
            }
            Trigger::Inquiry(inquiry) => self.answer(inquiry, state),
            Trigger::Confirm => self.network.solicit(&self.next_hop_targets(state)).await,
        }
    }

    /// Returns why the node is unhealthy, if it is.
    fn unhealthy(&self) -> Option<String> {
        self.health.as_ref()?.borrow().clone()
    }

    fn switch_trace(&mut self, switch: TraceSwitch) {
        match switch {
            // The command is gone: no one would read the trace, or end it.
            TraceSwitch::On(_, reply) if reply.is_closed() => {}
            TraceSwitch::On(program, reply) => {
                if reply.send(self.attachment.begin_trace(program)).is_err() {
                    self.attachment.end_trace();
                }
            }
            TraceSwitch::Off => self.attachment.end_trace(),
        }
    }

    async fn handle_source(&mut self, state: &mut LoopState) {
        state.objects_changed = Some(Instant::now());
        self.source.debounce(state.reconciled).await;
        let before = self.next_hop_targets(state);
        self.read_source(state);
        // A changed Service alone does not change the next hops.
        if self.next_hop_targets(state) != before {
            self.observe(state).await;
            self.network.solicit(&state.network.unresolved).await;
        }
        self.reconcile(state);
        self.save_last_good(state);
    }

    /// Returns an incremental model that goes on from `before`, by the rules of this agent.
    fn model_after(&self, before: Model) -> IncrementalModel {
        IncrementalModel::new(&Model { drain: self.drain.clone(), addresses: self.addresses, ..before })
    }

    /// Returns the addresses that packets are forwarded to, whose next hops must be resolved.
    fn next_hop_targets(&self, state: &LoopState) -> BTreeSet<IpAddr> {
        state.model.model().addresses_to_resolve(&self.settings.node)
    }

    /// Returns false while the source cannot be read.
    fn read_source(&mut self, state: &mut LoopState) -> bool {
        let Some(mut snapshot) = self.source.read() else {
            state.reading.failed();
            return false;
        };
        self.last_good.complete(&mut snapshot);
        if let Some(recalled) = self.last_good.recall(&snapshot.objects) {
            state.model = self.model_after(recalled);
        }
        state.problems = snapshot.problems;
        state.problems.extend(state.model.update(&snapshot.objects, self.class.as_deref()));
        state.reading.succeeded(&state.problems);
        state.objects = snapshot.objects;
        state.is_unsaved = true;
        true
    }

    /// Saves the last-known-good configuration: after everything else, because a disk may be slow.
    fn save_last_good(&mut self, state: &mut LoopState) {
        if std::mem::take(&mut state.is_unsaved) {
            self.last_good.note(&state.objects, &state.problems, state.model.model());
        }
    }

    /// Observes uplinks and network. Returns whether anything differs from the last observation. On an error,
    /// the last one stays.
    async fn observe(&mut self, state: &mut LoopState) -> bool {
        let uplinks = state.uplinks.clone();
        match self.observation(state).await {
            Ok(mut network) => {
                self.network.revive(network.revived(&state.network)).await;
                network.remember(&state.network);
                let differs = network.facts != state.network.facts
                    || network.unresolved != state.network.unresolved
                    || network.knows_gateway() != state.network.knows_gateway()
                    || uplinks != state.uplinks;
                state.network = network;
                differs
            }
            Err(error) => {
                tracing::error!(%error, "cannot read routes and neighbors from the kernel; the next hops stay as they were");
                false
            }
        }
    }
}

/// Returns the ticks of uplink checks. Ticks that a long pass has missed are dropped.
fn check_ticks() -> Interval {
    let mut ticks = tokio::time::interval(WATCH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for a change of any node's liveness state; forever without a prober.
async fn changed<T>(receiver: &mut Option<watch::Receiver<T>>) {
    let has_changed = match receiver {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !has_changed {
        std::future::pending::<()>().await;
    }
}

/// Sleeps until a time; forever without one.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
