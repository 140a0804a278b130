//! What is wrong or unusual, from the status.

use std::collections::BTreeMap;

use lb_plan::plan::{NodePath, NodeState};
use lb_speaker::BgpStatus;
use lb_speaker::bfd::BfdStatus;
use lb_speaker::status::BgpSessionStatus;

use super::{Area, Finding, FindingSeverity};
use crate::status::{NodeLiveness, Status};
use crate::text::{count, first_few, time};

/// Returns all findings, problems first.
pub(super) fn all(status: &Status, bgp: &BgpStatus, bfd: &BfdStatus) -> Vec<Finding> {
    let mut findings = Findings::default();
    agent(&mut findings, status);
    nodes(&mut findings, status);
    bgp_sessions(&mut findings, bgp);
    bfd_sessions(&mut findings, bfd);
    services(&mut findings, status, bgp);
    let mut findings = findings.0;
    // Stable: within a severity, the order above.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn problem(&mut self, area: Area, text: String) {
        self.0.push(Finding { severity: FindingSeverity::Problem, area, text });
    }

    fn notice(&mut self, area: Area, text: String) {
        self.0.push(Finding { severity: FindingSeverity::Notice, area, text });
    }
}

fn agent(findings: &mut Findings, status: &Status) {
    let state = &status.state;
    if !state.ready {
        let text =
            "this node is not ready: it cannot carry all packets, and advertises and announces nothing";
        findings.problem(Area::Agent, text.to_owned());
    }
    for problem in &state.problems {
        findings.problem(Area::Agent, problem.clone());
    }
    if state.draining {
        findings.notice(Area::Agent, "this node is draining: it accepts no new flows".to_owned());
    }
}

fn nodes(findings: &mut Findings, status: &Status) {
    let liveness: BTreeMap<_, _> = status.liveness.iter().map(|it| (it.number, it)).collect();
    let others = || status.state.nodes.iter().filter(|node| !node.is_self);
    let of = |node: &NodeState| liveness.get(&u32::from(node.index)).copied();
    let is_dead = |node: &NodeState| of(node).is_some_and(|it| it.state == "dead");
    let dead: Vec<_> = others().filter(|node| is_dead(node)).collect();
    if !dead.is_empty() {
        let names = first_few(dead.iter().map(|node| dead_node(node, of(node))), ", ");
        let verb = if dead.len() == 1 { "is" } else { "are" };
        findings.problem(Area::Nodes, format!("{} {verb} dead: {names}", count(dead.len(), "node")));
    }
    for node in others().filter(|node| node.way == NodePath::Unresolved && !is_dead(node)) {
        let text = format!(
            "no next hop to node {} ({}): check the route to it and its ARP or ND entry",
            node.name, node.address
        );
        findings.problem(Area::Nodes, text);
    }
    // A drain by `fairlead drain` is in the node's answers to probes, not in its object.
    let is_draining = |node: &NodeState| node.draining || of(node).is_some_and(|it| it.state == "draining");
    for node in others().filter(|node| is_draining(node)) {
        let why = node.drain.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        findings.notice(Area::Nodes, format!("node {} is draining{why}", node.name));
    }
    for node in status.state.nodes.iter().filter(|node| node.excluded.is_some()) {
        findings.notice(Area::Nodes, format!("node {} is excluded from load balancing", node.name));
    }
}

fn dead_node(node: &NodeState, liveness: Option<&NodeLiveness>) -> String {
    let since = liveness.map(|it| format!(", last answer {} ago", time(it.silent_ms / 1000)));
    format!("{} ({}{})", node.name, node.address, since.unwrap_or_default())
}

fn bgp_sessions(findings: &mut Findings, bgp: &BgpStatus) {
    for session in bgp.sessions.iter().filter(|session| session.state != "established") {
        findings.problem(Area::Bgp, bgp_session(session));
    }
    for problem in &bgp.problems {
        findings.problem(Area::Bgp, problem.clone());
    }
    if let Some(keeper) = bgp.keeper.as_ref().filter(|keeper| !keeper.connected) {
        let error = keeper.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        let text = format!("no keeper is connected{error}: a restart of the agent closes the BGP sessions");
        findings.notice(Area::Bgp, text);
    }
}

fn bgp_session(session: &BgpSessionStatus) -> String {
    let BgpSessionStatus { peer, address, state, .. } = session;
    let mut text = format!("no BGP session with {peer} ({address}): {state} for {}", time(session.seconds));
    for more in session.last_error.iter().chain(&session.advice) {
        text = format!("{text}; {more}");
    }
    text
}

fn bfd_sessions(findings: &mut Findings, bfd: &BfdStatus) {
    let is_down = |state: &str| state != "Up" && state != "AdminDown";
    for session in bfd.sessions.iter().filter(|session| is_down(&session.state)) {
        let text = format!(
            "the BFD session with {} ({}) is not up: {} for {}, {}",
            session.peer,
            session.address,
            session.state,
            time(session.seconds),
            session.diagnostic
        );
        findings.problem(Area::Bfd, text);
    }
}

fn services(findings: &mut Findings, status: &Status, bgp: &BgpStatus) {
    let is_unserved = |vips: &[lb_plan::plan::VipState]| vips.iter().any(|vip| vip.ring.is_none());
    let unserved: Vec<_> = status.state.services.iter().filter(|it| is_unserved(&it.vips)).collect();
    if !unserved.is_empty() {
        let names = first_few(unserved.iter().map(|it| it.service.to_string()), ", ");
        let text = format!("no node can take the traffic of {}: {names}", count(unserved.len(), "Service"));
        findings.notice(Area::Services, text);
    }
    // Without peers, BGP is not in use.
    if bgp.sessions.is_empty() {
        return;
    }
    let mut silent: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for service in bgp.services.iter().filter(|service| service.silent.is_some()) {
        let reason = service.reason.as_deref().unwrap_or_default();
        silent.entry(reason).or_default().push(format!("{}/{}", service.namespace, service.name));
    }
    for (reason, names) in silent {
        let many = count(names.len(), "Service");
        let names = first_few(names.into_iter(), ", ");
        findings.notice(Area::Bgp, format!("not advertised, {reason}: {many}: {names}"));
    }
}
