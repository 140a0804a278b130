//! The objects of a cluster, with as many unread fields as those of a real one.

use serde_json::{Value, json};

/// Namespace of the load balancer's configuration.
const NAMESPACE: &str = "metallb-system";
/// One in this many Services has `externalTrafficPolicy: Local`, and so a ring of its own: the ring table has
/// room for some hundreds of these.
const LOCAL_EVERY: usize = 100;

/// The size of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct ClusterSize {
    /// Services, each with one EndpointSlice.
    pub services: usize,
    /// Endpoints of a Service, each on another node.
    pub endpoints: usize,
    /// Nodes.
    pub nodes: usize,
}

impl ClusterSize {
    /// Returns all objects except Namespaces and definitions.
    pub fn objects(self) -> impl Iterator<Item = Value> {
        let nodes = (0..self.nodes).map(node);
        let services = (0..self.services).flat_map(move |i| [service(i), self.slice(i, None)]);
        configuration().into_iter().chain(nodes).chain(services)
    }

    /// A Service whose ring follows its endpoints.
    #[must_use]
    pub fn local_service(self, number: usize) -> usize {
        number * LOCAL_EVERY % self.services
    }

    /// The EndpointSlice of a Service; one endpoint may be unready.
    #[must_use]
    pub fn slice(self, service: usize, unready: Option<usize>) -> Value {
        let endpoint = |i: usize| {
            let ready = unready != Some(i);
            let address = format!("10.{}.{}.{}", 128 + i, service / 250, service % 250 + 1);
            json!({
                "addresses": [address], "nodeName": node_name((service * 7 + i * 11) % self.nodes),
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "targetRef": {
                    "kind": "Pod", "namespace": "shop", "name": format!("app-{service}-7d9c5f6b8-{i:05}"),
                    "uid": format!("6ba7b810-9dad-11d1-80b4-{:012x}", service * 100 + i),
                },
                "zone": format!("zone-{}", i % 3),
            })
        };
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("app-{service}-x7k2p"), "namespace": "shop", "generateName": format!("app-{service}-"),
                "labels": {
                    "kubernetes.io/service-name": format!("app-{service}"), "app.kubernetes.io/name": "app",
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-11-21T08:00:00Z"},
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Service", "name": format!("app-{service}"), "controller": true,
                    "uid": format!("6ba7b811-9dad-11d1-80b4-{service:012x}"), "blockOwnerDeletion": true,
                }],
                "managedFields": managed("kube-controller-manager", "f:endpoints"),
            },
            "addressType": "IPv4", "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": (0..self.endpoints).map(endpoint).collect::<Vec<_>>(),
        })
    }
}

fn configuration() -> Vec<Value> {
    let object = |kind: &str, version: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": format!("metallb.io/{version}"), "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": NAMESPACE},
        })
    };
    let peer = |i: u8| {
        let spec = json!({"myASN": 64500, "peerASN": 64501, "peerAddress": format!("10.0.0.{i}")});
        object("BGPPeer", "v1beta2", &format!("router-{i}"), spec)
    };
    let mut objects: Vec<Value> = (1..=4).map(peer).collect();
    objects.push(object("IPAddressPool", "v1beta1", "all", json!({"addresses": ["10.64.0.0/10"]})));
    objects.push(object("BGPAdvertisement", "v1beta1", "all", json!({})));
    objects
}

/// Name of a node.
pub(super) fn node_name(number: usize) -> String {
    format!("worker-{number:04}.example.internal")
}

fn node(number: usize) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": format!("Kubelet{kind}"), "message": "as it should be",
            "lastHeartbeatTime": "2026-11-21T08:00:00Z", "lastTransitionTime": "2026-11-01T08:00:00Z",
        })
    };
    let image = |i: usize| {
        let name = format!("registry.example.internal/team/app-{i}");
        json!({"names": [format!("{name}@sha256:{i:064x}"), format!("{name}:v1.{i}")], "sizeBytes": 104_857_600 + i})
    };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node_name(number),
            "labels": {
                "kubernetes.io/hostname": node_name(number), "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
            },
            "managedFields": managed("kubelet", "f:status"),
        },
        "spec": {"podCIDR": format!("10.{}.{}.0/24", 128 + number / 250, number % 250)},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": format!("10.1.{}.{}", number / 250, number % 250 + 1)},
                {"type": "Hostname", "address": node_name(number)},
            ],
            "conditions": [
                condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
                condition("PIDPressure", "False"), condition("Ready", "True"),
            ],
            "images": (0..50).map(image).collect::<Vec<_>>(),
        },
    })
}

fn service(number: usize) -> Value {
    let policy = if number.is_multiple_of(LOCAL_EVERY) { "Local" } else { "Cluster" };
    let address = format!("10.{}.{}.{}", 64 + number / 62_500, number / 250 % 250, number % 250 + 1);
    let spec = json!({
        "type": "LoadBalancer", "clusterIP": format!("10.96.{}.{}", number / 250, number % 250 + 1),
        "clusterIPs": [format!("10.96.{}.{}", number / 250, number % 250 + 1)], "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": policy, "internalTrafficPolicy": "Cluster",
        "allocateLoadBalancerNodePorts": true, "sessionAffinity": "None", "selector": {"app": format!("app-{number}")},
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30_000 + number % 2768}],
    });
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": format!("app-{number}"), "namespace": "shop",
            "labels": {"app.kubernetes.io/name": "app", "app.kubernetes.io/instance": format!("app-{number}")},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": spec.to_string(),
                "metallb.io/ip-allocated-from-pool": "all",
            },
            "managedFields": managed("kubectl-client-side-apply", "f:spec"),
        },
        "spec": spec,
        "status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}},
    })
}

/// Returns the managed fields: usually the longest part of an object.
fn managed(manager: &str, part: &str) -> Value {
    let fields: serde_json::Map<String, Value> =
        (0..12).map(|i| (format!("f:field{i}"), json!({".": {}, "f:value": {}}))).collect();
    json!([{
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T08:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {part: fields},
    }])
}
