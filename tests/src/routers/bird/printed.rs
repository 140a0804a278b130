//! A parser for the output of `birdc`, by the beginnings of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::lab::addresses::IpVersion;
use crate::routers::view::{self, BfdSessionView, BgpSessionView, Capability, RouteOrigin, RouteView};

/// BIRD's names of capabilities.
const CAPABILITIES: [(&str, Capability); 9] = [
    ("Route refresh", Capability::RouteRefresh),
    ("Enhanced refresh", Capability::EnhancedRouteRefresh),
    ("4-octet AS numbers", Capability::FourOctetAsn),
    ("Graceful restart", Capability::GracefulRestart),
    ("Long-lived graceful restart", Capability::LongLivedGracefulRestart),
    ("Extended message", Capability::ExtendedMessage),
    ("Extended next hop", Capability::ExtendedNextHop),
    ("ADD-PATH", Capability::AddPath),
    ("Hostname", Capability::HostName),
];

/// Parses the BGP sessions in `show protocols all`, by the peer's address. Templates of dynamic peers, whose
/// neighbor is a range, are not sessions.
pub(super) fn sessions(printed: &str) -> BTreeMap<String, BgpSessionView> {
    blocks(printed).into_iter().filter_map(session).collect()
}

/// Parses the paths in `show route all PREFIX`.
pub(super) fn routes(printed: &str) -> Vec<RouteView> {
    let mut routes: Vec<RouteView> = Vec::new();
    for line in printed.lines() {
        if !line.starts_with('\t') {
            // A path begins with its source in brackets; other such lines are headings.
            if let Some((_, source)) = line.split_once('[') {
                routes.push(RouteView { from: after(source, "from "), ..RouteView::default() });
            }
        } else if let Some(route) = routes.last_mut() {
            read_attribute(route, line.trim());
        }
    }
    routes
}

/// Parses the sessions in `show bfd sessions`.
pub(super) fn bfd_sessions(printed: &str) -> BTreeMap<IpAddr, BfdSessionView> {
    printed.lines().filter_map(bfd_session).collect()
}

/// Splits the output into protocols, which are separated by empty lines.
fn blocks(printed: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = printed.lines().collect();
    lines.split(|line| line.trim().is_empty()).map(<[&str]>::to_vec).collect()
}

fn session(block: Vec<&str>) -> Option<(String, BgpSessionView)> {
    let value = |name: &str| block.iter().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let peer = value("Neighbor address:")?;
    // `fe80::1%eth0` is identified by its interface, as everywhere else.
    let name = peer.split_once('%').map_or(peer, |(_, interface)| interface);
    let established = value("BGP state:")? == "Established";
    let hold = value("Hold timer:").and_then(|timer| timer.split_once('/')?.1.parse().ok());
    let offered = capabilities_of_peer(&block);
    let capabilities = CAPABILITIES.into_iter().filter(|(name, _)| has(&offered, name));
    let restart = offered.iter().find_map(|line| line.trim().strip_prefix("Restart time:"));
    let session = BgpSessionView {
        established,
        asn: value("Neighbor AS:")?.parse().ok()?,
        router_id: value("Neighbor ID:").and_then(|id| id.parse().ok()),
        hold_time: Duration::from_secs(hold.unwrap_or_default()),
        families: if established { open_channels(&block) } else { BTreeSet::new() },
        capabilities: capabilities.map(|(_, capability)| capability).collect(),
        restart_time: restart.and_then(|time| time.trim().parse().ok()).map(Duration::from_secs),
    };
    // A range such as 10.1.0.0/24 is a template of peers, not a peer.
    (!name.contains('/')).then(|| (name.to_owned(), session))
}

fn has(offered: &[&str], name: &str) -> bool {
    let is_it = |rest: &str| rest.is_empty() || rest.starts_with(':');
    offered.iter().any(|line| line.trim().strip_prefix(name).is_some_and(is_it))
}

/// Returns the lines under `Neighbor capabilities`, which are indented deeper than the heading.
fn capabilities_of_peer<'a>(block: &[&'a str]) -> Vec<&'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let after = block.iter().skip_while(|line| line.trim() != "Neighbor capabilities");
    let mut lines = after.copied();
    let Some(heading) = lines.next() else { return Vec::new() };
    lines.take_while(|line| depth(line) > depth(heading)).collect()
}

/// Returns the families whose channel is up: BIRD shuts those that the peer has not announced.
fn open_channels(block: &[&str]) -> BTreeSet<IpVersion> {
    let mut families = BTreeSet::new();
    let mut channel = None;
    for line in block.iter().map(|line| line.trim()) {
        match line {
            "Channel ipv4" => channel = Some(IpVersion::V4),
            "Channel ipv6" => channel = Some(IpVersion::V6),
            _ if line.starts_with("State:") && line.ends_with("UP") => families.extend(channel),
            _ => {}
        }
    }
    families
}

fn read_attribute(route: &mut RouteView, line: &str) {
    let Some((name, value)) = line.split_once(' ') else { return };
    match name.trim_end_matches(':') {
        "BGP.origin" => route.origin = RouteOrigin::parse(value),
        "BGP.as_path" => route.as_path = view::numbers(value),
        "BGP.next_hop" => {
            route.next_hops = value.split(' ').filter_map(|hop| hop.parse().ok()).collect();
            // A peer that is itself the next hop is not printed again. The router's own routes have none.
            route.from = route.from.or(route.next_hops.first().copied());
        }
        "BGP.med" => route.med = value.parse().ok(),
        "BGP.local_pref" => route.local_pref = value.parse().ok(),
        "BGP.community" => route.communities = view::communities(value),
        "BGP.large_community" => route.large_communities = view::large_communities(value),
        _ => {}
    }
}

/// Parses `10.1.0.11  eth0  Up  2026-11-21 05:08:21.552  0.050  0.150`; only the ends of the line are fixed.
fn bfd_session(line: &str) -> Option<(IpAddr, BfdSessionView)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (address, state) = (words.first()?.parse().ok()?, *words.get(2)?);
    let seconds = |from_end: usize| {
        let word = words.get(words.len().checked_sub(from_end)?)?;
        Duration::try_from_secs_f64(word.parse().ok()?).ok()
    };
    let session =
        BfdSessionView { up: state == "Up", transmit: seconds(2)?, detection: seconds(1)?, multihop: None };
    Some((address, session))
}

/// Returns the word that follows `mark`, up to a space or a bracket.
fn after<T: std::str::FromStr>(text: &str, mark: &str) -> Option<T> {
    text.split_once(mark)?.1.split([' ', ']', ')']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bfd_sessions, routes, sessions};
    use crate::lab::addresses::IpVersion;
    use crate::routers::view::{Capability, RouteOrigin};

    const PROTOCOLS: &str = "\
BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     05:08:19.991

tor4       BGP        ---        up     05:08:20.058  Established
  BGP state:          Established
    Neighbor address: 10.1.0.1
    Neighbor AS:      4200000000
    Local AS:         4200000001
    Local capabilities
      Multiprotocol
        AF announced: ipv4
      Long-lived graceful restart
    Neighbor capabilities
      Multiprotocol
        AF announced: ipv4
      Route refresh
      Graceful restart
        Restart time: 120
      4-octet AS numbers
      Hostname: vm
    Session:          external AS4
    Hold timer:       7.614/9
  Channel ipv4
    State:          UP
  Channel ipv6
    State:          DOWN

dyn        BGP        ---        start  05:08:20.058  Passive
  BGP state:          Passive
    Neighbor range:   10.2.0.0/24
    Neighbor AS:      65001

away       BGP        ---        start  05:08:20.058  Active        Socket: Connection refused
  BGP state:          Active
    Neighbor address: fd00:1::1
    Neighbor AS:      65001
";

    #[test]
    fn sessions_are_parsed() {
        let sessions = sessions(PROTOCOLS);
        assert_eq!(sessions.keys().collect::<Vec<_>>(), ["10.1.0.1", "fd00:1::1"]);
        let up = &sessions["10.1.0.1"];
        assert!(up.established && !sessions["fd00:1::1"].established);
        assert_eq!((up.asn, up.hold_time), (4_200_000_000, Duration::from_secs(9)));
        assert_eq!(up.families, [IpVersion::V4].into());
        assert_eq!(up.restart_time, Some(Duration::from_secs(120)));
        let expected = [
            Capability::RouteRefresh,
            Capability::FourOctetAsn,
            Capability::GracefulRestart,
            Capability::HostName,
        ];
        assert_eq!(up.capabilities, expected.into(), "the peer's capabilities, not BIRD's own");
    }

    #[test]
    fn routes_are_parsed() {
        let printed = "BIRD 2.0.12 ready.\nTable master6:\n\
            2001:db8:113::10/128 blackhole [vip6 05:08:19.991] * (200)\n\
            \tType: static univ\n\tBGP.large_community: (4200000000, 1, 1)\n                     \
            unicast [tor6 05:08:24.422 from fd77::1] (100) [AS4200000004i]\n\tvia fd77::14 on eth0\n\
            \tType: BGP univ\n\tBGP.origin: IGP\n\tBGP.as_path: 4200000000 4200000004\n\
            \tBGP.next_hop: fd77::14 fe80::b402\n\tBGP.local_pref: 100\n\tBGP.community: (64512,1) (64512,2)\n";
        let routes = routes(printed);
        assert_eq!(routes.len(), 2);
        assert_eq!(routes[0].from, None);
        assert_eq!(routes[0].large_communities, [(4_200_000_000, 1, 1)].into());
        assert_eq!(routes[1].from, "fd77::1".parse().ok());
        assert_eq!(routes[1].as_path, [4_200_000_000, 4_200_000_004]);
        assert_eq!((routes[1].origin, routes[1].local_pref), (RouteOrigin::Igp, Some(100)));
        assert_eq!((routes[1].next_hops.len(), routes[1].communities.len()), (2, 2));
        let direct =
            super::routes("1.0.0.0/8 unicast [b0 05:08:24] (100) [AS1i]\n\tBGP.next_hop: 10.1.0.1\n");
        assert_eq!(direct[0].from, "10.1.0.1".parse().ok());
    }

    #[test]
    fn bfd_sessions_are_parsed_and_headings_ignored() {
        let printed = "BIRD 2.0.12 ready.\nbfd1:\n\
            IP address                Interface  State      Since         Interval  Timeout\n\
            fd77::1                   eth0       Up         2026-11-21 05:08:22.055907    0.050    0.150\n\
            10.77.0.1                 eth0       Down       05:08:21.552    0.200    0.000\n";
        let sessions = bfd_sessions(printed);
        assert_eq!(sessions.len(), 2);
        let up = &sessions[&"fd77::1".parse().unwrap()];
        assert!(up.up);
        assert_eq!((up.transmit, up.detection), (Duration::from_millis(50), Duration::from_millis(150)));
        assert!(!sessions[&"10.77.0.1".parse().unwrap()].up);
    }
}
