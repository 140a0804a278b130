//! Views of a router's sessions and routes, in terms that all four share.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::lab::addresses::IpVersion;

/// A BGP session as a router sees it. Negotiated values are empty or zero until it is established.
#[derive(Clone, Debug, Default)]
pub struct BgpSessionView {
    /// Whether it is in state Established.
    pub established: bool,
    /// The peer's autonomous system.
    pub asn: u32,
    /// The peer's BGP identifier, if the router prints it: ExaBGP does not.
    pub router_id: Option<Ipv4Addr>,
    /// Negotiated hold time.
    pub hold_time: Duration,
    /// Families that both sides have announced.
    pub families: BTreeSet<IpVersion>,
    /// The peer's capabilities.
    pub capabilities: BTreeSet<Capability>,
    /// The peer's restart time (RFC 4724), if the router prints it: GoBGP does not.
    pub restart_time: Option<Duration>,
}

/// A capability (RFC 5492) that a peer has announced, other than its families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// RFC 2918.
    RouteRefresh,
    /// RFC 7313.
    EnhancedRouteRefresh,
    /// RFC 6793.
    FourOctetAsn,
    /// RFC 4724.
    GracefulRestart,
    /// RFC 9494.
    LongLivedGracefulRestart,
    /// RFC 8654.
    ExtendedMessage,
    /// RFC 8950.
    ExtendedNextHop,
    /// RFC 7911.
    AddPath,
    /// draft-walton-bgp-hostname-capability.
    HostName,
}

/// A path to a prefix as a router sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteView {
    /// The peer that it came from; `None` for the router's own.
    pub from: Option<IpAddr>,
    /// Its next hops: two in IPv6 if there is a link-local one.
    pub next_hops: Vec<IpAddr>,
    /// The AS path, the nearest first.
    pub as_path: Vec<u32>,
    /// `IGP`, `EGP` or `incomplete`.
    pub origin: RouteOrigin,
    /// Multi-exit discriminator.
    pub med: Option<u32>,
    /// Local preference. Routers show their default for paths from external peers, or nothing.
    pub local_pref: Option<u32>,
    /// Communities (RFC 1997), sorted.
    pub communities: BTreeSet<(u16, u16)>,
    /// Large communities (RFC 8092), sorted.
    pub large_communities: BTreeSet<(u32, u32, u32)>,
}

/// The origin of a path (RFC 4271 5.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteOrigin {
    /// Interior to its autonomous system.
    Igp,
    /// Learnt by EGP.
    Egp,
    /// Learnt by other means.
    #[default]
    Incomplete,
}

/// A BFD session as a router sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdSessionView {
    /// Whether it is in state Up.
    pub up: bool,
    /// Negotiated transmit interval of this router.
    pub transmit: Duration,
    /// Detection time.
    pub detection: Duration,
    /// Whether it is a multihop session (RFC 5883), if the router prints it: BIRD does not.
    pub multihop: Option<bool>,
}

impl RouteOrigin {
    /// Parses any notation of routers: `IGP`, `i`, `igp`, `0`.
    pub(super) fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "igp" | "i" | "0" => Self::Igp,
            "egp" | "e" | "1" => Self::Egp,
            _ => Self::Incomplete,
        }
    }
}

/// Parses numbers between any other characters: `(64512, 1)`, `64512:1`.
pub(super) fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split(|character: char| !character.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// Routers' names of 65535:0 (RFC 8326).
const GRACEFUL_SHUTDOWN: [&str; 3] = ["graceful-shutdown", "gracefulShutdown", "planned-shut"];

/// Parses all communities in a text, in any notation.
pub(super) fn communities(text: &str) -> BTreeSet<(u16, u16)> {
    let text = GRACEFUL_SHUTDOWN.iter().fold(text.to_owned(), |text, name| text.replace(name, "65535:0"));
    numbers(&text).chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Parses all large communities in a text, in any notation.
pub(super) fn large_communities(text: &str) -> BTreeSet<(u32, u32, u32)> {
    numbers(text).chunks_exact(3).map(|triple| (triple[0], triple[1], triple[2])).collect()
}

#[cfg(test)]
mod tests {
    use super::{communities, large_communities};

    #[test]
    fn communities_are_parsed_in_every_routers_notation() {
        assert_eq!(communities("(64512,1) (64512,2)"), [(64512, 1), (64512, 2)].into());
        assert_eq!(communities("64512:1 64512:2"), [(64512, 1), (64512, 2)].into());
        assert_eq!(communities("64512:1 graceful-shutdown"), [(64512, 1), (65535, 0)].into());
        assert_eq!(large_communities("(4200000000, 1, 4)"), [(4_200_000_000, 1, 4)].into());
        assert_eq!(large_communities("[[4200000000,1,4]]"), [(4_200_000_000, 1, 4)].into());
    }
}
