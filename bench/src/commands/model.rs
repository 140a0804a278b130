//! The cost of a model after another one: `cargo xtask bench model`.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_api::objects::{
    Endpoint, EndpointPort, EndpointSlice, Ingress, IpAddressPool, IpAddressPoolSpec, LoadBalancerStatus,
    Metadata, Node, NodeAddress, NodeStatus, Object, Service, ServicePort, ServiceSpec, ServiceStatus,
    Sourced,
};
use lb_model::IncrementalModel;

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;
const NODES: u32 = 500;
/// Number of models after a change of which the median is printed.
const UPDATES: u32 = 41;

type Objects = Vec<Arc<Sourced<Object>>>;

/// Runs the measurement.
pub(crate) fn run() {
    println!("{SERVICES} Services with {ENDPOINTS} endpoints each, {NODES} nodes\n");
    let mut objects = objects();
    let mut incremental = IncrementalModel::default();
    show("first", take(&mut incremental, &objects));
    show("nothing changes", median(|_| take(&mut incremental, &objects)));
    let slice = |number: u32| (NODES + number) as usize;
    show(
        "an EndpointSlice changes",
        median(|update| {
            objects[slice(update)] = sourced(endpoint_slice(update, ENDPOINTS - 1));
            take(&mut incremental, &objects)
        }),
    );
    show(
        "two far from each other change",
        median(|update| {
            objects[slice(update)] = sourced(endpoint_slice(update, ENDPOINTS));
            let last = SERVICES - 1 - update;
            objects[slice(last)] = sourced(endpoint_slice(last, ENDPOINTS - 1));
            take(&mut incremental, &objects)
        }),
    );
    show(
        "a Service comes, with its EndpointSlice",
        median(|update| {
            objects.push(sourced(service(SERVICES + update)));
            objects.insert(slice(update), sourced(endpoint_slice(SERVICES + update, ENDPOINTS)));
            take(&mut incremental, &objects)
        }),
    );
    show(
        "a node changes",
        median(|update| {
            objects[update as usize] = sourced(node(update));
            take(&mut incremental, &objects)
        }),
    );
    show(
        "a node comes",
        median(|update| {
            objects.push(sourced(node(NODES + update)));
            take(&mut incremental, &objects)
        }),
    );
}

fn take(incremental: &mut IncrementalModel, objects: &Objects) -> Duration {
    let begun = Instant::now();
    let problems = incremental.update(objects, None);
    let time = begun.elapsed();
    assert!(problems.is_empty(), "{problems:?}");
    time
}

fn median(mut update: impl FnMut(u32) -> Duration) -> Duration {
    let mut times: Vec<_> = (0..UPDATES).map(&mut update).collect();
    times.sort();
    times[times.len() / 2]
}

fn show(what: &str, time: Duration) {
    println!("{what:40} {:8.2} ms", time.as_secs_f64() * 1e3);
}

/// In the order of a snapshot, which groups objects by kind.
fn objects() -> Objects {
    let spec = IpAddressPoolSpec {
        addresses: vec!["10.64.0.0/10".to_owned()],
        auto_assign: None,
        avoid_buggy_ips: None,
        service_allocation: None,
    };
    let pool = Object::IpAddressPool(Box::new(IpAddressPool { metadata: metadata("all"), spec }));
    let slices = (0..SERVICES).map(|number| endpoint_slice(number, ENDPOINTS));
    let services = (0..SERVICES).map(service);
    (0..NODES).map(node).chain(slices).chain([pool]).chain(services).map(sourced).collect()
}

fn sourced(value: Object) -> Arc<Sourced<Object>> {
    Arc::new(Sourced { source: String::new(), line: 0, value })
}

fn metadata(name: &str) -> Metadata {
    let labels = ["app.kubernetes.io/name", "app.kubernetes.io/instance"];
    Metadata {
        name: name.to_owned(),
        labels: labels.map(|label| (label.to_owned(), name.to_owned())).into(),
        creation_timestamp: Some("2026-11-01T08:00:00Z".to_owned()),
        ..Metadata::default()
    }
}

fn node_name(number: u32) -> String {
    format!("worker-{number:04}.example.internal")
}

fn node(number: u32) -> Object {
    let address = format!("10.1.{}.{}", number / 250, number % 250 + 1);
    let status = NodeStatus {
        addresses: vec![NodeAddress { r#type: "InternalIP".to_owned(), address }],
        conditions: Vec::new(),
    };
    Object::Node(Node { metadata: metadata(&node_name(number)), status, ..Node::default() })
}

fn endpoint_slice(service: u32, endpoints: u32) -> Object {
    let mut metadata = metadata(&format!("app-{service}-x7k2p"));
    metadata.labels.insert("kubernetes.io/service-name".to_owned(), format!("app-{service}"));
    let endpoint = |i: u32| Endpoint {
        addresses: vec![format!("10.{}.{}.{}", 128 + i, service / 250, service % 250 + 1)],
        node_name: Some(node_name((service * 7 + i * 11) % NODES)),
        ..Endpoint::default()
    };
    Object::EndpointSlice(EndpointSlice {
        metadata,
        address_type: "IPv4".to_owned(),
        endpoints: (0..endpoints).map(endpoint).collect(),
        ports: vec![EndpointPort { name: Some("http".to_owned()), protocol: None, port: Some(8080) }],
    })
}

fn service(number: u32) -> Object {
    let ip = format!("10.{}.{}.{}", 64 + number / 62_500, number / 250 % 250, number % 250 + 1);
    let spec = ServiceSpec {
        r#type: Some("LoadBalancer".to_owned()),
        ports: vec![ServicePort { name: Some("http".to_owned()), protocol: None, port: NonZeroU16::MIN }],
        ..ServiceSpec::default()
    };
    let status =
        ServiceStatus { load_balancer: LoadBalancerStatus { ingress: vec![Ingress { ip: Some(ip) }] } };
    Object::Service(Box::new(Service { metadata: metadata(&format!("app-{number}")), spec, status }))
}
