//! The ring, the nodes that own its flows, and the contents of the maps.

use lb_api::kind::ObjectKind;
use lb_api::problem::{PlanReason, Reason};
use lb_pipeline::owner::LivenessState;
use lb_plan::contents::{Contents, VipKey};
use lb_plan::plan::{NodePath, NodeState, RingState};

use super::object::listed;
use crate::facts::{WhyFacts, WhyQuestion};
use crate::link::{Cause, ChainLink, LinkName};
use crate::target::TargetVip;

/// Returns the links of the ring, its nodes and the maps.
pub(super) fn links(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>, vip: TargetVip) -> Vec<ChainLink> {
    let state = facts.cluster.services.iter().find(|state| state.service == question.subject.service);
    let is_it = |it: &&lb_plan::plan::VipState| {
        (it.address, it.port, it.protocol) == (vip.address, vip.port, vip.protocol)
    };
    let ring = state.and_then(|state| state.vips.iter().find(is_it)).and_then(|it| it.ring.as_ref());
    let mut links = vec![ring_link(facts, question, ring)];
    if let Some(ring) = ring {
        links.push(owner(facts, ring));
        links.push(maps(facts, vip));
    }
    links
}

fn ring_link(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>, ring: Option<&RingState>) -> ChainLink {
    let service = &question.subject.service;
    let is_about = |object: &lb_api::problem::ObjectRef| {
        object.is(ObjectKind::SERVICE)
            && object.name == service.name
            && object.namespace.as_deref() == Some(service.namespace.as_str())
    };
    let of_service = |problem: &&lb_api::problem::Problem| problem.object.as_ref().is_none_or(is_about);
    for problem in facts.cluster.problems.iter().filter(of_service) {
        let cause = match &problem.reason {
            Reason::Plan(PlanReason::NoRingSpace { .. }) => Cause::RingFull,
            Reason::Plan(PlanReason::MapFull { .. } | PlanReason::SourcesFull { .. })
                if problem.object.is_some() || ring.is_none() =>
            {
                Cause::MapFull
            }
            _ => continue,
        };
        let advice =
            "raise the capacity (--ring-slots), lower --slots-per-node, or delete Services that are not used";
        let link = ChainLink::broken(LinkName::Ring, cause, problem.reason.to_string(), advice);
        return if ring.is_some() { link.degraded() } else { link };
    }
    match ring {
        Some(ring) => {
            let members: Vec<_> =
                ring.members.iter().map(|share| format!("{} ({})", share.node, share.weight)).collect();
            ChainLink::ok(LinkName::Ring, format!("{} slots for {}", ring.slots, listed(&members)))
        }
        None => ChainLink::broken(
            LinkName::Ring,
            Cause::MapFull,
            "the VIP has no ring: its traffic is not taken over",
            "see the problems in `fairlead status`",
        ),
    }
}

/// Returns the link of the nodes that get the ring's flows.
fn owner(facts: &WhyFacts<'_>, ring: &RingState) -> ChainLink {
    let of_name = |name: &lb_model::NodeName| facts.cluster.nodes.iter().find(|node| node.name == *name);
    let members: Vec<&NodeState> = ring.members.iter().filter_map(|share| of_name(&share.node)).collect();
    let state = |node: &NodeState| {
        if node.is_self {
            return if node.draining { LivenessState::Draining } else { LivenessState::Accepting };
        }
        let liveness = facts.cluster.liveness.get(&node.index).map(|liveness| liveness.state);
        match liveness.unwrap_or(LivenessState::Accepting) {
            LivenessState::Accepting if node.draining => LivenessState::Draining,
            state => state,
        }
    };
    let described: Vec<_> =
        members.iter().map(|node| format!("{} {}", node.name, state(node).as_str())).collect();
    let fact = listed(&described);
    let is = |expected| members.iter().all(|node| state(node) == expected);
    let broken = |cause, fact: String, advice: &str| ChainLink::broken(LinkName::Owner, cause, fact, advice);
    if is(LivenessState::Dead) {
        let advice = "start the nodes; a node is dead if its XDP program does not answer probes";
        return broken(Cause::NoLiveNode, format!("no node of the ring is alive: {fact}"), advice);
    }
    if members.iter().all(|node| state(node) != LivenessState::Accepting) {
        let advice =
            "end a drain: `fairlead drain --undo`, or remove the taint or annotation that drains a node";
        return broken(Cause::AllDraining, format!("every live node of the ring drains: {fact}"), advice)
            .degraded();
    }
    let unresolved =
        |node: &&&NodeState| node.way == NodePath::Unresolved && state(node) != LivenessState::Dead;
    if let Some(node) = members.iter().find(unresolved) {
        let advice = "check the route and the ARP entry of the node: `ip route get`, `ip neighbor`";
        let fact = format!("the next hop of {} ({}) is unresolved", node.name, node.address);
        return broken(Cause::NextHopUnresolved, fact, advice).degraded();
    }
    ChainLink::ok(LinkName::Owner, fact)
}

/// Returns the link of the maps: what the agent has written, and what the kernel has.
fn maps(facts: &WhyFacts<'_>, vip: TargetVip) -> ChainLink {
    let Some(actual) = facts.actual else {
        return ChainLink::unknown(LinkName::Maps, "the maps cannot be read back");
    };
    let installed = &facts.cluster.installed;
    let key = vip.key();
    let differing = differences(installed, actual, &key);
    if differing.is_empty() {
        let number = actual.vips.get(&key).map(|vip| vip.number).unwrap_or_default();
        return ChainLink::ok(LinkName::Maps, format!("as planned; the VIP has number {number}"));
    }
    let failure = facts.cluster.failures.first().map(|it| format!(": {it}")).unwrap_or_default();
    ChainLink::broken(
        LinkName::Maps,
        Cause::MapsDiffer,
        format!("the kernel's {} differ from the plan{failure}", differing.join(" and ")),
        "something else has written the maps, or a write failed: restart the agent, which reads them back and \
         corrects them",
    )
}

/// Returns the names of the maps whose entries for a VIP differ.
fn differences(installed: &Contents, actual: &Contents, key: &VipKey) -> Vec<&'static str> {
    use lb_common::map_table::name;
    let vips = [installed, actual].map(|it| it.vips.get(key).copied());
    let mut differing = Vec::new();
    if vips[0] != vips[1] {
        differing.push(if key.address.is_ipv4() { name::VIPS4 } else { name::VIPS6 });
    }
    let rings = [(installed, vips[0]), (actual, vips[1])]
        .map(|(it, vip)| vip.and_then(|vip| it.ring_of(&vip).cloned()));
    if rings[0] != rings[1] {
        differing.push(name::RINGS);
    }
    let number = vips[0].map(|vip| vip.number).unwrap_or(u32::MAX);
    if installed.sources.get(&number) != actual.sources.get(&number) {
        differing.push(name::SOURCES);
    }
    if installed.config != actual.config {
        differing.push(name::CONFIG);
    }
    let announcers = [installed, actual].map(|it| it.announcers.get(&key.address).copied());
    if announcers[0] != announcers[1] {
        differing.push(if key.address.is_ipv4() { name::ARP } else { name::NDP });
    }
    differing
}
