//! From what the planner wants of routers to what the speaker is told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_api::problem::Problem;
use lb_bfd::session::{Hops, SessionProfile};
use lb_bgp::session::{BackOff, NextHops, PeerConfig, RemoteAs, Routes};
use lb_bgp::value::RouterId;
use lb_bgp::value::{Family, HoldTime};
use lb_model::{Endpoint, Model, NodeName, Peer};
use lb_plan::speaker::{self, ServiceAdvertisement, SpeakerPlan, SpeakerSettings};

use lb_dataplane::net::blackhole::Blackholes;
use lb_dataplane::net::unnumbered::{DiscoveredRouter, DiscoveredRouters, UnnumberedRouters};
use lb_speaker::Announced;
use lb_speaker::wanted::{Bfd, Key, Neighbour, Transport, Wanted};
use lb_speaker::{Identity, Speaker};

/// For so many seconds routers keep our routes while this process is replaced. Meanwhile they do not heed BFD:
/// a node that dies then is a hole for so long.
const RESTART_TIME: u16 = 8;
/// An attempt to connect that has no answer by then is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who tells routers what is planned.
pub struct Neighbours {
    /// Who speaks to them.
    pub speaker: Speaker,
    /// This node's BGP identifier, if one was chosen.
    pub router_id: Option<RouterId>,
    /// A node without an endpoint does not announce a Service with externalTrafficPolicy Local.
    pub local_needs_endpoint: bool,
    /// There was an agent before this one, whose routes they may have kept.
    pub restarted: bool,
    /// Who looks for routers where an interface is said instead of an address.
    pub routers: UnnumberedRouters,
    /// Who has packets for an announced aggregate end here that are for none of its VIPs.
    pub blackholes: Blackholes,
}

/// What came of telling routers.
pub(super) struct Told {
    /// What came of every Service.
    pub(super) services: Vec<Announced>,
    /// What is wrong with the objects.
    pub(super) problems: Vec<Problem>,
    /// What else cannot be done, a sentence each.
    pub(super) troubles: Vec<String>,
}

impl Neighbours {
    /// Has routers told all that they shall know; nothing of it yet while it is not known whether this node can take
    /// the packets, `may_tell` being false. `None` where this node is not known, and nothing has changed.
    pub(super) fn tell(
        &mut self,
        model: &Model,
        node: &NodeName,
        settings: &SpeakerSettings,
        may_tell: bool,
    ) -> Option<Told> {
        // What is not known now may be so again in a moment: nothing is taken back.
        let own = model.nodes.get(node)?;
        let plan = speaker::plan(model, node, settings)?;
        let identity = Identity {
            name: node.to_string(),
            router_id: self.router_id,
            addresses: own.addresses().to_vec(),
        };
        self.routers.watch(&interfaces(&plan).map(|(_, interface)| interface.clone()).collect());
        let found = self.routers.found();
        let context = Context { identity: &identity, found: &found, restarted: self.restarted };
        if may_tell {
            self.blackholes.set(plan.peers.values().flat_map(|peer| peer.routes.keys().copied()));
        }
        self.speaker.set(wanted(&plan, &context, may_tell));
        let troubles = unnumbered(&plan, &found);
        let problems = plan.problems.clone();
        Some(Told { services: announced(plan), problems, troubles })
    }
}

fn announced(plan: SpeakerPlan) -> Vec<Announced> {
    let SpeakerPlan { services, mut addresses, .. } = plan;
    let announced = services.into_iter().map(|(service, announcement)| {
        let addresses = addresses.remove(&service).unwrap_or_default();
        match announcement {
            ServiceAdvertisement::To(peers) => Announced { service, peers, addresses, silence: None },
            ServiceAdvertisement::Withheld(silence) => {
                Announced { service, peers: Arc::default(), addresses, silence: Some(silence) }
            }
        }
    });
    announced.collect()
}

/// What neighbours are made from beside the plan.
struct Context<'a> {
    identity: &'a Identity,
    found: &'a DiscoveredRouters,
    /// See [`Neighbours`].
    restarted: bool,
}

fn wanted(plan: &SpeakerPlan, context: &Context<'_>, may_tell: bool) -> Wanted {
    let wanted = plan.peers.iter().filter_map(|(name, peer)| {
        let routes = may_tell.then(|| Arc::clone(&peer.routes));
        Some((name.clone(), neighbour(&peer.session, context, routes)?))
    });
    wanted.collect()
}

/// The peers that are on an interface, whatever their address.
fn interfaces(plan: &SpeakerPlan) -> impl Iterator<Item = (&String, &String)> {
    plan.peers.iter().filter_map(|(name, peer)| match &peer.session.endpoint {
        Endpoint::Interface(interface) => Some((name, interface)),
        Endpoint::Address(_) => None,
    })
}

/// What is wrong with these.
fn unnumbered(plan: &SpeakerPlan, found: &DiscoveredRouters) -> Vec<String> {
    let words = interfaces(plan).filter_map(|(name, interface)| match found.get(interface) {
        None => Some(format!(
            "BGPPeer {name}: spec.interface: no router is known on {interface}: is it up, with a link-local address, \
             and does the router send Router Advertisements?"
        )),
        Some(DiscoveredRouter { router, others: 1.. }) => Some(format!(
            "BGPPeer {name}: spec.interface: several routers are on {interface}; {router} is spoken to. Write peerAddress \
             to choose another"
        )),
        Some(DiscoveredRouter { others: 0, .. }) => None,
    });
    words.collect()
}

/// A router as a neighbour; `None` where it has no address as yet. Without `routes` it is told nothing yet.
fn neighbour(peer: &Peer, context: &Context<'_>, routes: Option<Arc<Routes>>) -> Option<Neighbour> {
    let address = match &peer.endpoint {
        Endpoint::Address(address) => *address,
        Endpoint::Interface(interface) => context.found.get(interface)?.router.into(),
    };
    Some(Neighbour {
        transport: transport(peer, address),
        config: config(peer, address, context),
        bfd: peer.bfd.as_ref().map(|profile| bfd(profile, peer.multihop)),
        multihop: peer.multihop,
        routes,
    })
}

fn transport(peer: &Peer, address: IpAddr) -> Transport {
    let interface = match &peer.endpoint {
        Endpoint::Interface(interface) => Some(interface),
        Endpoint::Address(_) => None,
    };
    Transport {
        address,
        port: peer.port,
        source: peer.source.filter(|_| interface.is_none()),
        // A socket that is bound to an interface of a VRF is in that VRF.
        device: interface.or(peer.vrf.as_ref()).cloned(),
        key: peer.password.as_ref().and_then(|password| Key::new(password.octets())),
        minimum_ttl: None,
    }
}

fn config(peer: &Peer, address: IpAddr, context: &Context<'_>) -> PeerConfig {
    let Context { identity, restarted, .. } = *context;
    let families = [(Family::Ipv4, true), (Family::Ipv6, false)];
    let spoken = families.into_iter().filter(|(_, is_ipv4)| peer.takes(*is_ipv4));
    PeerConfig {
        local_asn: peer.my_asn,
        presented_asn: peer.local_asn,
        remote: match peer.remote {
            lb_model::RemoteAs::Exactly(asn) => RemoteAs::Exactly(asn),
            lb_model::RemoteAs::Internal => RemoteAs::Internal,
            lb_model::RemoteAs::External => RemoteAs::External,
        },
        router_id: peer.router_id.unwrap_or_else(|| identity.router_id()),
        hold_time: peer.hold_time.unwrap_or(HoldTime::DEFAULT),
        keepalive: peer.keepalive,
        families: spoken.map(|(family, _)| family).collect(),
        next_hops: match &peer.endpoint {
            Endpoint::Address(_) => identity.next_hops(address),
            // The router knows the way to the address that it speaks to, and to none of this node's others.
            Endpoint::Interface(_) => NextHops::default(),
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

fn bfd(profile: &lb_model::BfdProfile, multihop: bool) -> Bfd {
    let &lb_model::BfdProfile { transmit, receive, multiplier, echo, passive, minimum_ttl } = profile;
    Bfd {
        hops: if multihop { Hops::Multi { minimum_ttl } } else { Hops::Single },
        profile: SessionProfile { transmit, receive, multiplier, echo, passive },
    }
}
