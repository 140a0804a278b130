//! kube-proxy's rules in nftables mode, for Services of type `LoadBalancer`.
//!
//! Chains and maps have kube-proxy's names without its hashes, so that dumps of a lab node and of a real node
//! can be compared. Not implemented, because a lab does not need them: node ports, session affinity, source
//! ranges.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::Result;

use super::addresses::{self, IpVersion};
use super::topology::{
    ExternalPolicy, LabNodeSpec, LabServiceSpec, PodSpec, PortProtocol, PortSpec, Topology,
};

/// The mark on packets to be masqueraded.
const MASQUERADE: &str = "0x4000";

/// Returns input for `nft -f` that replaces the node's rules of both families as a whole.
pub(crate) fn ruleset(topology: &Topology, node: &LabNodeSpec) -> Result<String> {
    let mut rules = String::new();
    for family in IpVersion::BOTH {
        let mut table = Table::new(family);
        for (place, service) in topology.services.iter().enumerate() {
            for port in &service.ports {
                table.add(topology, node, place, service, port)?;
            }
        }
        rules += &table.render();
    }
    Ok(rules)
}

/// A builder for one family's table.
struct Table {
    family: IpVersion,
    services: Vec<String>,
    without_endpoints: Vec<String>,
    chains: String,
}

impl Table {
    fn new(family: IpVersion) -> Self {
        Self { family, services: Vec::new(), without_endpoints: Vec::new(), chains: String::new() }
    }

    fn add(
        &mut self,
        topology: &Topology,
        node: &LabNodeSpec,
        place: usize,
        service: &LabServiceSpec,
        port: &PortSpec,
    ) -> Result<()> {
        let pods: Vec<&PodSpec> = topology.selected(service).filter(|pod| pod.ready).collect();
        let name = format!("{}/{}/{}", service.name, port.protocol.word(), port.name);
        let mut all = Vec::new();
        let mut local = Vec::new();
        for pod in pods {
            let address = topology.pod_addresses(pod)?.of(self.family);
            let chain = self.endpoint(&name, address, port);
            if pod.node == node.name {
                local.push(chain.clone());
            }
            all.push(chain);
        }
        self.service(&name, addresses::cluster_ip(place).of(self.family), port, &all);
        self.external(&name, service, port, &all, &local);
        Ok(())
    }

    /// Adds the chain that sends a connection to one pod; a pod that connects to itself is masqueraded.
    fn endpoint(&mut self, service: &str, address: IpAddr, port: &PortSpec) -> String {
        let (ip, protocol, target) = (self.ip(), port.protocol.word(), port.target);
        let chain = format!("endpoint-default/{service}__{}/{target}", address.to_string().replace(':', "."));
        let destination = match address {
            IpAddr::V4(address) => format!("{address}:{target}"),
            IpAddr::V6(address) => format!("[{address}]:{target}"),
        };
        self.chain(
            &chain,
            &[
                format!("{ip} saddr {address} jump mark-for-masquerade"),
                format!("meta l4proto {protocol} dnat to {destination}"),
            ],
        );
        chain
    }

    /// Adds the chain of the cluster IP.
    fn service(&mut self, name: &str, cluster_ip: IpAddr, port: &PortSpec, endpoints: &[String]) {
        let key = format!("{cluster_ip} . {} . {}", port.protocol.word(), port.port);
        if endpoints.is_empty() {
            self.without_endpoints.push(format!("{key} : goto reject-chain"));
            return;
        }
        let (ip, pods) = (self.ip(), self.pods());
        let outsiders = format!(
            "{ip} daddr {cluster_ip} {} dport {} {ip} saddr != {pods} jump mark-for-masquerade",
            port.protocol.word(),
            port.port
        );
        let chain = format!("service-default/{name}");
        self.chain(&chain, &[outsiders, spread(endpoints)]);
        self.services.push(format!("{key} : goto {chain}"));
    }

    /// Adds the chain of the load-balancer addresses.
    fn external(
        &mut self,
        name: &str,
        service: &LabServiceSpec,
        port: &PortSpec,
        all: &[String],
        local: &[String],
    ) {
        let keys: Vec<String> = service
            .vips
            .iter()
            .filter(|vip| IpVersion::of(**vip) == self.family)
            .map(|vip| format!("{vip} . {} . {}", port.protocol.word(), port.port))
            .collect();
        if keys.is_empty() {
            return;
        }
        let (chain, cluster) = (format!("external-default/{name}"), format!("service-default/{name}"));
        if all.is_empty() {
            self.without_endpoints.extend(keys.iter().map(|key| format!("{key} : goto reject-chain")));
            return;
        }
        match service.policy {
            ExternalPolicy::Cluster => {
                self.chain(&chain, &["jump mark-for-masquerade".into(), format!("goto {cluster}")]);
            }
            ExternalPolicy::Local => {
                let mut rules = self.short_circuits(&cluster);
                if local.is_empty() {
                    self.without_endpoints.extend(keys.iter().map(|key| format!("{key} : drop")));
                } else {
                    rules.push(spread(local));
                }
                self.chain(&chain, &rules);
            }
        }
        self.services.extend(keys.iter().map(|key| format!("{key} : goto {chain}")));
    }

    /// Returns rules for policy Local: traffic from inside the cluster may still go to any pod.
    fn short_circuits(&self, cluster: &str) -> Vec<String> {
        vec![
            format!("{} saddr {} goto {cluster}", self.ip(), self.pods()),
            "fib saddr type local jump mark-for-masquerade".into(),
            format!("fib saddr type local goto {cluster}"),
        ]
    }

    fn chain(&mut self, name: &str, rules: &[String]) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.chains, "  chain {name} {{");
        for rule in rules {
            let _ = writeln!(self.chains, "    {rule}");
        }
        self.chains += "  }\n";
    }

    fn render(&self) -> String {
        let ip = self.ip();
        let key = if self.family == IpVersion::V4 { "ipv4_addr" } else { "ipv6_addr" };
        let map = |name: &str, elements: &[String]| {
            let filled = if elements.is_empty() {
                String::new()
            } else {
                format!("    elements = {{ {} }}\n", elements.join(", "))
            };
            format!("  map {name} {{\n    type {key} . inet_proto . inet_service : verdict\n{filled}  }}\n")
        };
        format!(
            "table {ip} kube-proxy\ndelete table {ip} kube-proxy\ntable {ip} kube-proxy {{\n{}{}{}{}}}\n",
            map("service-ips", &self.services),
            map("no-endpoint-services", &self.without_endpoints),
            base_chains(ip),
            self.chains,
        )
    }

    fn ip(&self) -> &'static str {
        match self.family {
            IpVersion::V4 => "ip",
            IpVersion::V6 => "ip6",
        }
    }

    fn pods(&self) -> &'static str {
        match self.family {
            IpVersion::V4 => addresses::PODS_V4,
            IpVersion::V6 => addresses::PODS_V6,
        }
    }
}

impl PortProtocol {
    /// Returns the protocol's name in nft and in kube-proxy's names.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Returns a rule that picks one of the chains at random.
fn spread(chains: &[String]) -> String {
    let arms: Vec<String> =
        chains.iter().enumerate().map(|(place, chain)| format!("{place} : goto {chain}")).collect();
    format!("numgen random mod {} vmap {{ {} }}", chains.len(), arms.join(", "))
}

/// Returns the hooks and the chains that do not depend on Services.
fn base_chains(ip: &str) -> String {
    format!(
        "  chain filter-input {{
    type filter hook input priority -110; policy accept;
    ct state new jump service-endpoints-check
  }}
  chain filter-forward {{
    type filter hook forward priority -110; policy accept;
    ct state new jump service-endpoints-check
  }}
  chain filter-output {{
    type filter hook output priority -110; policy accept;
    ct state new jump service-endpoints-check
  }}
  chain nat-prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }}
  chain nat-output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    jump masquerading
  }}
  chain service-endpoints-check {{
    {ip} daddr . meta l4proto . th dport vmap @no-endpoint-services
  }}
  chain services {{
    {ip} daddr . meta l4proto . th dport vmap @service-ips
  }}
  chain masquerading {{
    meta mark & {MASQUERADE} == 0 return
    meta mark set meta mark ^ {MASQUERADE}
    masquerade fully-random
  }}
  chain mark-for-masquerade {{
    meta mark set meta mark | {MASQUERADE}
  }}
  chain reject-chain {{
    reject
  }}
"
    )
}
