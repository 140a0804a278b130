//! The cluster's objects as YAML, from the same topology as kube-proxy's rules.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::addresses::{self, IpVersion};
use super::topology::{
    ExternalPolicy, LabNodeSpec, LabServiceSpec, PodSpec, PortProtocol, PortSpec, Topology,
};

impl Topology {
    /// Writes the cluster's objects into `directory`, one file per kind, each replaced atomically. A lab does
    /// this itself, at its start and on every change.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_manifests(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        let services = self.services.iter().enumerate().map(|(place, it)| service(place, it)).collect();
        write_file(directory, "nodes", nodes(self))?;
        write_file(directory, "endpointslices", slices(self)?)?;
        write_file(directory, "metallb", vec![pool(self), advertisement(self)])?;
        write_file(directory, "services", services)
    }

    /// Returns the observed objects of a cluster: its Nodes, and the EndpointSlices of Services with
    /// addresses.
    ///
    /// # Errors
    /// When a pod's node does not exist.
    pub fn observed(&self) -> Result<Vec<Value>> {
        Ok(nodes(self).into_iter().chain(slices(self)?).collect())
    }

    /// Returns a Service as a user writes it to request addresses of these families.
    ///
    /// # Errors
    /// When there is no such Service.
    pub fn service_request(&self, name: &str, families: &[IpVersion], family_policy: &str) -> Result<Value> {
        let mut places = self.services.iter().enumerate();
        let found = places.find(|(_, service)| service.name == name);
        let (place, service) = found.ok_or_else(|| anyhow!("no Service {name}"))?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": service.name, "namespace": "default" },
            "spec": spec(place, service, families, family_policy),
        }))
    }
}

fn nodes(topology: &Topology) -> Vec<Value> {
    topology.nodes.iter().filter(|it| it.member).map(node).collect()
}

fn write_file(directory: &Path, kind: &str, objects: Vec<Value>) -> Result<()> {
    let mut text = String::new();
    for object in objects {
        text += "---\n";
        text += &serde_saphyr::to_string(&object)?;
    }
    // A reader never sees half a file: the draft, whose name readers ignore, is renamed into place.
    let draft = directory.join(format!(".{kind}.draft"));
    fs::write(&draft, text)?;
    Ok(fs::rename(draft, directory.join(format!("{kind}.yaml")))?)
}

fn node(node: &LabNodeSpec) -> Value {
    let addresses = IpVersion::BOTH
        .map(|family| json!({ "type": "InternalIP", "address": node.addresses().of(family).to_string() }));
    let taints: Vec<Value> =
        node.taints.iter().map(|key| json!({ "key": key, "effect": "NoSchedule" })).collect();
    let mut labels = node.labels.clone();
    labels.insert("kubernetes.io/hostname".to_owned(), node.name.clone());
    labels.insert("topology.kubernetes.io/zone".to_owned(), node.segment().name);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": labels,
            "annotations": node.annotations,
        },
        "spec": {
            "podCIDR": format!("{}/24", addresses::pod(node.number, 0).v4),
            "podCIDRs": [
                format!("{}/24", addresses::pod(node.number, 0).v4),
                format!("{}/64", addresses::pod(node.number, 0).v6),
            ],
            "taints": taints,
        },
        "status": {
            "addresses": addresses,
            "conditions": [{ "type": "Ready", "status": if node.ready { "True" } else { "False" } }],
        },
    })
}

fn service(place: usize, service: &LabServiceSpec) -> Value {
    let vips: Vec<String> = service.vips.iter().map(ToString::to_string).collect();
    let ingress: Vec<Value> = vips.iter().map(|vip| json!({ "ip": vip, "ipMode": "VIP" })).collect();
    let families = families(service);
    let family_policy = if families.len() == 2 { "RequireDualStack" } else { "SingleStack" };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service.name,
            "namespace": "default",
            "annotations": { "metallb.io/loadBalancerIPs": vips.join(",") },
        },
        "spec": spec(place, service, &families, family_policy),
        "status": { "loadBalancer": { "ingress": ingress } },
    })
}

fn spec(place: usize, service: &LabServiceSpec, families: &[IpVersion], family_policy: &str) -> Value {
    let cluster_ips: Vec<String> =
        families.iter().map(|family| addresses::cluster_ip(place).of(*family).to_string()).collect();
    let policy = match service.policy {
        ExternalPolicy::Cluster => "Cluster",
        ExternalPolicy::Local => "Local",
    };
    json!({
        "type": "LoadBalancer",
        "selector": { "app": service.app },
        "clusterIP": cluster_ips.first(),
        "clusterIPs": cluster_ips,
        "ipFamilies": families.iter().map(|family| family_word(*family)).collect::<Vec<_>>(),
        "ipFamilyPolicy": family_policy,
        "externalTrafficPolicy": policy,
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "loadBalancerSourceRanges": service.source_ranges,
        "ports": service.ports.iter().map(service_port).collect::<Vec<_>>(),
    })
}

fn service_port(port: &PortSpec) -> Value {
    json!({
        "name": port.name,
        "protocol": protocol_word(port.protocol),
        "port": port.port,
        "targetPort": port.target,
    })
}

fn slices(topology: &Topology) -> Result<Vec<Value>> {
    let mut slices = Vec::new();
    for service in &topology.services {
        for family in families(service) {
            slices.push(slice(topology, service, family)?);
        }
    }
    Ok(slices)
}

fn slice(topology: &Topology, service: &LabServiceSpec, family: IpVersion) -> Result<Value> {
    let endpoints = topology
        .selected(service)
        .map(|pod| Ok(endpoint(pod, &topology.pod_addresses(pod)?.of(family).to_string())))
        .collect::<Result<Vec<_>>>()?;
    let ports: Vec<Value> = service
        .ports
        .iter()
        .map(|it| json!({ "name": it.name, "protocol": protocol_word(it.protocol), "port": it.target }))
        .collect();
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-{}", service.name, family_word(family).to_lowercase()),
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": service.name },
        },
        "addressType": family_word(family),
        "endpoints": endpoints,
        "ports": ports,
    }))
}

fn endpoint(pod: &PodSpec, address: &str) -> Value {
    json!({
        "addresses": [address],
        "conditions": {
            "ready": pod.ready && !pod.terminating,
            "serving": pod.ready,
            "terminating": pod.terminating,
        },
        "nodeName": pod.node,
        "targetRef": { "kind": "Pod", "namespace": "default", "name": pod.name },
    })
}

/// Returns a pool of exactly the addresses in use.
fn pool(topology: &Topology) -> Value {
    let vips = topology.services.iter().flat_map(|service| &service.vips);
    let mut prefixes: Vec<String> =
        vips.map(|vip| format!("{vip}/{}", IpVersion::of(*vip).host_length())).collect();
    prefixes.sort();
    prefixes.dedup();
    json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": { "name": "lab", "namespace": "metallb-system" },
        "spec": { "addresses": prefixes },
    })
}

fn advertisement(topology: &Topology) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": { "name": "lab", "namespace": "metallb-system" },
        "spec": topology.layer2,
    })
}

/// Returns the families of a Service's addresses.
fn families(service: &LabServiceSpec) -> Vec<IpVersion> {
    let has = |family: &IpVersion| service.vips.iter().any(|vip| IpVersion::of(*vip) == *family);
    IpVersion::BOTH.into_iter().filter(has).collect()
}

fn family_word(family: IpVersion) -> &'static str {
    match family {
        IpVersion::V4 => "IPv4",
        IpVersion::V6 => "IPv6",
    }
}

fn protocol_word(protocol: PortProtocol) -> &'static str {
    match protocol {
        PortProtocol::Tcp => "TCP",
        PortProtocol::Udp => "UDP",
        PortProtocol::Sctp => "SCTP",
    }
}
