//! Which program forwards packets to Services, by what it leaves in the kernel, and its traps.

use super::{Check, CheckState};

/// The interface that carries the addresses of Services in mode `ipvs`.
pub const IPVS_DEVICE: &str = "kube-ipvs0";
/// Chains that kube-proxy has in mode `iptables`; in mode `ipvs` it has the first one, too. The kubelet's
/// (`KUBE-KUBELET-CANARY`, `KUBE-FIREWALL`) are none of them.
const SERVICES: &str = "KUBE-SERVICES";
const SERVICE: &str = "KUBE-SVC-";
/// Its table in mode `nftables`.
const TABLE: &str = "kube-proxy";
/// Start of the names of the maps that hold Services for Cilium.
const CILIUM_SERVICES: &str = "cilium_lb4_services";
const CILIUM_SERVICES_V6: &str = "cilium_lb6_services";

/// A mode of kube-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KubeProxyMode {
    /// `iptables`
    Iptables,
    /// `ipvs`
    Ipvs,
    /// `nftables`
    Nftables,
}

impl KubeProxyMode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
            Self::Nftables => "nftables",
        }
    }
}

/// What the kernel has of kube-proxy, or of what replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeProxy {
    /// The modes that have left something: more than one after a change of the mode without a clean-up.
    pub modes: Vec<KubeProxyMode>,
    /// Whether Cilium has tables of Services.
    pub is_replaced: bool,
    /// The addresses that take node ports in mode `nftables`, if they are not all.
    pub node_port_addresses: Vec<String>,
}

/// What was read from the kernel: empty where a program to read it is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct KubeProxyTraces<'a> {
    /// Output of `nft list tables`.
    pub nft_tables: &'a str,
    /// Output of `nft list set ip kube-proxy nodeport-ips`.
    pub node_port_set: &'a str,
    /// Output of `iptables -t nat -S`, or of `iptables-save`.
    pub iptables: &'a str,
    /// Names of interfaces, separated by white space.
    pub interfaces: &'a str,
    /// Names of pinned BPF maps, separated by white space.
    pub pins: &'a str,
}

impl KubeProxy {
    /// Recognizes it by its traces.
    pub fn recognize(traces: KubeProxyTraces<'_>) -> Self {
        let is_ipvs = traces.interfaces.split_whitespace().any(|name| name == IPVS_DEVICE);
        let is_nftables = traces.nft_tables.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["table", "ip" | "ip6", TABLE, ..])
        });
        let has = |chain: &str| chains(traces.iptables).any(|it| it.starts_with(chain));
        // In mode ipvs, Services are in ipsets, so there is no chain per Service.
        let is_iptables = has(SERVICE) || has(SERVICES) && !is_ipvs;
        let modes = [
            (is_iptables, KubeProxyMode::Iptables),
            (is_ipvs, KubeProxyMode::Ipvs),
            (is_nftables, KubeProxyMode::Nftables),
        ];
        let is_map = |name: &str| [CILIUM_SERVICES, CILIUM_SERVICES_V6].iter().any(|it| name.starts_with(it));
        Self {
            modes: modes.into_iter().filter(|it| it.0).map(|it| it.1).collect(),
            is_replaced: traces.pins.split_whitespace().any(is_map),
            node_port_addresses: elements(traces.node_port_set),
        }
    }

    #[cfg(test)]
    pub(super) fn recorded(nft_tables: &str) -> Self {
        Self::recognize(KubeProxyTraces { nft_tables, ..KubeProxyTraces::default() })
    }
}

/// Returns the chains that a listing of iptables declares: `-N NAME` or `:NAME POLICY [0:0]`.
fn chains(listing: &str) -> impl Iterator<Item = &str> {
    listing.lines().filter_map(|line| {
        let name = line.strip_prefix("-N ").or_else(|| line.strip_prefix(':'))?;
        name.split_whitespace().next()
    })
}

/// Returns the elements of a set: `elements = { 10.0.0.1, 10.1.0.1 }`.
fn elements(set: &str) -> Vec<String> {
    let inside = set.split_once("elements = {").and_then(|(_, rest)| rest.split_once('}'));
    let elements = inside.map_or("", |(elements, _)| elements).split(',').map(str::trim);
    elements.filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// Returns the checks.
pub(super) fn checks(kube_proxy: &KubeProxy) -> Vec<Check> {
    let name = "kube-proxy";
    let modes = kube_proxy.modes.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(" and ");
    let found = match (kube_proxy.modes.len(), kube_proxy.is_replaced) {
        (0, true) => Check {
            state: CheckState::Failed,
            run: Some(
                "helm upgrade cilium … --set kubeProxyReplacement=false  # and run kube-proxy".to_owned(),
            ),
            ..Check::ok(
                name,
                "Cilium replaces it: its program takes packets for Services from the network and knows nothing of \
                 flows that Fairlead has given to this node; run kube-proxy beside Cilium",
            )
        },
        (0, false) => Check::warning(
            name,
            "none of its rules is in the kernel: packets for VIPs do not reach pods",
            "nft list tables; iptables -t nat -S | head; kubectl -n kube-system get pods -o wide",
        ),
        (1, false) => Check::ok(name, format!("mode {modes}")),
        (1, true) => Check::warning(
            name,
            format!("mode {modes}, and tables of Cilium's replacement: two programs serve Services"),
            "kubectl -n kube-system exec ds/cilium -- cilium-dbg status | grep KubeProxyReplacement",
        ),
        _ => Check::warning(
            name,
            format!("rules of modes {modes}: those of a former mode send packets to pods that may be gone"),
            "kube-proxy --cleanup  # in the image of kube-proxy, then restart it",
        ),
    };
    let mut checks = vec![found];
    if !kube_proxy.node_port_addresses.is_empty() && kube_proxy.modes.contains(&KubeProxyMode::Nftables) {
        let addresses = kube_proxy.node_port_addresses.join(", ");
        let fact = format!("node ports are on {addresses} alone; those of VIPs do not depend on it");
        checks.push(Check::ok("nodePortAddresses", fact));
    }
    checks
}

#[cfg(test)]
mod tests;
