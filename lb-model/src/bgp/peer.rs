//! BGP peers.

mod password;

pub use password::Password;
pub use password::{SECRET_KEY, SECRET_TYPE};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lb_bgp::value::{Asn, HoldTime, RouterId};

use super::check::{Names, ObjectCheck, takes_name};
use super::profile::BfdProfile;
use crate::address::{self, LINK_LOCAL, LOOPBACK};
use crate::duration;
use crate::node::Node;
use crate::precedence::Precedence;
use lb_api::kind::ObjectKind;
use lb_api::objects::{BgpPeerSpec, LabelSelector, Object, Sourced};
use lb_api::problem::{BgpReason, Problem, Reason};
use password::Secrets;

/// The BGP port.
const PORT: u16 = 179;
/// The limit of MetalLB's schema: a manifest with a higher port could not go back to MetalLB.
const HIGHEST_PORT: u16 = 16_384;

/// A BGP peer and its session parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Namespace of its object.
    pub namespace: String,
    /// Our AS number.
    pub my_asn: Asn,
    /// The AS number that this peer sees instead of ours.
    pub local_asn: Option<Asn>,
    /// The peer's AS number.
    pub remote: RemoteAs,
    /// The peer's address or interface.
    pub endpoint: PeerEndpoint,
    /// The peer's port.
    pub port: u16,
    /// Our source address.
    pub source: Option<IpAddr>,
    /// Hold time; `None`: the BGP implementation's default.
    pub hold_time: Option<HoldTime>,
    /// Time between two keepalives; `None`: a third of the hold time.
    pub keepalive: Option<Duration>,
    /// Time between two attempts to connect; `None`: the BGP implementation's default.
    pub connect_retry: Option<Duration>,
    /// Our BGP identifier; `None`: chosen by the BGP implementation.
    pub router_id: Option<RouterId>,
    /// TCP-MD5 password (RFC 2385).
    pub password: Option<Password>,
    /// The BFD session with it, if any.
    pub bfd: Option<BfdProfile>,
    /// Whether it keeps routes while the agent is replaced (RFC 4724).
    pub graceful_restart: bool,
    /// Whether it is several hops away.
    pub multihop: bool,
    /// VRF of the node.
    pub vrf: Option<String>,
    /// Whether one session carries both families.
    pub dual_stack: bool,
    node_selectors: Vec<LabelSelector>,
}

/// The AS number of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Exactly(Asn),
    /// Our own, whichever that is.
    Internal,
    /// Any but ours.
    External,
}

/// The address or interface of a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerEndpoint {
    /// At an address.
    Address(IpAddr),
    /// The only router on an interface, at its link-local address.
    Interface(String),
}

impl Peer {
    /// Returns whether a node has a session with it.
    pub fn selects_node(&self, node: &Node) -> bool {
        let selectors = &self.node_selectors;
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(&node.labels))
    }

    /// Returns whether it has an address of this node: a router that runs on a node is a peer of all other
    /// nodes.
    pub fn is_at(&self, node: &Node) -> bool {
        matches!(&self.endpoint, PeerEndpoint::Address(address) if node.addresses().contains(address))
    }

    /// Returns its identity as a BGP speaker: a node has one session with it, whatever the port.
    pub fn router(&self) -> (&PeerEndpoint, Option<&str>) {
        (&self.endpoint, self.vrf.as_deref())
    }

    /// Returns whether routes of this family are advertised to it.
    pub fn takes(&self, is_ipv4: bool) -> bool {
        match &self.endpoint {
            PeerEndpoint::Interface(_) => true,
            PeerEndpoint::Address(address) => self.dual_stack || address.is_ipv4() == is_ipv4,
        }
    }
}

/// Builds the peers, and their names in the order of [`Bgp::precedence`](crate::Bgp::precedence).
pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>> + Clone,
    profiles: &BTreeMap<String, BfdProfile>,
    before: &BTreeMap<String, Peer>,
    problems: &mut Vec<Problem>,
) -> (BTreeMap<String, Peer>, Vec<String>) {
    let secrets = Secrets::of(objects.clone());
    let mut names = Names::new();
    let mut peers = BTreeMap::new();
    let mut precedences = Vec::new();
    for object in objects {
        let Object::BgpPeer(written) = &object.value else { continue };
        if !takes_name(object, &mut names, problems) {
            continue;
        }
        let mut check = ObjectCheck::of(object, problems);
        let name = &written.metadata.name;
        let namespace = object.value.namespace().unwrap_or_default();
        let former = before.get(name).filter(|former| former.namespace == namespace);
        let reader = PeerReader { namespace, spec: &written.spec, profiles, secrets: &secrets };
        let now = reader.read(&mut check).filter(|_| check.sound);
        if let Some(peer) = &now {
            without_effect(&written.spec, peer, &mut check);
        }
        if let Some(peer) = now.or_else(|| check.former(former)) {
            let precedence = Precedence::of(former.map(Peer::router), Some(peer.router()));
            precedences.push((precedence, name.clone()));
            peers.insert(name.clone(), peer);
        }
    }
    precedences.sort_by_key(|(precedence, _)| *precedence);
    (peers, precedences.into_iter().map(|(_, name)| name).collect())
}

/// Warns of settings without effect in a valid peer.
fn without_effect(spec: &BgpPeerSpec, peer: &Peer, check: &mut ObjectCheck<'_>) {
    if spec.disable_mp {
        let why = "a session carries the IP version of its address unless dualStackAddressFamily is true; remove it";
        check.warn("spec.disableMP", Reason::NoEffect { why });
    }
    let is_one_ipv4_hop = !peer.multihop && matches!(peer.endpoint, PeerEndpoint::Address(IpAddr::V4(_)));
    if peer.bfd.is_some_and(|bfd| bfd.echo.is_some()) && !is_one_ipv4_hop {
        let why = "the profile's echoMode is for IPv4 over one hop; this session sends no echoes. Use a profile without it";
        check.warn("spec.bfdProfile", Reason::NoEffect { why });
    }
}

struct PeerReader<'a> {
    namespace: &'a str,
    spec: &'a BgpPeerSpec,
    profiles: &'a BTreeMap<String, BfdProfile>,
    secrets: &'a Secrets<'a>,
}

impl PeerReader<'_> {
    /// Reads the peer; `None`, or a check that is not sound, if it is invalid. All fields are checked, so
    /// that all problems are reported at once.
    fn read(&self, check: &mut ObjectCheck<'_>) -> Option<Peer> {
        let spec = self.spec;
        check.lists();
        let my_asn = check.value("spec.myASN", asn(spec.my_asn));
        let local_asn = spec.local_asn.map(|number| check.value("spec.localASN", asn(number)));
        let remote = self.remote(my_asn, check);
        let endpoint = self.endpoint(check);
        let port = self.port(check);
        let source = self.source(check);
        let hold_time = self.hold_time(check);
        let keepalive = self.keepalive(hold_time, check);
        let connect_retry = self.connect_retry(check);
        let router_id = self.router_id(check);
        let password = self.secrets.password(spec, check);
        let bfd = self.bfd(check);
        Some(Peer {
            namespace: self.namespace.to_owned(),
            my_asn: my_asn?,
            local_asn: local_asn.flatten(),
            remote: remote?,
            endpoint: endpoint?,
            port,
            source,
            // A keepalive time alone implies a hold time.
            hold_time: hold_time.or_else(|| three_times(keepalive?)),
            keepalive,
            connect_retry,
            router_id,
            password,
            bfd,
            graceful_restart: spec.enable_graceful_restart,
            multihop: spec.ebgp_multi_hop,
            vrf: spec.vrf.clone().filter(|vrf| !vrf.is_empty()),
            dual_stack: spec.dual_stack_address_family,
            node_selectors: spec.node_selectors.clone(),
        })
    }

    fn remote(&self, my_asn: Option<Asn>, check: &mut ObjectCheck<'_>) -> Option<RemoteAs> {
        let dynamic = self.spec.dynamic_asn.as_deref().filter(|dynamic| !dynamic.is_empty());
        match (self.spec.peer_asn.filter(|number| *number != 0), dynamic) {
            (Some(_), Some(_)) => {
                check.refuse("spec.dynamicASN", Reason::Excludes { other: "spec.peerASN" });
                None
            }
            (None, None) => {
                check.refuse("spec.peerASN", Reason::OneOf { fields: "peerASN, dynamicASN" });
                None
            }
            (Some(number), None) => {
                let number = check.value("spec.peerASN", asn(number))?;
                if self.spec.ebgp_multi_hop && Some(number) == my_asn {
                    check.refuse("spec.ebgpMultiHop", BgpReason::MultihopInternal);
                }
                Some(RemoteAs::Exactly(number))
            }
            (None, Some("internal")) => Some(RemoteAs::Internal),
            (None, Some("external")) => Some(RemoteAs::External),
            (None, Some(written)) => {
                let reason =
                    Reason::UnknownValue { written: written.to_owned(), allowed: "internal, external" };
                check.refuse("spec.dynamicASN", reason);
                None
            }
        }
    }

    fn endpoint(&self, check: &mut ObjectCheck<'_>) -> Option<PeerEndpoint> {
        let address = self.spec.peer_address.as_deref().filter(|address| !address.is_empty());
        let interface = self.spec.interface.as_deref().filter(|interface| !interface.is_empty());
        match (address, interface) {
            (Some(_), Some(_)) => {
                check.refuse("spec.interface", Reason::Excludes { other: "spec.peerAddress" });
                None
            }
            (None, None) => {
                check.refuse("spec.peerAddress", Reason::OneOf { fields: "peerAddress, interface" });
                None
            }
            (Some(written), None) => {
                check.value("spec.peerAddress", router(written)).map(PeerEndpoint::Address)
            }
            (None, Some(name)) => Some(PeerEndpoint::Interface(name.to_owned())),
        }
    }

    fn port(&self, check: &mut ObjectCheck<'_>) -> u16 {
        match self.spec.peer_port {
            None | Some(0) => PORT,
            Some(port) if port <= HIGHEST_PORT => port,
            Some(port) => {
                let reason = Reason::OutOfRange { written: port.to_string(), allowed: "1 to 16384" };
                check.refuse("spec.peerPort", reason);
                PORT
            }
        }
    }

    fn source(&self, check: &mut ObjectCheck<'_>) -> Option<IpAddr> {
        let written = self.spec.source_address.as_deref().filter(|written| !written.is_empty())?;
        let source = check.value("spec.sourceAddress", machine(written))?;
        let router = self.spec.peer_address.as_deref().and_then(|router| router.parse::<IpAddr>().ok());
        if router.is_some_and(|router| router.is_ipv4() != source.is_ipv4()) {
            check.refuse("spec.sourceAddress", BgpReason::SourceFamily { written: written.to_owned() });
        }
        Some(source)
    }

    fn hold_time(&self, check: &mut ObjectCheck<'_>) -> Option<HoldTime> {
        let time = check.value("spec.holdTime", parse(self.spec.hold_time.as_deref()))??;
        // The protocol has whole seconds: fractions are dropped, as MetalLB does, but never yield zero.
        let whole = u16::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0 || time.is_zero());
        let hold_time = whole.and_then(HoldTime::new).ok_or_else(|| Reason::OutOfRange {
            written: self.spec.hold_time.clone().unwrap_or_default(),
            allowed: "0s, or 3s to 65535s",
        });
        check.value("spec.holdTime", hold_time)
    }

    fn keepalive(&self, hold_time: Option<HoldTime>, check: &mut ObjectCheck<'_>) -> Option<Duration> {
        let time = check.value("spec.keepaliveTime", parse(self.spec.keepalive_time.as_deref()))??;
        let written = || self.spec.keepalive_time.clone().unwrap_or_default();
        // The written hold time counts here, including its fraction.
        let longest = self.spec.hold_time.as_deref().and_then(duration::parse);
        let is_too_long = match hold_time.and(longest) {
            Some(longest) => time > longest,
            None => three_times(time).is_none(),
        };
        if is_too_long {
            let reason = Reason::OutOfRange { written: written(), allowed: "no longer than holdTime" };
            check.refuse("spec.keepaliveTime", reason);
        }
        let longest = hold_time.and_then(HoldTime::duration).unwrap_or(time);
        (!time.is_zero()).then_some(time.min(longest))
    }

    fn connect_retry(&self, check: &mut ObjectCheck<'_>) -> Option<Duration> {
        let time = check.value("spec.connectTime", parse(self.spec.connect_time.as_deref()))??;
        if time.subsec_nanos() != 0 || !(1..=65_535).contains(&time.as_secs()) {
            let written = self.spec.connect_time.clone().unwrap_or_default();
            let reason = Reason::OutOfRange { written, allowed: "1s to 65535s, in whole seconds" };
            check.refuse("spec.connectTime", reason);
        }
        Some(time)
    }

    fn router_id(&self, check: &mut ObjectCheck<'_>) -> Option<RouterId> {
        let written = self.spec.router_id.as_deref().filter(|written| !written.is_empty())?;
        let id = written.parse::<Ipv4Addr>().ok().and_then(RouterId::new);
        let reason =
            Reason::OutOfRange { written: written.to_owned(), allowed: "an IPv4 address other than 0.0.0.0" };
        check.value("spec.routerID", id.ok_or(reason))
    }

    /// A peer whose profile does not exist gets no session: it would run without the requested BFD.
    fn bfd(&self, check: &mut ObjectCheck<'_>) -> Option<BfdProfile> {
        let name = self.spec.bfd_profile.as_deref().filter(|name| !name.is_empty())?;
        let unknown =
            || Reason::UnknownReference { kind: ObjectKind::BFD_PROFILE.name, name: name.to_owned() };
        check.value("spec.bfdProfile", self.profiles.get(name).copied().ok_or_else(unknown))
    }
}

fn asn(number: u32) -> Result<Asn, Reason> {
    Asn::new(number)
        .ok_or_else(|| Reason::OutOfRange { written: number.to_string(), allowed: "1 to 4294967295" })
}

/// Parses an address that a host can have.
fn machine(written: &str) -> Result<IpAddr, Reason> {
    let address: IpAddr =
        written.parse().map_err(|_| Reason::NotAnAddress { written: written.to_owned() })?;
    match address::special(address, address) {
        // A router may run on the node itself.
        None | Some((_, LOOPBACK)) => Ok(address),
        Some((address, what)) => Err(Reason::SpecialAddress { address, what }),
    }
}

/// Parses an address that a router can be reached at from any node.
fn router(written: &str) -> Result<IpAddr, Reason> {
    match machine(written) {
        Err(Reason::SpecialAddress { address, what: LINK_LOCAL }) => {
            Err(BgpReason::LinkLocalWithoutInterface { address }.into())
        }
        machine => machine,
    }
}

fn parse(written: Option<&str>) -> Result<Option<Duration>, Reason> {
    let Some(written) = written else { return Ok(None) };
    duration::parse(written).map(Some).ok_or_else(|| Reason::NotADuration { written: written.to_owned() })
}

fn three_times(keepalive: Duration) -> Option<HoldTime> {
    let seconds = keepalive.checked_mul(3)?.as_secs_f64().ceil();
    if seconds > f64::from(u16::MAX) { None } else { HoldTime::new((seconds as u16).max(3)) }
}
