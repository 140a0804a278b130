//! The answers to `GET /why` and `GET /reboot`: what is known on this node, gathered for the engine of
//! `lb-explain`.

mod client_probe;
mod echo_probe;
mod host;
mod proxy;
mod sessions;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use lb_dataplane::attach::AttachMode;
use lb_dataplane::counters::VipCount;
use lb_dataplane::layer2::AddressState;
use lb_dataplane::maps::Installed;
use lb_explain::facts::{
    AgentFacts, AnnouncerFacts, ClusterFacts, HostFacts, LivenessFacts, SessionFacts, TrafficFacts, WhyFacts,
    WhyQuestion,
};
use lb_explain::link::{Chain, Explanation};
use lb_explain::reboot::{self, RebootFacts, RebootReport};
use lb_explain::target::{TargetVip, WhySubject, WhyTarget};
use lb_explain::why;
use lb_model::NodeName;
use lb_pipeline::owner::LivenessState;
use lb_plan::contents::Contents;
use tokio::sync::oneshot;

use super::AdminState;
use crate::inquiry::{Inquiry, LoopFacts};
use crate::state::AgentState;

/// How long the control loop may take to answer: longer than any pass.
const LOOP_LIMIT: Duration = Duration::from_secs(5);
/// VIPs of a Service that are explained; the others are counted.
const MOST_VIPS: usize = 12;
/// Time between two reads of the maps if the first differs from the plan: a pass may just be writing.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// The control loop does not answer.
#[derive(Debug, thiserror::Error)]
#[error(
    "the agent's control loop does not answer within {} s: it waits for its first read of the objects, or hangs; see \
     the agent's log",
    LOOP_LIMIT.as_secs()
)]
pub(super) struct NoAnswer;

/// Asks the control loop.
///
/// # Errors
/// When it does not answer in time.
pub(super) async fn ask(admin: &AdminState) -> Result<LoopFacts, NoAnswer> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        admin.inquiries.send(Inquiry(reply)).await.ok()?;
        answer.await.ok()
    };
    let mut facts = tokio::time::timeout(LOOP_LIMIT, asked).await.ok().flatten().ok_or(NoAnswer)?;
    facts.cluster.liveness = liveness(admin, &facts.cluster);
    Ok(facts)
}

/// Reads the maps back.
pub(super) async fn read_back(admin: &AdminState) -> Option<Contents> {
    let pins = admin.pins.clone();
    let read = tokio::task::spawn_blocking(move || Installed::read(&pins).ok().flatten()).await;
    read.ok().flatten().map(|installed| installed.contents)
}

/// Explains a Service or a VIP.
///
/// # Errors
/// When the control loop does not answer.
pub(super) async fn explain(
    admin: &AdminState,
    target: &str,
    client: Option<IpAddr>,
) -> Result<Explanation, NoAnswer> {
    let known = ask(admin).await?;
    let parsed = WhyTarget::parse(target);
    let found = parsed.find(&known.cluster.objects, &known.cluster.model);
    let gathered = Gathered::of(admin, &known, found.as_ref(), client).await;
    let mut chains = Vec::new();
    let mut left_out = 0;
    match &found {
        None => {
            let facts = gathered.facts(&known, None, &gathered.host, TrafficFacts::default());
            chains.push(why::missing(&facts, &parsed));
        }
        Some(subject) => {
            left_out = subject.vips.len().saturating_sub(MOST_VIPS);
            let vips = subject.vips.iter().take(MOST_VIPS).copied().map(Some);
            let none = subject.vips.is_empty().then_some(None);
            let gathered = &gathered;
            let known = &known;
            let ask = async |vip| gathered.chain(admin, known, &WhyQuestion { subject, vip, client }).await;
            chains = join_all(vips.chain(none).map(ask)).await;
        }
    }
    let explanation = Explanation::of(gathered.node.to_string(), target.to_owned(), client, chains);
    Ok(Explanation { left_out, ..explanation })
}

/// Returns what a reboot of a node would cost; `None` if there is no such node.
///
/// # Errors
/// When the control loop does not answer.
pub(super) async fn reboot(admin: &AdminState, node: Option<&str>) -> Result<Option<RebootReport>, NoAnswer> {
    let known = ask(admin).await?;
    let own = admin.agent.borrow().node.clone();
    let node = NodeName::from(node.unwrap_or(&own));
    let announcers: Vec<_> =
        admin.layer2.borrow().addresses.iter().map(|it| (it.address, announcer(it))).collect();
    let index = known.cluster.nodes.iter().find(|it| it.is_self && it.name == node).map(|it| it.index);
    let flows = index.map(|index| admin.maps.flows.count(index).owned);
    let facts = RebootFacts { node: &node, cluster: &known.cluster, announcers: &announcers, flows };
    Ok(reboot::report(&facts))
}

/// What is the same for all VIPs of a Service.
struct Gathered {
    node: NodeName,
    agent: AgentFacts,
    actual: Option<Contents>,
    sessions: Vec<SessionFacts>,
    announcers: BTreeMap<IpAddr, AnnouncerFacts>,
    host: HostFacts,
}

impl Gathered {
    async fn of(
        admin: &AdminState,
        known: &LoopFacts,
        subject: Option<&WhySubject>,
        client: Option<IpAddr>,
    ) -> Self {
        let vips = subject.map(|subject| &subject.vips[..]).unwrap_or_default();
        let (clock_runs, view, actual, host) = tokio::join!(
            clock_runs(admin),
            admin.speaker.view(),
            read_back(admin),
            host::common(&known.cluster, vips, client)
        );
        let state = Arc::clone(&admin.agent.borrow());
        let actual = match (actual, subject) {
            (Some(actual), Some(subject)) if differs(&actual, known, subject) => {
                tokio::time::sleep(SECOND_LOOK).await;
                read_back(admin).await
            }
            (actual, _) => actual,
        };
        let announcers =
            admin.layer2.borrow().addresses.iter().map(|it| (it.address, announcer(it))).collect();
        Self {
            node: NodeName::from(state.node.as_str()),
            agent: agent(&state, known, clock_runs),
            actual,
            sessions: view.peers.iter().map(|peer| sessions::session(peer, view.at)).collect(),
            announcers,
            host,
        }
    }

    fn facts<'a>(
        &'a self,
        known: &'a LoopFacts,
        vip: Option<TargetVip>,
        host: &'a HostFacts,
        traffic: TrafficFacts,
    ) -> WhyFacts<'a> {
        WhyFacts {
            node: &self.node,
            agent: &self.agent,
            cluster: &known.cluster,
            actual: self.actual.as_ref(),
            sessions: &self.sessions,
            announcer: vip.and_then(|vip| self.announcers.get(&vip.address)),
            host,
            traffic,
        }
    }

    async fn chain(&self, admin: &AdminState, known: &LoopFacts, question: &WhyQuestion<'_>) -> Chain {
        let WhyQuestion { subject, vip, .. } = *question;
        let host = match vip {
            Some(vip) => host::of_vip(&self.host, &known.cluster, &self.node, subject, vip).await,
            None => self.host.clone(),
        };
        let traffic = vip.and_then(|vip| traffic(admin, &known.cluster, vip)).unwrap_or_default();
        why::chain(&self.facts(known, vip, &host, traffic), question)
    }
}

fn agent(state: &AgentState, known: &LoopFacts, clock_runs: Option<bool>) -> AgentFacts {
    let mode = |mode: AttachMode| mode.as_str().to_owned();
    AgentFacts {
        version: state.version.to_string(),
        passes: state.turns,
        is_ready: state.ready,
        is_stale: state.reading.stale,
        read_errors: state.reading.invalid.iter().cloned().collect(),
        clock_runs,
        uplinks: state.interfaces.iter().map(|it| (it.interface.clone(), mode(it.mode))).collect(),
        uplink_problems: known.uplink_problems.clone(),
        other_programs: known.occupied.clone(),
    }
}

fn announcer(address: &AddressState) -> AnnouncerFacts {
    AnnouncerFacts {
        node: address.announcer.clone(),
        is_self: address.is_self,
        phase: address.phase.to_string(),
        ranks: address.ranks.iter().map(|it| (it.node.clone(), it.state.to_string())).collect(),
        strangers: address
            .strangers
            .iter()
            .map(|it| (it.mac.clone(), Duration::from_millis(it.last_ms)))
            .collect(),
    }
}

/// Returns whether the entries of the Service's VIPs differ from what the agent has written.
fn differs(actual: &Contents, known: &LoopFacts, subject: &WhySubject) -> bool {
    let installed = &known.cluster.installed;
    installed.config != actual.config
        || subject.vips.iter().map(TargetVip::key).any(|key| {
            let [one, other] = [installed, actual].map(|it| it.vips.get(&key));
            one != other
                || one.and_then(|vip| installed.ring_of(vip)) != other.and_then(|vip| actual.ring_of(vip))
        })
}

/// Returns whether the probe clock advances; `None` without probes.
async fn clock_runs(admin: &AdminState) -> Option<bool> {
    if admin.tick.is_zero() {
        return None;
    }
    let before = admin.maps.cells.clock();
    // The thread sleeps for 20 ms at a time, and for an interval of the probes.
    let watched = (admin.tick * 24).clamp(Duration::from_millis(300), Duration::from_secs(1));
    tokio::time::sleep(watched).await;
    Some(admin.maps.cells.clock() != before)
}

fn liveness(admin: &AdminState, cluster: &ClusterFacts) -> BTreeMap<u16, LivenessFacts> {
    if admin.tick.is_zero() {
        return BTreeMap::new();
    }
    let limit = admin.agent.borrow().liveness_limit;
    let clock = admin.maps.cells.clock();
    let others = cluster.nodes.iter().filter(|node| !node.is_self);
    let of = |index| {
        let cell = admin.maps.cells.of(index);
        let state = LivenessState::of(cell, clock, limit);
        (index, LivenessFacts { state, silence: admin.tick * cell.silence(clock) })
    };
    others.map(|node| of(node.index)).collect()
}

fn traffic(admin: &AdminState, cluster: &ClusterFacts, vip: TargetVip) -> Option<TrafficFacts> {
    let number = cluster.installed.vips.get(&vip.key())?.number;
    let VipCount { packets, bytes, source_refused, .. } = admin.maps.counters.vip(number).ok()?;
    Some(TrafficFacts { packets, bytes, source_refused })
}
