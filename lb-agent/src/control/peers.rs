//! From the plan of BGP peers to the speaker's sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_api::problem::Problem;
use lb_bfd::session::{Hops, SessionProfile};
use lb_bgp::session::{BackOff, NextHops, PeerConfig, Routes};
use lb_bgp::value::RouterId;
use lb_bgp::value::{AddressFamily, HoldTime};
use lb_model::{Model, NodeName, Peer, PeerLocation};
use lb_plan::speaker::{ServiceAdvertisement, SpeakerPlan, SpeakerPlanner, SpeakerSettings};

use lb_dataplane::net::blackhole::Blackholes;
use lb_dataplane::net::unnumbered::{DiscoveredRouter, DiscoveredRouters, UnnumberedRouters};
use lb_speaker::desired::{BfdSettings, DesiredPeer, DesiredPeers, Md5Key, Transport};
use lb_speaker::{ServiceRoutes, Speaker, SpeakerIdentity};

/// Seconds for which peers keep our routes while this process is replaced. They ignore BFD meanwhile: if the
/// node dies then, its traffic is lost for this long.
const RESTART_TIME: u16 = 8;
/// Time in which the routers of unnumbered peers are found: a session of a former agent waits for its peer.
const DISCOVERY: Duration = Duration::from_secs(60);
/// Time after which an unanswered connection attempt is abandoned.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Advertises what is planned to BGP peers.
pub struct Advertiser {
    /// The sessions.
    pub speaker: Speaker,
    /// What is planned for them.
    pub planned: PlannedRoutes,
    /// This node's BGP identifier, if one is configured.
    pub router_id: Option<RouterId>,
    /// Whether peers may have kept the routes of an earlier agent.
    pub restarted: bool,
    /// Discovery of routers for peers that name an interface instead of an address.
    pub routers: UnnumberedRouters,
    /// Blackhole routes for the addresses of an advertised aggregate that are not VIPs.
    pub blackholes: Blackholes,
    /// The sessions and routes of the last pass.
    pub desired: DesiredPeers,
}

/// The plan of the last pass, and what it advertises of each Service.
#[derive(Debug, Default)]
pub struct PlannedRoutes {
    planner: SpeakerPlanner,
    last: Option<(Arc<SpeakerPlan>, Arc<[ServiceRoutes]>)>,
}

/// The result of a pass, for the agent's state.
pub(super) struct Advertised {
    /// What is advertised of each Service.
    pub(super) services: Arc<[ServiceRoutes]>,
    /// Problems of the objects.
    pub(super) problems: Vec<Problem>,
    /// Problems of unnumbered peers, a sentence each.
    pub(super) unnumbered: Vec<String>,
}

impl Advertiser {
    /// Sets the sessions and what is advertised on each. With `may_advertise` false, sessions are kept but
    /// nothing is advertised yet: whether this node forwards the packets is unknown.
    ///
    /// If the objects have other nodes but not this one, it keeps its sessions and withdraws all routes: the
    /// others forward nothing for it, and take no packet from it. Returns `None`, and changes nothing, if the
    /// objects have no node at all.
    pub(super) fn advertise(
        &mut self,
        model: &Model,
        node: &NodeName,
        settings: &SpeakerSettings,
        may_advertise: bool,
    ) -> Option<Advertised> {
        let (Some(own), Some((plan, services))) =
            (model.nodes.get(node), self.planned.plan(model, node, settings))
        else {
            return (!model.nodes.is_empty()).then(|| self.withdraw());
        };
        let identity = SpeakerIdentity {
            name: node.to_string(),
            router_id: self.router_id,
            addresses: own.addresses().to_vec(),
        };
        self.routers.watch(&interfaces(&plan).map(|(_, interface)| interface.clone()).collect());
        let found = self.routers.found();
        let context = Context { identity: &identity, found: &found, restarted: self.restarted };
        if may_advertise {
            self.blackholes.set(plan.peers.values().flat_map(|peer| peer.routes.keys().copied()));
        }
        self.desired = desired_peers(&plan, &context, may_advertise);
        self.speaker.set(self.desired.clone());
        let has_found_all = interfaces(&plan).all(|(_, interface)| found.contains_key(interface));
        self.speaker.settle(if has_found_all { Duration::ZERO } else { DISCOVERY });
        let unnumbered = unnumbered_problems(&plan, &found);
        let problems = plan.problems.clone();
        Some(Advertised { services, problems, unnumbered })
    }

    /// Withdraws all routes from the sessions that there are.
    fn withdraw(&mut self) -> Advertised {
        for peer in self.desired.values_mut() {
            peer.routes = Some(Arc::default());
        }
        self.speaker.set(self.desired.clone());
        self.blackholes.set(std::iter::empty());
        Advertised { services: Arc::default(), problems: Vec::new(), unnumbered: Vec::new() }
    }
}

impl PlannedRoutes {
    fn plan(
        &mut self,
        model: &Model,
        node: &NodeName,
        settings: &SpeakerSettings,
    ) -> Option<(Arc<SpeakerPlan>, Arc<[ServiceRoutes]>)> {
        let plan = self.planner.plan(model, node, settings)?;
        if self.last.as_ref().is_none_or(|(last, _)| !Arc::ptr_eq(last, &plan)) {
            let services = announced(&plan);
            self.last = Some((plan, services));
        }
        self.last.clone()
    }
}

fn announced(plan: &SpeakerPlan) -> Arc<[ServiceRoutes]> {
    let announced = plan.services.iter().map(|(service, announcement)| {
        let (peers, silence) = match announcement {
            ServiceAdvertisement::To(peers) => (Arc::clone(peers), None),
            ServiceAdvertisement::Withheld(silence) => (Arc::default(), Some(*silence)),
        };
        let addresses = plan.addresses.get(service).cloned().unwrap_or_default();
        ServiceRoutes { service: service.clone(), peers, addresses, silence }
    });
    announced.collect()
}

/// What a session is configured from, beside the plan.
struct Context<'a> {
    identity: &'a SpeakerIdentity,
    found: &'a DiscoveredRouters,
    /// See [`Advertiser`].
    restarted: bool,
}

fn desired_peers(plan: &SpeakerPlan, context: &Context<'_>, may_advertise: bool) -> DesiredPeers {
    let peers = plan.peers.iter().filter_map(|(name, peer)| {
        let routes = may_advertise.then(|| Arc::clone(&peer.routes));
        Some((name.clone(), desired_peer(&peer.session, context, routes)?))
    });
    peers.collect()
}

/// Returns the unnumbered peers: name and interface.
fn interfaces(plan: &SpeakerPlan) -> impl Iterator<Item = (&String, &String)> {
    plan.peers.iter().filter_map(|(name, peer)| match &peer.session.endpoint {
        PeerLocation::Interface(interface) => Some((name, interface)),
        PeerLocation::Address(_) => None,
    })
}

/// Returns the problems of unnumbered peers.
fn unnumbered_problems(plan: &SpeakerPlan, found: &DiscoveredRouters) -> Vec<String> {
    let problems = interfaces(plan).filter_map(|(name, interface)| match found.get(interface) {
        None => Some(format!(
            "BGPPeer {name}: spec.interface: no router found on {interface}; check that the interface is up, has a \
             link-local address, and that the router sends Router Advertisements"
        )),
        Some(DiscoveredRouter { router, others: 1.. }) => Some(format!(
            "BGPPeer {name}: spec.interface: found several routers on {interface}, using {router}; set peerAddress to \
             choose another"
        )),
        Some(DiscoveredRouter { others: 0, .. }) => None,
    });
    problems.collect()
}

/// Returns a peer for the speaker; `None` while its address is unknown. Without `routes`, nothing is
/// advertised yet.
fn desired_peer(peer: &Peer, context: &Context<'_>, routes: Option<Arc<Routes>>) -> Option<DesiredPeer> {
    let address = match &peer.endpoint {
        PeerLocation::Address(address) => *address,
        PeerLocation::Interface(interface) => context.found.get(interface)?.router.into(),
    };
    Some(DesiredPeer {
        transport: transport(peer, address),
        config: config(peer, address, context),
        bfd: peer.bfd.as_ref().map(|profile| bfd(profile, peer.multihop)),
        multihop: peer.multihop,
        routes,
    })
}

fn transport(peer: &Peer, address: IpAddr) -> Transport {
    let interface = match &peer.endpoint {
        PeerLocation::Interface(interface) => Some(interface),
        PeerLocation::Address(_) => None,
    };
    Transport {
        address,
        port: peer.port,
        source: peer.source.filter(|_| interface.is_none()),
        // A socket bound to an interface of a VRF is in that VRF.
        device: interface.or(peer.vrf.as_ref()).cloned(),
        key: peer.password.as_ref().and_then(|password| Md5Key::new(password.octets())),
        minimum_ttl: None,
    }
}

fn config(peer: &Peer, address: IpAddr, context: &Context<'_>) -> PeerConfig {
    let Context { identity, restarted, .. } = *context;
    let families = [(AddressFamily::Ipv4, true), (AddressFamily::Ipv6, false)];
    let negotiated = families.into_iter().filter(|(_, is_ipv4)| peer.takes(*is_ipv4));
    PeerConfig {
        local_asn: peer.my_asn,
        presented_asn: peer.local_asn,
        remote: peer.remote,
        router_id: peer.router_id.unwrap_or_else(|| identity.router_id()),
        hold_time: peer.hold_time.unwrap_or(HoldTime::DEFAULT),
        keepalive: peer.keepalive,
        families: negotiated.map(|(family, _)| family).collect(),
        next_hops: match &peer.endpoint {
            PeerLocation::Address(_) => identity.next_hops(address),
            // The router has a route to the session's address, and to none of this node's others.
            PeerLocation::Interface(_) => NextHops::default(),
        },
        graceful_restart: peer.graceful_restart.then_some(RESTART_TIME),
        restarted,
        passive: false,
        host_name: identity.name.clone(),
        connect_timeout: CONNECT_TIMEOUT,
        back_off: back_off(peer.connect_retry),
    }
}

fn back_off(connect_retry: Option<Duration>) -> BackOff {
    let BackOff { initial, max } = BackOff::DEFAULT;
    connect_retry
        .map_or(BackOff { initial, max }, |retry| BackOff { initial: initial.min(retry), max: retry })
}

fn bfd(profile: &lb_model::BfdParameters, multihop: bool) -> BfdSettings {
    let &lb_model::BfdParameters { transmit, receive, multiplier, echo, passive, minimum_ttl } = profile;
    BfdSettings {
        hops: if multihop { Hops::Multi { minimum_ttl } } else { Hops::Single },
        profile: SessionProfile { transmit, receive, multiplier, echo, passive },
    }
}
