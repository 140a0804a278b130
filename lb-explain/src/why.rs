//! The chain from a Service's object to its packets, link by link.
//!
//! | module | links |
//! | --- | --- |
//! | `agent` | agent, program |
//! | `object` | object, allocation, endpoints |
//! | `advertisement` | advertisement |
//! | `session` | session, announcer |
//! | `ring` | ring, owner, maps |
//! | `host` | path, client, kube-proxy, endpoint, counters |

mod advertisement;
mod agent;
mod host;
mod object;
mod ring;
mod session;

#[cfg(test)]
mod tests;

use crate::facts::{ClusterFacts, WhyFacts, WhyQuestion};
use crate::link::{Cause, Chain, ChainLink, LinkName};
use crate::target::WhyTarget;

/// Returns the chain of a VIP. It ends at a link without which nothing is known of the others.
pub fn chain(facts: &WhyFacts<'_>, question: &WhyQuestion<'_>) -> Chain {
    let mut links = agent::links(facts);
    links.push(object::object(facts, question));
    links.push(object::allocation(facts, question));
    let service = facts.cluster.model.services.get(&question.subject.service);
    if let (Some(vip), Some(service)) = (question.vip, service) {
        let advertised = advertisement::Advertised::of(facts, question.subject, vip);
        links.push(object::endpoints(facts, question, service, vip));
        links.push(agent::program(facts));
        links.push(advertised.link(facts, vip));
        links.extend(session::links(facts, &advertised));
        links.extend(ring::links(facts, question, vip));
        links.extend(host::links(facts, question, service, vip));
    } else {
        links.push(agent::program(facts));
    }
    Chain {
        vip: question.vip.map(|vip| vip.to_string()),
        service: Some(question.subject.service.to_string()),
        links,
    }
}

/// Returns the chain of a target that no object is about.
pub fn missing(facts: &WhyFacts<'_>, target: &WhyTarget) -> Chain {
    let mut links = agent::links(facts);
    links.push(not_found(facts.cluster, target));
    Chain { vip: None, service: None, links }
}

fn not_found(cluster: &ClusterFacts, target: &WhyTarget) -> ChainLink {
    let (fact, advice) = match target {
        WhyTarget::Service { .. } => (
            format!("there is no Service {target} among the objects that this node reads"),
            "check the name and the namespace: `kubectl get service -A`".to_owned(),
        ),
        WhyTarget::TargetVip { address, port, .. } => {
            let pool = cluster.model.pools.of(*address).map_or_else(
                || "it is in no IPAddressPool".to_owned(),
                |(name, _)| format!("it is a free address of pool {name}"),
            );
            let of_address = cluster
                .model
                .services
                .iter()
                .find(|(_, service)| service.vips.iter().any(|vip| vip.address == *address));
            match (of_address, port) {
                (Some((name, _)), Some(port)) => (
                    format!("Service {name} has address {address}, but no port {port}"),
                    "add the port to spec.ports of the Service, or use one that it has".to_owned(),
                ),
                _ => (
                    format!("no Service has address {address}; {pool}"),
                    "check the address: `kubectl get service -A` lists those that are in use".to_owned(),
                ),
            }
        }
    };
    ChainLink::broken(LinkName::Object, Cause::NotFound, fact, advice)
}
