//! What a node needs to run the agent, and what gets in its way: facts of the host in, checks out.

mod device;
pub mod kube_proxy;

use serde::{Deserialize, Serialize};

use self::kube_proxy::KubeProxy;

/// Bytes that GUE adds to a packet at most: an outer IPv6 header, UDP, GUE, and its private data with five
/// nodes.
const GUE_OVERHEAD: u16 = 40 + 8 + 4 + 8 + 5 * 4;
/// The smallest MTU of IPv6 (RFC 8200 section 5).
const IPV6_MINIMUM: u16 = 1280;
/// The strict mode of `rp_filter`.
const STRICT: u8 = 1;
/// Files that an agent with many peers and clients of its ports opens.
const FILES: u64 = 4096;

/// What is known of the host.
#[derive(Clone, Debug, Default)]
pub struct DoctorFacts {
    /// Failed preconditions of the agent, a sentence each.
    pub refused: Vec<String>,
    /// The uplinks.
    pub uplinks: Vec<UplinkFacts>,
    /// `net.ipv4.conf.all.rp_filter`.
    pub all_rp_filter: u8,
    /// Whether IPv4 and IPv6 are forwarded; `None`: the family is off.
    pub forwards: [Option<bool>; 2],
    /// `arp_ignore` and `arp_announce` of all interfaces, if kube-proxy is in IPVS mode.
    pub ipvs_arp: Option<(u8, u8)>,
    /// What forwards packets to Services on this node.
    pub kube_proxy: KubeProxy,
    /// Kernel tables that the program cannot look up, with the reason.
    pub missing_lookups: Option<String>,
    /// The hard limit of open files.
    pub files: u64,
    /// Ports that the agent listens on: number, use, and whether another process has it.
    pub ports: Vec<(u16, &'static str, bool)>,
    /// Whether an agent answers on the socket.
    pub is_agent_running: bool,
}

/// What is known of an uplink.
#[derive(Clone, Debug, Default)]
pub struct UplinkFacts {
    /// Its name.
    pub name: String,
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Its own `rp_filter`.
    pub rp_filter: u8,
    /// The devices below it, if it is more than one, and where the program runs by itself.
    pub path: Option<(String, String)>,
    /// Whether the program runs on it in generic mode by itself.
    pub is_generic: bool,
    /// VLAN devices on it, if a driver runs the program.
    pub vlans_above: Vec<String>,
    /// The devices with its frames that remove the tag from those they receive (rx VLAN offload).
    pub tag_strippers: Vec<String>,
    /// The members of its bond that are veths.
    pub veth_members: Vec<String>,
    /// The driver of each device that receives its frames, with its queues.
    pub queues: Vec<QueueFacts>,
    /// Processors of the machine that are online.
    pub processors: u32,
    /// Whether the program runs on it in native mode.
    pub is_native: bool,
    /// Whether it is a veth.
    pub is_veth: bool,
    /// Whether it has a carrier.
    pub has_carrier: bool,
    /// Offloads that are on and in the way of XDP: the device, and the name for `ethtool -K`.
    pub offloads: Vec<(String, &'static str)>,
    /// The XDP program of others on it.
    pub other_program: Option<String>,
}

/// What is known of the queues of a network device.
#[derive(Clone, Debug, Default)]
pub struct QueueFacts {
    /// The device.
    pub device: String,
    /// Its driver.
    pub driver: String,
    /// Combined queues that it uses.
    pub used: u32,
    /// Combined queues that it has.
    pub available: u32,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It is as it should be.
    Ok,
    /// The agent runs, but something may not work.
    Warning,
    /// The agent cannot run.
    Failed,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its result.
    pub state: CheckState,
    /// What is found.
    pub fact: String,
    /// The line to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Check {
    fn ok(name: &str, fact: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: CheckState::Ok, fact: fact.into(), run: None }
    }

    fn warning(name: &str, fact: impl Into<String>, run: impl Into<String>) -> Self {
        Self { state: CheckState::Warning, run: Some(run.into()), ..Self::ok(name, fact) }
    }
}

/// Returns all checks, those that failed first.
pub fn checks(facts: &DoctorFacts) -> Vec<Check> {
    let failed = facts
        .refused
        .iter()
        .map(|reason| Check { state: CheckState::Failed, ..Check::ok("preconditions", reason.clone()) });
    let mut checks: Vec<Check> = failed.collect();
    if checks.is_empty() {
        checks.push(Check::ok("preconditions", "kernel, BTF, capabilities, interfaces and BPF file system"));
    }
    checks.extend(facts.uplinks.iter().flat_map(|uplink| uplink_checks(facts, uplink)));
    checks.extend(forwarding(facts));
    checks.extend(arp(facts));
    checks.extend(kube_proxy::checks(&facts.kube_proxy));
    checks.push(lookups(facts));
    checks.push(files(facts));
    checks.extend(ports(facts));
    checks.push(agents(facts));
    checks.sort_by_key(|check| std::cmp::Reverse(check.state));
    checks
}

fn uplink_checks(facts: &DoctorFacts, uplink: &UplinkFacts) -> Vec<Check> {
    let name = &uplink.name;
    let mut checks = vec![reverse_path(facts, uplink), mtu(uplink), offloads(uplink)];
    checks.extend(device::checks(uplink));
    if let Some(program) = &uplink.other_program {
        checks.push(Check {
            state: CheckState::Failed,
            ..Check::warning(
                "XDP program",
                format!("{name} already has XDP program {program}, which the agent does not replace"),
                format!("ip link set dev {name} xdp off"),
            )
        });
    }
    if uplink.is_veth {
        checks.push(Check::warning(
            "veth",
            format!(
                "{name} is a veth: the program runs in generic mode. --xdp-mode native requires XDP or GRO at the \
                 peer: without it, packets that the program sends are lost, and other nodes consider this node dead"
            ),
            format!("ethtool -K PEER-OF-{name} gro on"),
        ));
    }
    if !uplink.has_carrier {
        let fact = format!("{name} has no carrier: the node is not ready without one");
        checks.push(Check::warning("carrier", fact, format!("ip link set dev {name} up")));
    }
    checks
}

fn reverse_path(facts: &DoctorFacts, uplink: &UplinkFacts) -> Check {
    let name = &uplink.name;
    // The greater of both is in force.
    if uplink.rp_filter.max(facts.all_rp_filter) == STRICT {
        return Check::warning(
            "rp_filter",
            format!(
                "reverse-path filtering is strict on {name}: packets whose way back is another interface are dropped"
            ),
            // `sysctl` takes a dot in the name of a VLAN device for a separator.
            format!(
                "sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{}.rp_filter=2",
                name.replace('.', "/")
            ),
        );
    }
    Check::ok("rp_filter", format!("not strict on {name}"))
}

fn mtu(uplink: &UplinkFacts) -> Check {
    let UplinkFacts { name, mtu, .. } = uplink;
    if *mtu < IPV6_MINIMUM + GUE_OVERHEAD {
        let least = IPV6_MINIMUM + GUE_OVERHEAD;
        let fact = format!(
            "{name} has MTU {mtu}: GUE to nodes of other networks needs {least} for packets of {IPV6_MINIMUM} bytes"
        );
        return Check::warning("MTU", fact, format!("ip link set dev {name} mtu 1500"));
    }
    Check::ok("MTU", format!("{mtu} on {name}: packets of up to {} bytes fit GUE", mtu - GUE_OVERHEAD))
}

fn offloads(uplink: &UplinkFacts) -> Check {
    let name = &uplink.name;
    if uplink.offloads.is_empty() {
        return Check::ok("offloads", format!("none of {name} is in the way"));
    }
    let on: Vec<_> = uplink.offloads.iter().map(|(port, offload)| format!("{offload} of {port}")).collect();
    let off: Vec<_> =
        uplink.offloads.iter().map(|(port, offload)| format!("ethtool -K {port} {offload} off")).collect();
    Check::warning(
        "offloads",
        format!(
            "{} merges packets before the program sees them: drivers refuse native XDP, or packets exceed the MTU",
            on.join(", ")
        ),
        off.join("; "),
    )
}

fn forwarding(facts: &DoctorFacts) -> Vec<Check> {
    let families = [("IPv4", "net.ipv4.ip_forward"), ("IPv6", "net.ipv6.conf.all.forwarding")];
    let check = |((family, setting), forwards): ((&str, &str), Option<bool>)| {
        Some(if forwards? {
            Check::ok("ip_forward", format!("{family} is forwarded"))
        } else {
            let fact = format!("{family} is not forwarded: packets for VIPs do not reach pods");
            Check::warning("ip_forward", fact, format!("sysctl -w {setting}=1"))
        })
    };
    families.into_iter().zip(facts.forwards).filter_map(check).collect()
}

fn arp(facts: &DoctorFacts) -> Option<Check> {
    let (ignore, announce) = facts.ipvs_arp?;
    if ignore == 0 || announce < 2 {
        return Some(Check::warning(
            "strictARP",
            "kube-proxy is in IPVS mode without strictARP: every node answers ARP for every VIP, beside the announcer",
            "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2  # and set ipvs.strictARP",
        ));
    }
    Some(Check::ok("strictARP", "on"))
}

fn lookups(facts: &DoctorFacts) -> Check {
    match &facts.missing_lookups {
        None => Check::ok("kernel lookups", "sockets and tracked connections"),
        Some(missing) => Check::warning(
            "kernel lookups",
            format!("{missing}: an idle connection that has moved may be reset when its entry is lost"),
            "uname -r; grep CONFIG_NF_CONNTRACK= /boot/config-$(uname -r)",
        ),
    }
}

fn files(facts: &DoctorFacts) -> Check {
    if facts.files < FILES {
        let fact = format!("at most {} open files: the agent may refuse connections", facts.files);
        return Check::warning("RLIMIT_NOFILE", fact, "ulimit -Hn 1048576  # or LimitNOFILE= of the unit");
    }
    Check::ok("RLIMIT_NOFILE", facts.files.to_string())
}

fn ports(facts: &DoctorFacts) -> Vec<Check> {
    let check = |(port, used_for, is_taken): &(u16, &'static str, bool)| {
        if *is_taken && !facts.is_agent_running {
            let fact = format!("another process has TCP port {port}, which the agent needs for {used_for}");
            return Check::warning("ports", fact, format!("ss -ltnp 'sport = :{port}'"));
        }
        let state = if *is_taken { "the agent listens" } else { "free" };
        Check::ok("ports", format!("{port} ({used_for}): {state}"))
    };
    facts.ports.iter().map(check).collect()
}

fn agents(facts: &DoctorFacts) -> Check {
    let fact = if facts.is_agent_running {
        "an agent answers on the socket; a second one would ask it to retire"
    } else {
        "none answers on the socket"
    };
    Check::ok("agent", fact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> DoctorFacts {
        let uplink =
            UplinkFacts { name: "eth0".into(), mtu: 1500, has_carrier: true, ..UplinkFacts::default() };
        DoctorFacts {
            uplinks: vec![uplink],
            forwards: [Some(true), None],
            files: FILES,
            ports: vec![(179, "BGP", false)],
            kube_proxy: KubeProxy::recorded("table ip kube-proxy\ntable ip6 kube-proxy\n"),
            ..DoctorFacts::default()
        }
    }

    /// A change of a host that was well.
    type Change = fn(&mut DoctorFacts);

    #[test]
    fn each_trap_is_named_with_the_line_to_run() {
        assert!(checks(&well()).iter().all(|check| check.state == CheckState::Ok));
        let cases: [(Change, &str, CheckState); 12] = [
            (|it| it.all_rp_filter = 1, "rp_filter", CheckState::Warning),
            (|it| it.uplinks[0].rp_filter = 1, "rp_filter", CheckState::Warning),
            (|it| it.uplinks[0].mtu = 1300, "MTU", CheckState::Warning),
            (|it| it.uplinks[0].offloads = vec![("eth0".into(), "lro")], "offloads", CheckState::Warning),
            (|it| it.uplinks[0].other_program = Some("7".into()), "XDP program", CheckState::Failed),
            (|it| it.uplinks[0].is_veth = true, "veth", CheckState::Warning),
            (|it| it.uplinks[0].has_carrier = false, "carrier", CheckState::Warning),
            (|it| it.forwards = [Some(false), None], "ip_forward", CheckState::Warning),
            (|it| it.ipvs_arp = Some((0, 0)), "strictARP", CheckState::Warning),
            (|it| it.missing_lookups = Some("no".into()), "kernel lookups", CheckState::Warning),
            (|it| it.files = 1024, "RLIMIT_NOFILE", CheckState::Warning),
            (|it| it.ports[0].2 = true, "ports", CheckState::Warning),
        ];
        for (change, name, state) in cases {
            let mut facts = well();
            change(&mut facts);
            let first = checks(&facts).remove(0);
            assert_eq!((first.name.as_str(), first.state), (name, state));
            assert!(first.run.is_some_and(|run| !run.is_empty()), "{name}");
        }
    }

    #[test]
    fn a_strict_uplink_is_loosened_by_the_setting_of_all() {
        let mut facts = well();
        (facts.all_rp_filter, facts.uplinks[0].rp_filter) = (2, 1);
        assert!(checks(&facts).iter().all(|check| check.state == CheckState::Ok));
    }

    #[test]
    fn the_ports_of_a_running_agent_are_its_own() {
        let mut facts = well();
        facts.ports[0].2 = true;
        facts.is_agent_running = true;
        assert!(checks(&facts).iter().all(|check| check.state == CheckState::Ok));
    }
}
