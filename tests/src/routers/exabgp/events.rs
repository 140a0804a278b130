//! ExaBGP's events, one JSON object per line, and the table built from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use crate::lab::addresses::IpVersion;
use crate::routers::view::{self, BgpSessionView, Capability, RouteOrigin, RouteView};

/// Capabilities by number (IANA, Capability Codes).
const CAPABILITIES: [(&str, Capability); 9] = [
    ("2", Capability::RouteRefresh),
    ("70", Capability::EnhancedRouteRefresh),
    ("65", Capability::FourOctetAsn),
    ("64", Capability::GracefulRestart),
    ("71", Capability::LongLivedGracefulRestart),
    ("6", Capability::ExtendedMessage),
    ("5", Capability::ExtendedNextHop),
    ("69", Capability::AddPath),
    ("73", Capability::HostName),
];

/// Sessions and paths after some events.
#[derive(Debug, Default)]
pub(super) struct EventTable {
    peers: BTreeMap<String, PeerEvents>,
}

#[derive(Debug, Default)]
struct PeerEvents {
    session: BgpSessionView,
    routes: BTreeMap<IpNet, RouteView>,
}

impl EventTable {
    /// Builds the table from all events of a text; an incomplete last line is ignored.
    pub(super) fn of(text: &str) -> Self {
        let mut table = Self::default();
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            table.take(&event);
        }
        table
    }

    pub(super) fn sessions(&self) -> BTreeMap<String, BgpSessionView> {
        self.peers.iter().map(|(name, peer)| (name.clone(), peer.session.clone())).collect()
    }

    pub(super) fn routes(&self, prefix: IpNet) -> Vec<RouteView> {
        self.peers.values().filter_map(|peer| peer.routes.get(&prefix)).cloned().collect()
    }

    fn take(&mut self, event: &Value) {
        let of = &event["neighbor"];
        let Some(name) = of["address"]["peer"].as_str() else { return };
        let peer = self.peers.entry(name.to_owned()).or_default();
        peer.session.asn = number(&of["asn"]["peer"]).unwrap_or_default();
        match event["type"].as_str() {
            Some("state") => peer.change(of["state"].as_str().unwrap_or_default()),
            Some("open") if of["direction"] == "receive" => peer.opened(&of["open"]["capabilities"]),
            Some("negotiated") => peer.negotiated(&of["negotiated"]),
            Some("update") => peer.update(name.parse().ok(), &of["message"]["update"]),
            _ => {}
        }
    }
}

impl PeerEvents {
    fn change(&mut self, state: &str) {
        self.session.established = state == "up";
        if state == "down" {
            *self = Self {
                session: BgpSessionView { asn: self.session.asn, ..BgpSessionView::default() },
                ..Self::default()
            };
        }
    }

    fn opened(&mut self, capabilities: &Value) {
        let offered = CAPABILITIES.into_iter().filter(|(number, _)| capabilities.get(number).is_some());
        self.session.capabilities = offered.map(|(_, capability)| capability).collect();
        self.session.restart_time = capabilities["64"]["time"].as_u64().map(Duration::from_secs);
    }

    fn negotiated(&mut self, values: &Value) {
        self.session.hold_time = Duration::from_secs(values["hold_time"].as_u64().unwrap_or_default());
        let words: BTreeSet<&str> =
            values["families"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let families = [("ipv4 unicast", IpVersion::V4), ("ipv6 unicast", IpVersion::V6)];
        let both = families.into_iter().filter(|(word, _)| words.contains(word));
        self.session.families = both.map(|(_, family)| family).collect();
    }

    fn update(&mut self, from: Option<IpAddr>, update: &Value) {
        for prefixes in update["withdraw"].as_object().into_iter().flat_map(|it| it.values()) {
            for prefix in prefixes_of(prefixes) {
                self.routes.remove(&prefix);
            }
        }
        let mut announced: BTreeMap<IpNet, Vec<IpAddr>> = BTreeMap::new();
        let families = update["announce"].as_object().into_iter().flat_map(|it| it.values());
        for (hop, prefixes) in families.filter_map(Value::as_object).flatten() {
            for prefix in prefixes_of(prefixes) {
                announced.entry(prefix).or_default().extend(hop.parse::<IpAddr>());
            }
        }
        for (prefix, next_hops) in announced {
            self.routes.insert(prefix, RouteView { from, next_hops, ..attributes(&update["attribute"]) });
        }
    }
}

fn prefixes_of(prefixes: &Value) -> impl Iterator<Item = IpNet> {
    prefixes.as_array().into_iter().flatten().filter_map(|it| it["nlri"].as_str()?.parse().ok())
}

fn attributes(attributes: &Value) -> RouteView {
    let path = attributes["as-path"].as_array().into_iter().flatten();
    RouteView {
        as_path: path.filter_map(number).collect(),
        origin: RouteOrigin::parse(attributes["origin"].as_str().unwrap_or_default()),
        med: number(&attributes["med"]),
        local_pref: number(&attributes["local-preference"]),
        communities: view::communities(&attributes["community"].to_string()),
        large_communities: view::large_communities(&attributes["large-community"].to_string()),
        ..RouteView::default()
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::EventTable;

    const PEER: &str =
        r#""address": { "local": "fd00::2", "peer": "fd00::1" }, "asn": { "local": 2, "peer": 1 }"#;

    fn event(kind: &str, rest: &str) -> String {
        format!("{{ \"type\": \"{kind}\", \"neighbor\": {{ {PEER}, {rest} }} }}\n")
    }

    #[test]
    fn the_table_is_built_from_events() {
        let advertise = event(
            "update",
            r#""message": { "update": { "attribute": { "origin": "igp", "as-path": [ 1 ], "community": [ [ 64512, 1 ] ] },
               "announce": { "ipv6 unicast": { "fd00::1": [ { "nlri": "2001:db8::/64" } ], "fe80::1": [ { "nlri": "2001:db8::/64" } ] } } } }"#,
        )
        .replace("\n  ", "");
        let withdraw = event(
            "update",
            r#""message": { "update": { "withdraw": { "ipv6 unicast": [ { "nlri": "2001:db8::/64" } ] } } }"#,
        );
        let up = event("state", r#""state": "up""#);
        let down = event("state", r#""state": "down""#);
        let prefix = "2001:db8::/64".parse().unwrap();

        let table = EventTable::of(&format!("{up}{advertise}{{ \"type\": \"upd"));
        assert!(table.sessions()["fd00::1"].established);
        let routes = table.routes(prefix);
        assert_eq!(routes.len(), 1);
        assert_eq!((routes[0].next_hops.len(), routes[0].communities.len()), (2, 1));
        assert!(EventTable::of(&format!("{up}{advertise}{withdraw}")).routes(prefix).is_empty());
        let table = EventTable::of(&format!("{up}{advertise}{down}"));
        assert!(table.routes(prefix).is_empty() && !table.sessions()["fd00::1"].established);
    }
}
