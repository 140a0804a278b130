//! The findings: links of a chain.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A link of the chain from a Service's object to its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkName {
    /// The agent: answers, reads current objects, and keeps the probe clock running.
    Agent,
    /// The Service's object.
    Object,
    /// The allocation of its address.
    Allocation,
    /// The endpoints that serve it.
    Endpoints,
    /// The XDP program on the uplinks.
    Program,
    /// What is advertised or announced, and by which nodes.
    Advertisement,
    /// The BGP and BFD sessions.
    Session,
    /// The announcer on the local network.
    Announcer,
    /// The VIP's ring.
    Ring,
    /// The nodes that get its flows.
    Owner,
    /// The contents of the kernel's maps.
    Maps,
    /// The way to the nodes that own its flows.
    Path,
    /// The client: source ranges, and the route back.
    Client,
    /// kube-proxy's rule.
    Proxy,
    /// The endpoints on this node, connected to.
    Endpoint,
    /// The counters.
    Counters,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It works.
    Ok,
    /// This node cannot know.
    Unknown,
    /// It works, but not as configured, or not for all.
    Degraded,
    /// It does not work.
    Broken,
}

/// Why a link is broken or degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No agent answers on this node.
    AgentNotAnswering,
    /// The objects cannot be read, or an invalid one keeps its last-known-good version.
    StaleConfiguration,
    /// The probe clock stands still.
    ClockFrozen,
    /// There is no such Service or address.
    NotFound,
    /// The Service is not of type LoadBalancer.
    NotLoadBalancer,
    /// The Service is of another load-balancer class.
    OtherClass,
    /// The object is invalid.
    InvalidObject,
    /// There is no pool.
    NoPool,
    /// Every address of the pools is in use.
    PoolExhausted,
    /// The requested address or pool cannot be assigned.
    AddressRefused,
    /// The controller has not assigned an address yet.
    NotAssigned,
    /// No endpoint is serving.
    NoReadyEndpoint,
    /// Another XDP program is on an uplink.
    OtherProgram,
    /// The XDP program is not on an uplink.
    NotAttached,
    /// The node is not ready.
    NotReady,
    /// No advertisement selects the pool.
    NoAdvertisement,
    /// No peer is configured for the advertisement.
    NoPeer,
    /// A selector excludes the Service or all nodes.
    WrongSelector,
    /// The nodes are excluded from load balancing.
    NodesExcluded,
    /// No BGP session is up.
    BgpDown,
    /// One side expects another AS number.
    BgpWrongAs,
    /// The TCP-MD5 passwords differ.
    BgpPassword,
    /// The BFD session is down.
    BfdDown,
    /// Routes have not been sent to the peer yet.
    RoutesPending,
    /// No node announces the address on the local network.
    NoAnnouncer,
    /// A host outside the cluster answers for the address.
    AddressConflict,
    /// The map of rings has no room.
    RingFull,
    /// Another map has no room.
    MapFull,
    /// All nodes of the ring drain.
    AllDraining,
    /// No node of the ring is alive.
    NoLiveNode,
    /// The next hop of a node is unresolved.
    NextHopUnresolved,
    /// The maps differ from the plan.
    MapsDiffer,
    /// Large packets do not reach a node.
    Mtu,
    /// The Service's source ranges exclude the client.
    SourceRange,
    /// Reverse-path filtering drops the client's packets.
    ReversePathFilter,
    /// There is no route back to the client.
    NoRouteBack,
    /// kube-proxy has no rule for the VIP.
    ProxyRuleMissing,
    /// An endpoint refuses connections or does not answer.
    EndpointUnreachable,
}

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// Which one.
    pub name: LinkName,
    /// Its state.
    pub state: LinkState,
    /// What is known about it.
    pub fact: String,
    /// Why it is broken or degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The chain of a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The VIP, as `address:port/protocol`; `None`: the Service has none.
    pub vip: Option<String>,
    /// The Service, as `namespace/name`.
    pub service: Option<String>,
    /// The links, in order.
    pub links: Vec<ChainLink>,
}

/// The answer to a question about a Service or a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The node that was asked.
    pub node: String,
    /// The Service or VIP that was asked about.
    pub target: String,
    /// The client.
    pub client: Option<IpAddr>,
    /// The first broken link of all chains; else the first degraded one.
    pub first: Option<ChainLink>,
    /// The VIP of that link.
    pub first_vip: Option<String>,
    /// The chains of the VIPs.
    pub chains: Vec<Chain>,
    /// VIPs that are left out.
    #[serde(default)]
    pub left_out: usize,
}

impl LinkName {
    /// Returns the name that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Object => "object",
            Self::Allocation => "allocation",
            Self::Endpoints => "endpoints",
            Self::Program => "program",
            Self::Advertisement => "advertisement",
            Self::Session => "session",
            Self::Announcer => "announcer",
            Self::Ring => "ring",
            Self::Owner => "owner",
            Self::Maps => "maps",
            Self::Path => "path",
            Self::Client => "client",
            Self::Proxy => "kube-proxy",
            Self::Endpoint => "endpoint",
            Self::Counters => "counters",
        }
    }
}

impl LinkState {
    /// Returns the word that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Degraded => "DEGRADED",
            Self::Broken => "BROKEN",
        }
    }
}

impl ChainLink {
    /// Creates a link that works.
    pub fn ok(name: LinkName, fact: impl Into<String>) -> Self {
        Self { name, state: LinkState::Ok, fact: fact.into(), cause: None, advice: None }
    }

    /// Creates a link of which this node knows nothing.
    pub fn unknown(name: LinkName, fact: impl Into<String>) -> Self {
        Self { state: LinkState::Unknown, ..Self::ok(name, fact) }
    }

    /// Creates a broken link.
    pub fn broken(name: LinkName, cause: Cause, fact: impl Into<String>, advice: impl Into<String>) -> Self {
        let (cause, advice) = (Some(cause), Some(advice.into()));
        Self { state: LinkState::Broken, cause, advice, ..Self::ok(name, fact) }
    }

    /// Makes a broken link a degraded one.
    #[must_use]
    pub fn degraded(self) -> Self {
        Self { state: LinkState::Degraded, ..self }
    }
}

impl Explanation {
    /// Creates the answer from its chains.
    pub fn of(node: String, target: String, client: Option<IpAddr>, chains: Vec<Chain>) -> Self {
        let found = first(&chains, LinkState::Broken).or_else(|| first(&chains, LinkState::Degraded));
        let (first_vip, first) = found.map(|(chain, link)| (chain.vip.clone(), link.clone())).unzip();
        Self { node, target, client, first, first_vip: first_vip.flatten(), chains, left_out: 0 }
    }

    /// Returns whether no link is broken or degraded.
    pub fn is_well(&self) -> bool {
        self.first.is_none()
    }
}

/// Returns the first link in this state: the one that is earliest in its chain, whatever its VIP.
fn first(chains: &[Chain], state: LinkState) -> Option<(&Chain, &ChainLink)> {
    let links = chains.iter().flat_map(|chain| chain.links.iter().map(move |link| (chain, link)));
    links.filter(|(_, link)| link.state == state).min_by_key(|(_, link)| link.name)
}
