//! Routers.

mod password;

pub use password::Password;
pub use password::{SECRET_KEY, SECRET_TYPE};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lb_bgp::value::{Asn, HoldTime, RouterId};

use super::judge::{Judge, Names, takes_name};
use super::profile::BfdProfile;
use crate::address::{self, LINK_LOCAL, LOOPBACK};
use crate::duration;
use crate::node::Node;
use crate::precedence::Precedence;
use lb_api::kind::ObjectKind;
use lb_api::objects::{BgpPeerSpec, LabelSelector, Object, Sourced};
use lb_api::problem::{Problem, Reason};
use password::Secrets;

/// Port of BGP.
const PORT: u16 = 179;
/// MetalLB's schema takes no higher one, so a manifest with one could not go back to it.
const HIGHEST_PORT: u16 = 16_384;

/// A router, and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Namespace of its object.
    pub namespace: String,
    /// Our AS number.
    pub my_asn: Asn,
    /// The AS number that this router is shown instead of ours.
    pub local_asn: Option<Asn>,
    /// The router's AS number.
    pub remote: RemoteAs,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its port.
    pub port: u16,
    /// Our address.
    pub source: Option<IpAddr>,
    /// Hold time; `None`: the speaker's own choice.
    pub hold_time: Option<HoldTime>,
    /// Time between two keepalives; `None`: a third of the hold time.
    pub keepalive: Option<Duration>,
    /// Time between two attempts to connect; `None`: the speaker's own choice.
    pub connect_retry: Option<Duration>,
    /// Our identifier; `None`: the speaker's own choice.
    pub router_id: Option<RouterId>,
    /// Segments are signed with it (RFC 2385).
    pub password: Option<Password>,
    /// How the way to it is watched.
    pub bfd: Option<BfdProfile>,
    /// Whether it keeps routes while the agent is replaced (RFC 4724).
    pub graceful_restart: bool,
    /// Whether there are other routers between.
    pub multihop: bool,
    /// VRF of the node.
    pub vrf: Option<String>,
    /// Whether it is told of both IP versions over one session.
    pub dual_stack: bool,
    node_selectors: Vec<LabelSelector>,
}

/// A router's AS number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Exactly(Asn),
    /// Ours, whichever that is.
    Internal,
    /// Any but ours.
    External,
}

/// Where a router is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// At an address.
    Address(IpAddr),
    /// The only one on an interface, at its link-local address.
    Interface(String),
}

impl Peer {
    /// Whether a node speaks to it.
    pub fn selects_node(&self, node: &Node) -> bool {
        let selectors = &self.node_selectors;
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(&node.labels))
    }

    /// Whether it is at an address of this node's own: a router that runs on a node is a peer of all others.
    pub fn is_at(&self, node: &Node) -> bool {
        matches!(&self.endpoint, Endpoint::Address(address) if node.addresses().contains(address))
    }

    /// What makes it one router and no other: a node has one session with it, whatever the port.
    pub fn router(&self) -> (&Endpoint, Option<&str>) {
        (&self.endpoint, self.vrf.as_deref())
    }

    /// Whether it is told of addresses of this IP version.
    pub fn takes(&self, is_ipv4: bool) -> bool {
        match &self.endpoint {
            Endpoint::Interface(_) => true,
            Endpoint::Address(address) => self.dual_stack || address.is_ipv4() == is_ipv4,
        }
    }
}

/// The peers, and their names in the order of [`Bgp::precedence`](super::Bgp::precedence).
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
        let mut judge = Judge::of(object, problems);
        let name = &written.metadata.name;
        let namespace = object.value.namespace().unwrap_or_default();
        let former = before.get(name).filter(|former| former.namespace == namespace);
        let reader = Reader { namespace, spec: &written.spec, profiles, secrets: &secrets };
        let now = reader.read(&mut judge).filter(|_| judge.sound);
        if let Some(peer) = &now {
            without_effect(&written.spec, peer, &mut judge);
        }
        if let Some(peer) = now.or_else(|| judge.former(former)) {
            let precedence = Precedence::of(former.map(Peer::router), Some(peer.router()));
            precedences.push((precedence, name.clone()));
            peers.insert(name.clone(), peer);
        }
    }
    precedences.sort_by_key(|(precedence, _)| *precedence);
    (peers, precedences.into_iter().map(|(_, name)| name).collect())
}

/// What a peer that counts asks for in vain.
fn without_effect(spec: &BgpPeerSpec, peer: &Peer, judge: &mut Judge<'_>) {
    if spec.disable_mp {
        let why = "a session carries the IP version of its address unless dualStackAddressFamily is true; remove it";
        judge.warn("spec.disableMP", Reason::NoEffect { why });
    }
    let is_one_ipv4_hop = !peer.multihop && matches!(peer.endpoint, Endpoint::Address(IpAddr::V4(_)));
    if peer.bfd.is_some_and(|bfd| bfd.echo.is_some()) && !is_one_ipv4_hop {
        let why = "the profile's echoMode is for IPv4 over one hop; this session sends no echoes. Use a profile without it";
        judge.warn("spec.bfdProfile", Reason::NoEffect { why });
    }
}

struct Reader<'a> {
    namespace: &'a str,
    spec: &'a BgpPeerSpec,
    profiles: &'a BTreeMap<String, BfdProfile>,
    secrets: &'a Secrets<'a>,
}

impl Reader<'_> {
    /// The peer; `None`, or an unsound judge, if anything is wrong with it. Everything is looked at, so that all
    /// that is wrong is told at once.
    fn read(&self, judge: &mut Judge<'_>) -> Option<Peer> {
        let spec = self.spec;
        judge.lists();
        let my_asn = judge.value("spec.myASN", asn(spec.my_asn));
        let local_asn = spec.local_asn.map(|number| judge.value("spec.localASN", asn(number)));
        let remote = self.remote(my_asn, judge);
        let endpoint = self.endpoint(judge);
        let port = self.port(judge);
        let source = self.source(judge);
        let hold_time = self.hold_time(judge);
        let keepalive = self.keepalive(hold_time, judge);
        let connect_retry = self.connect_retry(judge);
        let router_id = self.router_id(judge);
        let password = self.secrets.password(spec, judge);
        let bfd = self.bfd(judge);
        Some(Peer {
            namespace: self.namespace.to_owned(),
            my_asn: my_asn?,
            local_asn: local_asn.flatten(),
            remote: remote?,
            endpoint: endpoint?,
            port,
            source,
            // Whoever writes only how often keepalives go has chosen the hold time with it.
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

    fn remote(&self, my_asn: Option<Asn>, judge: &mut Judge<'_>) -> Option<RemoteAs> {
        let dynamic = self.spec.dynamic_asn.as_deref().filter(|dynamic| !dynamic.is_empty());
        match (self.spec.peer_asn.filter(|number| *number != 0), dynamic) {
            (Some(_), Some(_)) => {
                judge.refuse("spec.dynamicASN", Reason::Excludes { other: "spec.peerASN" });
                None
            }
            (None, None) => {
                judge.refuse("spec.peerASN", Reason::OneOf { fields: "peerASN, dynamicASN" });
                None
            }
            (Some(number), None) => {
                let number = judge.value("spec.peerASN", asn(number))?;
                if self.spec.ebgp_multi_hop && Some(number) == my_asn {
                    judge.refuse("spec.ebgpMultiHop", Reason::MultihopInternal);
                }
                Some(RemoteAs::Exactly(number))
            }
            (None, Some("internal")) => Some(RemoteAs::Internal),
            (None, Some("external")) => Some(RemoteAs::External),
            (None, Some(written)) => {
                let reason =
                    Reason::UnknownValue { written: written.to_owned(), allowed: "internal, external" };
                judge.refuse("spec.dynamicASN", reason);
                None
            }
        }
    }

    fn endpoint(&self, judge: &mut Judge<'_>) -> Option<Endpoint> {
        let address = self.spec.peer_address.as_deref().filter(|address| !address.is_empty());
        let interface = self.spec.interface.as_deref().filter(|interface| !interface.is_empty());
        match (address, interface) {
            (Some(_), Some(_)) => {
                judge.refuse("spec.interface", Reason::Excludes { other: "spec.peerAddress" });
                None
            }
            (None, None) => {
                judge.refuse("spec.peerAddress", Reason::OneOf { fields: "peerAddress, interface" });
                None
            }
            (Some(written), None) => judge.value("spec.peerAddress", router(written)).map(Endpoint::Address),
            (None, Some(name)) => Some(Endpoint::Interface(name.to_owned())),
        }
    }

    fn port(&self, judge: &mut Judge<'_>) -> u16 {
        match self.spec.peer_port {
            None | Some(0) => PORT,
            Some(port) if port <= HIGHEST_PORT => port,
            Some(port) => {
                let reason = Reason::OutOfRange { written: port.to_string(), allowed: "1 to 16384" };
                judge.refuse("spec.peerPort", reason);
                PORT
            }
        }
    }

    fn source(&self, judge: &mut Judge<'_>) -> Option<IpAddr> {
        let written = self.spec.source_address.as_deref().filter(|written| !written.is_empty())?;
        let source = judge.value("spec.sourceAddress", machine(written))?;
        let router = self.spec.peer_address.as_deref().and_then(|router| router.parse::<IpAddr>().ok());
        if router.is_some_and(|router| router.is_ipv4() != source.is_ipv4()) {
            judge.refuse("spec.sourceAddress", Reason::SourceFamily { written: written.to_owned() });
        }
        Some(source)
    }

    fn hold_time(&self, judge: &mut Judge<'_>) -> Option<HoldTime> {
        let time = judge.value("spec.holdTime", parse(self.spec.hold_time.as_deref()))??;
        // The protocol has whole seconds: a part of one is left out, as MetalLB does, but does not become a zero.
        let whole = u16::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0 || time.is_zero());
        let hold_time = whole.and_then(HoldTime::new).ok_or_else(|| Reason::OutOfRange {
            written: self.spec.hold_time.clone().unwrap_or_default(),
            allowed: "0s, or 3s to 65535s",
        });
        judge.value("spec.holdTime", hold_time)
    }

    fn keepalive(&self, hold_time: Option<HoldTime>, judge: &mut Judge<'_>) -> Option<Duration> {
        let time = judge.value("spec.keepaliveTime", parse(self.spec.keepalive_time.as_deref()))??;
        let written = || self.spec.keepalive_time.clone().unwrap_or_default();
        // A hold time counts as it is written here, with its part of a second.
        let longest = self.spec.hold_time.as_deref().and_then(duration::parse);
        let is_too_long = match hold_time.and(longest) {
            Some(longest) => time > longest,
            None => three_times(time).is_none(),
        };
        if is_too_long {
            let reason = Reason::OutOfRange { written: written(), allowed: "no longer than holdTime" };
            judge.refuse("spec.keepaliveTime", reason);
        }
        let longest = hold_time.and_then(HoldTime::duration).unwrap_or(time);
        (!time.is_zero()).then_some(time.min(longest))
    }

    fn connect_retry(&self, judge: &mut Judge<'_>) -> Option<Duration> {
        let time = judge.value("spec.connectTime", parse(self.spec.connect_time.as_deref()))??;
        if time.subsec_nanos() != 0 || !(1..=65_535).contains(&time.as_secs()) {
            let written = self.spec.connect_time.clone().unwrap_or_default();
            let reason = Reason::OutOfRange { written, allowed: "1s to 65535s, in whole seconds" };
            judge.refuse("spec.connectTime", reason);
        }
        Some(time)
    }

    fn router_id(&self, judge: &mut Judge<'_>) -> Option<RouterId> {
        let written = self.spec.router_id.as_deref().filter(|written| !written.is_empty())?;
        let id = written.parse::<Ipv4Addr>().ok().and_then(RouterId::new);
        let reason =
            Reason::OutOfRange { written: written.to_owned(), allowed: "an IPv4 address other than 0.0.0.0" };
        judge.value("spec.routerID", id.ok_or(reason))
    }

    /// A peer whose profile is not there is not spoken to: its way would not be watched as it shall be.
    fn bfd(&self, judge: &mut Judge<'_>) -> Option<BfdProfile> {
        let name = self.spec.bfd_profile.as_deref().filter(|name| !name.is_empty())?;
        let unknown =
            || Reason::UnknownReference { kind: ObjectKind::BFD_PROFILE.name, name: name.to_owned() };
        judge.value("spec.bfdProfile", self.profiles.get(name).copied().ok_or_else(unknown))
    }
}

fn asn(number: u32) -> Result<Asn, Reason> {
    Asn::new(number)
        .ok_or_else(|| Reason::OutOfRange { written: number.to_string(), allowed: "1 to 4294967295" })
}

/// An address that a machine can have.
fn machine(written: &str) -> Result<IpAddr, Reason> {
    let address: IpAddr =
        written.parse().map_err(|_| Reason::NotAnAddress { written: written.to_owned() })?;
    match address::special(address, address) {
        // A router may run on the node itself.
        None | Some((_, LOOPBACK)) => Ok(address),
        Some((address, what)) => Err(Reason::SpecialAddress { address, what }),
    }
}

/// An address that a router can be reached at from wherever the node is.
fn router(written: &str) -> Result<IpAddr, Reason> {
    match machine(written) {
        Err(Reason::SpecialAddress { address, what: LINK_LOCAL }) => {
            Err(Reason::LinkLocalWithoutInterface { address })
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
