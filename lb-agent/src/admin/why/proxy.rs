//! kube-proxy's rules for a VIP: in nftables, iptables or IPVS, whichever it uses on this node.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use lb_explain::facts::ProxyFacts;
use lb_explain::target::TargetVip;

use lb_runtime::commands::run;

/// The interface that carries the addresses in IPVS mode.
const IPVS: &str = "/sys/class/net/kube-ipvs0";

/// Returns whether kube-proxy has a rule for a VIP. Blocks for as long as the programs run that read them.
pub(super) fn proxy(vip: TargetVip) -> ProxyFacts {
    nftables(vip).or_else(|| ipvs(vip)).or_else(|| iptables(vip)).unwrap_or_default()
}

/// Returns `None` if kube-proxy does not use nftables.
fn nftables(vip: TargetVip) -> Option<ProxyFacts> {
    const MODE: &str = "nftables";
    let family = if vip.address.is_ipv4() { "ip" } else { "ip6" };
    let (_, tables) = run("nft", &["list", "tables", family])?;
    if !tables.lines().any(|line| line == format!("table {family} kube-proxy")) {
        return None;
    }
    let protocol = vip.protocol.name().to_lowercase();
    let element = format!("{{ {} . {protocol} . {} }}", vip.address, vip.port);
    // A lookup, whatever the number of Services.
    let (is_found, _) = run("nft", &["get", "element", family, "kube-proxy", "service-ips", &element])?;
    Some(if is_found { ProxyFacts::Rule { mode: MODE } } else { ProxyFacts::Missing { mode: MODE } })
}

/// Returns `None` if kube-proxy does not use IPVS.
fn ipvs(vip: TargetVip) -> Option<ProxyFacts> {
    const MODE: &str = "ipvs";
    if !Path::new(IPVS).exists() {
        return None;
    }
    // A socket can be bound to an address of this host only.
    let is_local = UdpSocket::bind((vip.address, 0)).is_ok();
    Some(if is_local { ProxyFacts::Rule { mode: MODE } } else { ProxyFacts::Missing { mode: MODE } })
}

/// Returns `None` if kube-proxy does not use iptables.
fn iptables(vip: TargetVip) -> Option<ProxyFacts> {
    const MODE: &str = "iptables";
    let program = if vip.address.is_ipv4() { "iptables-save" } else { "ip6tables-save" };
    let (_, rules) = run(program, &["-t", "nat"])?;
    if !rules.contains(":KUBE-SERVICES ") {
        return None;
    }
    Some(if has_rule(&rules, vip) {
        ProxyFacts::Rule { mode: MODE }
    } else {
        ProxyFacts::Missing { mode: MODE }
    })
}

fn has_rule(rules: &str, vip: TargetVip) -> bool {
    let length = match vip.address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let destination = format!("-A KUBE-SERVICES -d {}/{length} ", vip.address);
    let protocol = format!("-p {} ", vip.protocol.name().to_lowercase());
    let port = format!("--dport {} ", vip.port);
    let is_it = |line: &str| {
        line.starts_with(&destination) && line.contains(&protocol) && format!("{line} ").contains(&port)
    };
    rules.lines().any(is_it)
}

#[cfg(test)]
mod tests {
    use lb_model::Protocol;

    use super::*;

    #[test]
    fn a_rule_of_iptables_is_that_of_the_address_protocol_and_port() {
        let rules = "*nat\n:KUBE-SERVICES - [0:0]\n\
            -A KUBE-SERVICES -d 192.0.2.1/32 -p tcp -m comment --comment \"shop/web:http loadbalancer IP\" -m tcp --dport 80 -j KUBE-EXT-X\n\
            -A KUBE-SERVICES -d 192.0.2.11/32 -p udp -m udp --dport 53 -j KUBE-EXT-Y\nCOMMIT\n";
        let has = |address: &str, port, protocol| {
            has_rule(rules, TargetVip { address: address.parse().unwrap(), port, protocol })
        };
        assert!(has("192.0.2.1", 80, Protocol::Tcp) && has("192.0.2.11", 53, Protocol::Udp));
        assert!(!has("192.0.2.1", 80, Protocol::Udp) && !has("192.0.2.1", 8, Protocol::Tcp));
        assert!(!has("192.0.2.2", 80, Protocol::Tcp));
    }
}
