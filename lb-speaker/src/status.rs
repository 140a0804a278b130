//! The status of BGP sessions and advertised Services.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lb_bgp::session::{BgpState, MessageCounters, PeerCounters, PeerView};
use lb_bgp::value::{AddressFamily, RouteNextHop};
use serde::{Deserialize, Serialize};

use super::hints;
use super::service_routes::ServiceRoutes;
use super::view::{KeeperView, PeerSnapshot, SpeakerView};

/// Reason if nothing is withheld, but no peer matches.
const NO_PEER: &str = "no BGPPeer of this node is selected for its addresses";

/// Response of `GET /bgp`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BgpStatus {
    /// The sessions, by the name of their BGPPeer.
    pub sessions: Vec<BgpSessionStatus>,
    /// Connections from unknown peers that were closed.
    pub unknown_connections: u64,
    /// Current problems, a sentence each.
    pub problems: Vec<String>,
    /// The Services and the peers they are advertised to.
    pub services: Vec<AdvertisedService>,
    /// The keeper, if sessions are to survive the agent.
    #[serde(default)]
    pub keeper: Option<KeeperView>,
}

/// A Service and the peers it is advertised to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdvertisedService {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The peers it is advertised to.
    pub peers: Vec<String>,
    /// The advertised addresses.
    pub addresses: Vec<IpAddr>,
    /// MetalLB's term for why it is not advertised, or `noPeer` if no peer matches.
    pub silent: Option<Cow<'static, str>>,
    /// The same as a sentence.
    pub reason: Option<String>,
}

/// A BGP session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BgpSessionStatus {
    /// Name of the BGPPeer object.
    pub peer: String,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's port.
    pub port: u16,
    /// The VRF or interface, if configured.
    pub vrf: Option<String>,
    /// `idle`, `connect`, `active`, `opensent`, `openconfirm` or `established`.
    pub state: Cow<'static, str>,
    /// The session is that of a former agent, on the same connection.
    #[serde(default)]
    pub adopted: bool,
    /// Seconds in this state.
    pub seconds: u64,
    /// The AS number presented to the peer.
    pub local_asn: u32,
    /// Our BGP identifier.
    pub router_id: String,
    /// Local and remote address of the connection.
    pub connection: Option<(SocketAddr, SocketAddr)>,
    /// Negotiated parameters.
    pub agreed: Option<NegotiatedStatus>,
    /// Negotiated families, `ipv4` and `ipv6`.
    pub families: BTreeMap<Cow<'static, str>, FamilyStatus>,
    /// Routes of families that were not negotiated.
    pub unsendable: usize,
    /// Seconds for which the peer has read nothing.
    pub unread_seconds: Option<u64>,
    /// Seconds until the send hold timer expires.
    pub given_up_seconds: Option<u64>,
    /// BFD state, if configured.
    pub bfd: Option<bool>,
    /// Why the last session closed or none came up.
    pub last_error: Option<String>,
    /// The operator's next step, while there is no session.
    #[serde(default)]
    pub advice: Option<String>,
    /// Seconds until the next connection attempt.
    pub next_attempt: Option<u64>,
    /// Counters.
    pub counters: BgpCounters,
}

/// Negotiated parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NegotiatedStatus {
    /// The peer's AS number.
    pub asn: u32,
    /// The peer's BGP identifier.
    pub router_id: String,
    /// The peer's host name, if sent.
    pub host_name: Option<String>,
    /// In seconds; zero for none.
    pub hold_time: u16,
    /// Seconds for which the peer keeps our routes after losing the session.
    pub graceful_restart: Option<u16>,
}

/// A family of an established session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FamilyStatus {
    /// Next hop of our routes.
    pub next_hop: Option<String>,
    /// Prefixes advertised to the peer.
    pub announced: usize,
    /// Prefixes still to be advertised or withdrawn.
    pub pending: usize,
}

/// Counters of a BGP session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BgpCounters {
    /// Messages sent.
    pub sent: MessageCounts,
    /// Messages received.
    pub received: MessageCounts,
    /// Prefixes received; none is installed.
    pub prefixes_received: u64,
    /// Received messages that could not be decoded.
    pub malformed: u64,
    /// Connection attempts.
    pub connects: u64,
    /// Sessions that came up.
    pub established: u64,
    /// Sessions that were adopted from a former agent.
    #[serde(default)]
    pub adopted: u64,
    /// Sessions that went down unintentionally.
    pub flaps: u64,
}

/// Messages by type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl BgpStatus {
    /// Returns the status of the sessions and of the advertised Services.
    pub fn of(view: &SpeakerView, announced: &[ServiceRoutes]) -> Self {
        Self {
            sessions: view.peers.iter().map(|snapshot| BgpSessionStatus::of(snapshot, view.at)).collect(),
            unknown_connections: view.unknown,
            problems: view
                .failures
                .iter()
                .cloned()
                .chain(view.peers.iter().flat_map(hints::limits))
                .collect(),
            services: announced.iter().map(service).collect(),
            keeper: view.keeper.clone(),
        }
    }
}

fn service(announced: &ServiceRoutes) -> AdvertisedService {
    let ServiceRoutes { service, peers, addresses, silence } = announced;
    let silent = match silence {
        Some(silence) => Some((Cow::from(silence.label()), silence.to_string())),
        None if peers.is_empty() => Some((Cow::from("noPeer"), NO_PEER.to_owned())),
        None => None,
    };
    let (silent, reason) = silent.unzip();
    AdvertisedService {
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        peers: peers.to_vec(),
        addresses: addresses.clone(),
        silent,
        reason,
    }
}

impl BgpSessionStatus {
    /// Returns the status of a session at the time of its snapshot.
    pub fn of(snapshot: &PeerSnapshot, at: Duration) -> Self {
        session(snapshot, at)
    }
}

fn session(snapshot: &PeerSnapshot, at: Duration) -> BgpSessionStatus {
    let PeerSnapshot { name, desired, view } = snapshot;
    let agreed = view.negotiated.as_ref().map(|negotiated| NegotiatedStatus {
        asn: negotiated.remote_asn.get(),
        router_id: negotiated.remote_router_id.to_string(),
        host_name: negotiated.remote_host_name.clone(),
        hold_time: negotiated.hold_time.seconds(),
        graceful_restart: negotiated.graceful_restart.map(|graceful| graceful.restart_time),
    });
    BgpSessionStatus {
        peer: name.clone(),
        address: desired.transport.address,
        port: desired.transport.port,
        vrf: desired.transport.device.clone(),
        state: state(view.state).into(),
        adopted: view.is_adopted,
        seconds: view.state_age.as_secs(),
        local_asn: desired.config.presented_asn().get(),
        router_id: desired.config.router_id.to_string(),
        connection: view.connection.map(|(_, local, remote)| (local, remote)),
        agreed,
        families: families(view),
        unsendable: view.unsendable,
        unread_seconds: view.send_stall.map(|stall| at.saturating_sub(stall.since).as_secs()),
        given_up_seconds: view.send_stall.map(|stall| stall.expires_at.saturating_sub(at).as_secs()),
        bfd: view.bfd.filter(|_| desired.bfd.is_some()),
        last_error: view.last_error(),
        advice: view.advice(hints::advice_context(desired)),
        next_attempt: view.next_attempt.map(|next| next.saturating_sub(at).as_secs()),
        counters: counters(&view.counters),
    }
}

fn families(view: &PeerView) -> BTreeMap<Cow<'static, str>, FamilyStatus> {
    let next_hop = |family| view.negotiated.as_ref()?.next_hops.get(family).map(next_hop_text);
    let families = view.families.iter().map(|(of, family)| {
        let name = match of {
            AddressFamily::Ipv4 => "ipv4",
            AddressFamily::Ipv6 => "ipv6",
        };
        (
            name.into(),
            FamilyStatus { next_hop: next_hop(of), announced: family.advertised, pending: family.pending },
        )
    });
    families.collect()
}

fn next_hop_text(next_hop: &RouteNextHop) -> String {
    match next_hop {
        RouteNextHop::V4(address) => address.to_string(),
        RouteNextHop::V6 { address, .. } => address.to_string(),
    }
}

const fn counters(counters: &PeerCounters) -> BgpCounters {
    BgpCounters {
        sent: messages(&counters.sent),
        received: messages(&counters.received),
        prefixes_received: counters.prefixes.accepted,
        malformed: counters.malformed,
        connects: counters.connects,
        established: counters.established,
        adopted: counters.adopted,
        flaps: counters.flaps,
    }
}

const fn messages(messages: &MessageCounters) -> MessageCounts {
    MessageCounts {
        open: messages.open,
        update: messages.update,
        notification: messages.notification,
        keepalive: messages.keepalive,
        route_refresh: messages.route_refresh,
    }
}

/// Returns the name of a state.
pub const fn state(state: BgpState) -> &'static str {
    match state {
        BgpState::Idle => "idle",
        BgpState::Connect => "connect",
        BgpState::Active => "active",
        BgpState::OpenSent => "opensent",
        BgpState::OpenConfirm => "openconfirm",
        BgpState::Established => "established",
    }
}
