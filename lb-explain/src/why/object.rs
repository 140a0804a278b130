//! The Service's object, its address and its endpoints.

use lb_api::kind::ObjectKind;
use lb_api::objects::{self, Object};
use lb_api::problem::{Problem, Severity};
use lb_ipam::{AllocationError, Allocator};
use lb_model::{AddressRule, SERVICE_LABEL, Service, TrafficPolicy};

use crate::facts::{WhyFacts, WhyQuestion};
use crate::link::{Cause, ChainLink, LinkName};
use crate::target::TargetVip;

/// Returns the link of the object.
pub(super) fn object(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>) -> ChainLink {
    let name = &question.subject.service;
    let broken = |cause, fact: String, advice: &str| ChainLink::broken(LinkName::Object, cause, fact, advice);
    let Object::Service(written) = &question.subject.object.value else {
        return ChainLink::unknown(LinkName::Object, format!("{name} is no Service"));
    };
    let spec = &written.spec;
    if spec.r#type.as_deref() != Some("LoadBalancer") {
        let fact = format!("Service {name} has type {}", spec.r#type.as_deref().unwrap_or("ClusterIP"));
        return broken(Cause::NotLoadBalancer, fact, "set spec.type to LoadBalancer");
    }
    if spec.load_balancer_class != facts.cluster.class {
        let class = |class: &Option<String>| class.clone().unwrap_or_else(|| "none".to_owned());
        let fact = format!(
            "Service {name} has loadBalancerClass {}, and this agent serves {}",
            class(&spec.load_balancer_class),
            class(&facts.cluster.class)
        );
        return broken(
            Cause::OtherClass,
            fact,
            "create the Service anew with the class that --lb-class names",
        );
    }
    let is_served = facts.cluster.model.services.contains_key(name);
    let policy = spec.external_traffic_policy.as_deref().unwrap_or("Cluster");
    match errors(facts, question).find(|problem| !is_about_address(problem)) {
        Some(problem) if !is_served => {
            let advice = "correct the field; `fairlead check` validates manifests offline";
            broken(Cause::InvalidObject, problem.to_string(), advice)
        }
        _ => ChainLink::ok(
            LinkName::Object,
            format!("Service {name}: LoadBalancer, externalTrafficPolicy {policy}"),
        ),
    }
}

/// Returns the errors of the Service's object.
fn errors<'a>(facts: &WhyFacts<'a>, question: &WhyQuestion<'_>) -> impl Iterator<Item = &'a Problem> {
    let name = question.subject.service.clone();
    let is_about = move |problem: &&Problem| {
        let is_it = problem.object.as_ref().is_some_and(|object| {
            object.is(ObjectKind::SERVICE)
                && object.name == name.name
                && object.namespace.as_deref() == Some(name.namespace.as_str())
        });
        is_it && problem.severity() == Severity::Error
    };
    facts.cluster.problems.iter().filter(is_about)
}

/// Returns whether an error concerns the address that a Service holds or requests.
fn is_about_address(problem: &Problem) -> bool {
    let field = problem.field.as_deref().unwrap_or_default();
    ["status.", "metadata.annotations", "spec.loadBalancerIP"].iter().any(|prefix| field.starts_with(prefix))
}

/// Returns the link of the address.
pub(super) fn allocation(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>) -> ChainLink {
    let model = &facts.cluster.model;
    let pool_of = |vip: TargetVip| model.pools.of(vip.address).map(|(name, _)| name.to_string());
    if let Some(vip) = question.vip.filter(|_| model.services.contains_key(&question.subject.service)) {
        return match pool_of(vip) {
            Some(pool) => ChainLink::ok(LinkName::Allocation, format!("{} of pool {pool}", vip.address)),
            None => ChainLink::broken(
                LinkName::Allocation,
                if model.pools.iter().next().is_none() { Cause::NoPool } else { Cause::AddressRefused },
                format!("{} is in no IPAddressPool, so no advertisement selects it", vip.address),
                "create an IPAddressPool that contains it, or let the Service request another address",
            ),
        };
    }
    refusal(facts, question)
}

/// Returns the reason why a Service has no address, by the allocation that the controller would do.
fn refusal(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>) -> ChainLink {
    let cluster = facts.cluster;
    let name = &question.subject.service;
    let requests = lb_ipam::requests(&cluster.objects, cluster.class.as_deref());
    let allocation =
        Allocator::new().allocate(&cluster.model.pools, &requests.namespaces, &requests.requests);
    let decision = allocation.decisions.get(name);
    let broken =
        |cause, fact: String, advice: &str| ChainLink::broken(LinkName::Allocation, cause, fact, advice);
    match decision.and_then(|decision| decision.refused.as_ref()) {
        Some(error) => {
            let cause = cause_of(error);
            let advice = match cause {
                Cause::NoPool => "create an IPAddressPool with free addresses of your network",
                Cause::PoolExhausted => {
                    "add addresses to the pool, or delete Services that are no longer used"
                }
                _ => "correct the Service's request; `kubectl describe service` has the controller's Events",
            };
            broken(cause, format!("Service {name} has no address: {error}"), advice)
        }
        None if cluster.model.addresses == AddressRule::Held => broken(
            Cause::NotAssigned,
            format!(
                "Service {name} has no address, although one is free: the controller has not assigned it"
            ),
            "check that the controller runs: `kubectl -n NAMESPACE get pods`, and its log",
        ),
        None => {
            let why = errors(facts, question).map(ToString::to_string).next();
            let why = why.unwrap_or_else(|| "its status and its request name none".to_owned());
            broken(
                Cause::AddressRefused,
                format!("Service {name} has no address in force: {why}"),
                "write the address into status.loadBalancer or request one that no other Service has",
            )
        }
    }
}

fn cause_of(error: &AllocationError) -> Cause {
    match error {
        AllocationError::NoPools => Cause::NoPool,
        AllocationError::PoolFull { .. } | AllocationError::AllFull { .. } => Cause::PoolExhausted,
        _ => Cause::AddressRefused,
    }
}

/// Returns the link of the endpoints.
pub(super) fn endpoints(
    facts: &WhyFacts<'_>,
    question: &WhyQuestion<'_>,
    service: &Service,
    vip: TargetVip,
) -> ChainLink {
    let is_it = |it: &&lb_model::ServiceVip| TargetVip::from(*it) == vip;
    let Some(of_vip) = service.vips.iter().find(is_it) else {
        return ChainLink::unknown(LinkName::Endpoints, "the VIP belongs to another Service");
    };
    let counted = &of_vip.endpoints;
    let per_node: Vec<_> = counted.by_node.iter().map(|(node, count)| format!("{node} ({count})")).collect();
    if of_vip.is_served(service.policy) {
        let elsewhere = if counted.elsewhere > 0 { ", and on unknown nodes" } else { "" };
        let fact = format!("serving on {}{elsewhere}", listed(&per_node));
        if counted.terminating.len() == counted.by_node.len() && !counted.terminating.is_empty() {
            let advice = "the last pods are terminating: check the Deployment and its rollout";
            let fact = format!("{fact}; all of them are terminating");
            return ChainLink::broken(LinkName::Endpoints, Cause::NoReadyEndpoint, fact, advice).degraded();
        }
        return ChainLink::ok(LinkName::Endpoints, fact);
    }
    let written = written_endpoints(facts, question);
    let (fact, advice) = if service.policy == TrafficPolicy::Local && counted.elsewhere > 0 {
        ("all endpoints are on unknown nodes", "check nodeName in the EndpointSlices, and the Node objects")
    } else if written == 0 {
        (
            "no EndpointSlice lists an endpoint",
            "check the Service's selector and targetPort against the pods' labels",
        )
    } else {
        ("no endpoint is ready", "check the pods and their readiness probes: `kubectl get pods`")
    };
    let fact = if written > 0 { format!("{fact}: {written} are listed") } else { fact.to_owned() };
    ChainLink::broken(LinkName::Endpoints, Cause::NoReadyEndpoint, fact, advice)
}

fn written_endpoints(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>) -> usize {
    let service = &question.subject.service;
    let of_service = |slice: &&objects::EndpointSlice| {
        slice.metadata.labels.get(SERVICE_LABEL) == Some(&service.name)
            && slice.metadata.namespace.as_deref().unwrap_or("default") == service.namespace
    };
    let slices = facts.cluster.objects.iter().filter_map(|object| match &object.value {
        Object::EndpointSlice(slice) => Some(slice),
        _ => None,
    });
    slices.filter(of_service).map(|slice| slice.endpoints.len()).sum()
}

/// Returns the first few items of a list.
pub(super) fn listed(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = items.len().saturating_sub(SHOWN);
    let mut text = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    if text.is_empty() { "no known node".to_owned() } else { text }
}
