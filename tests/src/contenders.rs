//! What Fairlead is compared with, each in a lab of the same hosts and links.
//!
//! ```text
//! client-1 ── router ── rack a (bridge) ─ n1 n2 n3 n4 (and a machine that may join) ─ pods
//! ```
//!
//! Every node has kube-proxy's rules, whatever directs packets to it. In layer-2 set-ups the address of the
//! Service is one of the rack's network; in the others it is routed.

mod bgp;
mod resilient;
mod running;

use std::net::IpAddr;

use clap::ValueEnum;

pub use self::running::RunningContender;
use crate::lab::addresses::IpVersion;
use crate::lab::topology::{PortProtocol, PortSpec};
use crate::lab::{ExternalPolicy, Topology, WEB_V4, WEB_V6};
use crate::layer2::{segment, stand_in};
use crate::routers::BfdTimers;

/// A port of the Service at which a measurement may start a server of its own.
pub const THROUGHPUT_PORT: u16 = 5201;

/// The app of all pods, and the name of the Service.
const APP: &str = "web";

/// A way to bring clients to a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// MetalLB's layer-2 mode.
    MetallbL2,
    /// MetalLB's BGP mode.
    MetallbBgp,
    /// MetalLB's BGP mode with BFD.
    MetallbBgpBfd,
    /// MetalLB's BGP mode with BFD, below a router with resilient next-hop groups.
    ResilientEcmp,
    /// Fairlead on the local network.
    FairleadL2,
    /// Fairlead with BGP.
    FairleadBgp,
    /// Fairlead with BGP and BFD.
    FairleadBgpBfd,
}

/// How packets for the Service reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attraction {
    /// One node answers for the address on the local network.
    Layer2,
    /// Nodes advertise the address to the router.
    Bgp {
        /// Whether they and the router monitor each other by BFD.
        has_bfd: bool,
    },
}

/// Which nodes have pods of the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPlacement {
    /// All of them.
    Everywhere,
    /// Only the one that answers for a layer-2 address.
    Entry,
    /// All but that one.
    Behind,
}

/// The settings of a set-up.
#[derive(Clone, Debug)]
pub struct ContenderSettings {
    /// `externalTrafficPolicy` of the Service.
    pub policy: ExternalPolicy,
    /// The family of the Service's address.
    pub family: IpVersion,
    /// Number of nodes of the cluster.
    pub nodes: u8,
    /// Number of machines that are wired like nodes, and may join the cluster.
    pub machines: u8,
    /// Pods on each node that has any.
    pub pods: u8,
    /// Which nodes have pods.
    pub placement: PodPlacement,
    /// Hold time of BGP sessions, in seconds.
    pub hold_time: u16,
    /// The timers of BFD sessions.
    pub bfd: BfdTimers,
}

impl Default for ContenderSettings {
    /// Three nodes with two pods each, and the timers that MetalLB has by default: a hold time of 90 s. BFD,
    /// which MetalLB's users configure by a profile, is 50 ms × 3.
    fn default() -> Self {
        Self {
            policy: ExternalPolicy::Local,
            family: IpVersion::V4,
            nodes: 3,
            machines: 0,
            pods: 2,
            placement: PodPlacement::Everywhere,
            hold_time: 90,
            bfd: BfdTimers::every(std::time::Duration::from_millis(50)),
        }
    }
}

impl Contender {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::MetallbL2,
        Self::MetallbBgp,
        Self::MetallbBgpBfd,
        Self::ResilientEcmp,
        Self::FairleadL2,
        Self::FairleadBgp,
        Self::FairleadBgpBfd,
    ];

    /// Returns its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MetallbL2 => "MetalLB-like L2",
            Self::MetallbBgp => "MetalLB-like BGP",
            Self::MetallbBgpBfd => "MetalLB-like BGP + BFD",
            Self::ResilientEcmp => "resilient ECMP",
            Self::FairleadL2 => "Fairlead L2",
            Self::FairleadBgp => "Fairlead BGP",
            Self::FairleadBgpBfd => "Fairlead BGP + BFD",
        }
    }

    /// Describes what it is made of.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::MetallbL2 => {
                "a user-space answerer on every node, elected among the members of a SWIM group with \
                 memberlist's default timing; kube-proxy's rules"
            }
            Self::MetallbBgp => {
                "FRR on every node that serves, FRR with ECMP as the router, MetalLB's default timers; \
                 kube-proxy's rules"
            }
            Self::MetallbBgpBfd => "the same with BFD",
            Self::ResilientEcmp => {
                "the same with BFD, and the router's kernel spreads by a resilient next-hop group whose \
                 members follow the routes that FRR learns"
            }
            Self::FairleadL2 => "Fairlead's agent on every node; kube-proxy's rules",
            Self::FairleadBgp => {
                "Fairlead's agent on every node, FRR with ECMP as the router; kube-proxy's rules"
            }
            Self::FairleadBgpBfd => "the same with BFD",
        }
    }

    /// Returns how packets reach its nodes.
    #[must_use]
    pub const fn attraction(self) -> Attraction {
        match self {
            Self::MetallbL2 | Self::FairleadL2 => Attraction::Layer2,
            Self::MetallbBgp | Self::FairleadBgp => Attraction::Bgp { has_bfd: false },
            Self::MetallbBgpBfd | Self::ResilientEcmp | Self::FairleadBgpBfd => {
                Attraction::Bgp { has_bfd: true }
            }
        }
    }

    /// Whether Fairlead's agents run.
    #[must_use]
    pub const fn is_fairlead(self) -> bool {
        matches!(self, Self::FairleadL2 | Self::FairleadBgp | Self::FairleadBgpBfd)
    }

    /// Returns the address of its Service.
    #[must_use]
    pub fn vip(self, family: IpVersion) -> IpAddr {
        match (self.attraction(), family) {
            (Attraction::Layer2, family) => segment::vip(0).of(family),
            (Attraction::Bgp { .. }, IpVersion::V4) => WEB_V4,
            (Attraction::Bgp { .. }, IpVersion::V6) => WEB_V6,
        }
    }

    /// Builds the lab, starts what belongs to it, and waits until a client is served.
    ///
    /// # Errors
    /// When something does not start, or does not serve in time.
    pub fn start(self, settings: ContenderSettings) -> anyhow::Result<RunningContender> {
        RunningContender::start(self, settings)
    }

    fn topology(self, settings: &ContenderSettings) -> Topology {
        let mut topology = Topology::empty();
        for number in 1..=settings.nodes + settings.machines {
            topology = topology.node('a', number);
        }
        let entry = settings.entry();
        for number in 1..=settings.nodes + settings.machines {
            let node = name(number);
            let has_pods = match settings.placement {
                PodPlacement::Everywhere => true,
                PodPlacement::Entry => node == entry,
                PodPlacement::Behind => node != entry,
            };
            topology = topology.pods(&node, APP, if has_pods { settings.pods } else { 0 });
        }
        for number in settings.nodes + 1..=settings.nodes + settings.machines {
            set_membership(&mut topology, &name(number), false);
        }
        topology = topology.service(APP, APP, &[self.vip(settings.family)], settings.policy);
        for service in &mut topology.services {
            let (port, target) = (THROUGHPUT_PORT, THROUGHPUT_PORT);
            let port = PortSpec { name: "throughput", protocol: PortProtocol::Tcp, port, target };
            service.ports.push(port);
        }
        match self.attraction() {
            Attraction::Layer2 => segment::preferring(topology, &[&entry]),
            Attraction::Bgp { .. } => topology,
        }
    }
}

impl ContenderSettings {
    /// Returns the node that answers for a layer-2 address while it lives, in all set-ups the same.
    #[must_use]
    pub fn entry(&self) -> String {
        let names: Vec<String> = (1..=self.nodes).map(name).collect();
        let elected = stand_in::elected(names.iter().map(String::as_str), segment::vip(0));
        elected.unwrap_or_default().to_owned()
    }
}

fn name(number: u8) -> String {
    format!("n{number}")
}

/// Adds a machine to the cluster or removes it; its pods are ready if it is a member.
fn set_membership(cluster: &mut Topology, name: &str, member: bool) {
    cluster.nodes.iter_mut().filter(|node| node.name == name).for_each(|node| node.member = member);
    cluster.pods.iter_mut().filter(|pod| pod.node == name).for_each(|pod| pod.ready = member);
}
