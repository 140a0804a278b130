//! Completes objects as a cluster would.

use std::collections::BTreeMap;

use lb_api::objects::{Conditions, Endpoint, EndpointPort, EndpointSlice, Ingress, Metadata};
use lb_api::objects::{Object, Service, Sourced};
use lb_api::problem::{Problem, Reason};

use lb_ipam::AllocationDecision;
use lb_model::{SERVICE_LABEL, ServiceName};

/// Placeholders for cluster addresses: only their families count.
const CLUSTER_V4: &str = "192.0.0.8";
const CLUSTER_V6: &str = "100::1";

/// Completes Services as a cluster would; if there are no endpoints among the objects, each Service gets one.
pub(super) fn completed(objects: &[Sourced<Object>]) -> Vec<Sourced<Object>> {
    let mut objects = objects.to_vec();
    if !objects.iter().any(|object| matches!(object.value, Object::EndpointSlice(_))) {
        let node = objects.iter().find_map(|object| match &object.value {
            Object::Node(node) => Some(node.metadata.name.clone()),
            _ => None,
        });
        let slices: Vec<_> = objects.iter().flat_map(|object| slices(object, node.as_ref())).collect();
        objects.extend(slices);
    }
    for object in &mut objects {
        if let Object::Service(service) = &mut object.value
            && service.spec.cluster_ips.is_empty()
        {
            service.spec.cluster_ips = cluster_addresses(service);
        }
    }
    objects
}

/// Returns an endpoint of each family that serves all ports of a Service.
fn slices(object: &Sourced<Object>, node: Option<&String>) -> Vec<Sourced<Object>> {
    let Object::Service(service) = &object.value else { return Vec::new() };
    let slice = |(family, address): (&str, &str)| {
        let metadata = Metadata {
            name: format!("{}-{family}", service.metadata.name),
            namespace: object.value.namespace().map(str::to_owned),
            labels: BTreeMap::from([(SERVICE_LABEL.to_owned(), service.metadata.name.clone())]),
            ..Metadata::default()
        };
        let port = |port: &lb_api::objects::ServicePort| EndpointPort {
            name: port.name.clone(),
            protocol: port.protocol.clone(),
            port: Some(port.port.get()),
        };
        let endpoint = Endpoint {
            addresses: vec![address.to_owned()],
            node_name: node.cloned(),
            conditions: Conditions::default(),
        };
        let value = Object::EndpointSlice(EndpointSlice {
            metadata,
            address_type: family.to_owned(),
            endpoints: vec![endpoint],
            ports: service.spec.ports.iter().map(port).collect(),
        });
        Sourced { source: object.source.clone(), line: object.line, value }
    };
    [("IPv4", CLUSTER_V4), ("IPv6", CLUSTER_V6)].map(slice).into()
}

fn cluster_addresses(service: &Service) -> Vec<String> {
    let asked = service.spec.load_balancer_ip.iter().chain(
        service
            .metadata
            .annotations
            .iter()
            .filter_map(|(key, value)| key.ends_with("/loadBalancerIPs").then_some(value)),
    );
    let asks_for = |part: &str| asked.clone().any(|list| list.contains(part));
    let is_dual = service.spec.ip_family_policy.as_deref().is_some_and(|policy| policy != "SingleStack");
    let (v4, v6) = (asks_for("."), asks_for(":"));
    let families = if is_dual || (v4 && v6) {
        &[CLUSTER_V4, CLUSTER_V6][..]
    } else if v6 {
        &[CLUSTER_V6]
    } else {
        &[CLUSTER_V4]
    };
    families.iter().map(|address| (*address).to_owned()).collect()
}

/// Writes the decisions into the Services' statuses.
pub(super) fn give(objects: &mut [Sourced<Object>], decisions: &BTreeMap<ServiceName, AllocationDecision>) {
    for object in objects {
        let namespace = object.value.namespace().unwrap_or_default().to_owned();
        let Object::Service(service) = &mut object.value else { continue };
        let name = ServiceName { namespace, name: service.metadata.name.clone() };
        let Some(decision) = decisions.get(&name) else { continue };
        let addresses = decision.assignment.iter().flat_map(|it| &it.addresses);
        service.status.load_balancer.ingress =
            addresses.map(|address| Ingress { ip: Some(address.to_string()) }).collect();
    }
}

/// Returns whether a problem results from missing objects rather than from the written ones.
pub(super) fn is_expected(problem: &Problem, objects: &[Sourced<Object>]) -> bool {
    let has_nodes = || objects.iter().any(|object| matches!(object.value, Object::Node(_)));
    match problem.reason {
        Reason::EndpointNodeUnknown { .. } | Reason::EndpointWithoutNode => !has_nodes(),
        // The allocation reports this in more detail.
        Reason::NoAddress | Reason::NotAllocated => true,
        _ => false,
    }
}
