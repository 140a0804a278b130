//! The sessions with BGP peers, and the announcer on the local network.

use super::advertisement::Advertised;
use super::object::listed;
use crate::facts::{AnnouncerFacts, SessionFacts, SessionFault, WhyFacts};
use crate::link::{Cause, ChainLink, LinkName, LinkState};

/// How long a host that has claimed an address is taken to have it still.
const STRANGER_STAYS: std::time::Duration = std::time::Duration::from_secs(10);

/// Returns the links of the sessions and of the announcer, as far as the VIP is to be advertised so. A VIP
/// that has both is reachable by either, so one broken link of the two is a degraded one.
pub(super) fn links(facts: &WhyFacts<'_>, advertised: &Advertised) -> Vec<ChainLink> {
    let by_bgp = !advertised.bgp.is_empty();
    let by_layer2 = !advertised.layer2.is_empty();
    let mut links: Vec<ChainLink> = Vec::new();
    links.extend(by_bgp.then(|| session(facts, advertised)));
    links.extend(by_layer2.then(|| announcer(facts, advertised)));
    if links.iter().any(|link| link.state == LinkState::Ok) {
        let degrade = |link: &mut ChainLink| {
            // A host that answers for the address takes packets away, whatever BGP does.
            if link.state == LinkState::Broken && link.cause != Some(Cause::AddressConflict) {
                *link = link.clone().degraded();
            }
        };
        links.iter_mut().for_each(degrade);
    }
    links
}

fn session(facts: &WhyFacts<'_>, advertised: &Advertised) -> ChainLink {
    let Some(peers) = advertised.bgp.get(facts.node) else {
        let others: Vec<_> = advertised.bgp.keys().map(ToString::to_string).collect();
        let fact = format!("this node does not advertise it: ask on {}", listed(&others));
        return ChainLink::unknown(LinkName::Session, fact);
    };
    let of_peer = |peer: &String| facts.sessions.iter().find(|session| session.peer == *peer);
    let sessions: Vec<&SessionFacts> = peers.iter().filter_map(of_peer).collect();
    let (up, down): (Vec<_>, Vec<_>) = sessions.iter().partition(|session| session.is_up);
    let Some(first) = down.first() else {
        return established(&up);
    };
    let link = fault(facts, first);
    if up.is_empty() { link } else { link.degraded() }
}

/// Returns the link of sessions that are all up.
fn established(up: &[&SessionFacts]) -> ChainLink {
    if up.is_empty() {
        return ChainLink::broken(
            LinkName::Session,
            Cause::BgpDown,
            "this node has no session with a peer of the advertisement",
            "`fairlead status bgp` lists the sessions and their problems",
        );
    }
    if let Some(session) = up.iter().find(|session| session.bfd == Some(false)) {
        let fact = format!("BFD with {} ({}) is down, although BGP is up", session.peer, session.address);
        let advice = "configure BFD for this node on the router, both single-hop or both multihop, and permit UDP ports 3784 and 4784";
        return ChainLink::broken(LinkName::Session, Cause::BfdDown, fact, advice).degraded();
    }
    if let Some(session) = up.iter().find(|session| session.pending > 0 && session.advertised == 0) {
        let fact = format!("{} has not been sent {} routes yet", session.peer, session.pending);
        let advice = "wait a moment; if it stays, the router does not read: see `fairlead status bgp`";
        return ChainLink::broken(LinkName::Session, Cause::RoutesPending, fact, advice);
    }
    let names: Vec<_> = up.iter().map(|session| format!("{} ({})", session.peer, session.address)).collect();
    let bfd = if up.iter().any(|session| session.bfd == Some(true)) { ", BFD up" } else { "" };
    ChainLink::ok(LinkName::Session, format!("established with {}{bfd}", listed(&names)))
}

/// Returns the link of a session that is down.
fn fault(facts: &WhyFacts<'_>, session: &SessionFacts) -> ChainLink {
    let SessionFacts { peer, address, state, .. } = session;
    let error = session.error.clone().unwrap_or_else(|| "no error yet".to_owned());
    let mut fact = format!("{peer} ({address}) is {state}: {error}");
    let cause = match session.fault {
        Some(SessionFault::WrongAs) => Cause::BgpWrongAs,
        Some(SessionFault::Bfd) => Cause::BfdDown,
        Some(SessionFault::NoAnswer) if facts.host.md5_drops > 0 => {
            let drops = facts.host.md5_drops;
            fact +=
                &format!("; this node's kernel has dropped {drops} TCP segments for their TCP-MD5 signature");
            Cause::BgpPassword
        }
        Some(SessionFault::NoAnswer | SessionFault::Other) | None => Cause::BgpDown,
    };
    let advice = session.advice.clone();
    let advice = advice.unwrap_or_else(|| "`fairlead status bgp` has the session's history".to_owned());
    ChainLink::broken(LinkName::Session, cause, fact, advice)
}

fn announcer(facts: &WhyFacts<'_>, advertised: &Advertised) -> ChainLink {
    let Some(announcer) = facts.announcer else {
        let names: Vec<_> = advertised.layer2.iter().map(ToString::to_string).collect();
        return ChainLink::broken(
            LinkName::Announcer,
            Cause::NoAnnouncer,
            format!("no node announces it, although {} may", listed(&names)),
            "see the problems in `fairlead status`; a new address is checked for duplicates first",
        );
    };
    let recent = |(_, ago): &&(String, std::time::Duration)| *ago <= STRANGER_STAYS;
    if let Some((mac, ago)) = announcer.strangers.iter().find(recent) {
        let fact =
            format!("host {mac}, which is no node, answers for the address (last {} s ago)", ago.as_secs());
        let advice = "find the host by its MAC address and remove the address from it: `fairlead status l2`";
        return ChainLink::broken(LinkName::Announcer, Cause::AddressConflict, fact, advice);
    }
    if announcer.phase == "conflict" {
        let advice = "find the other host by its MAC address: `fairlead status l2`";
        let fact = "another host has the address, so this node does not announce it";
        return ChainLink::broken(LinkName::Announcer, Cause::AddressConflict, fact, advice);
    }
    announced(announcer)
}

fn announced(announcer: &AnnouncerFacts) -> ChainLink {
    let ranks: Vec<_> = announcer.ranks.iter().map(|(node, state)| format!("{node} {state}")).collect();
    let broken =
        |fact: String, advice: &str| ChainLink::broken(LinkName::Announcer, Cause::NoAnnouncer, fact, advice);
    match &announcer.node {
        Some(_) if announcer.is_self && announcer.phase == "checking" => ChainLink::unknown(
            LinkName::Announcer,
            "this node checks the address for duplicates before it announces it: ask again in a few seconds",
        ),
        Some(_) if announcer.is_self && announcer.phase == "off" => broken(
            "this node is to announce it and has no uplink for it".to_owned(),
            "check spec.interfaces of the L2Advertisement, and the carrier of the uplinks",
        ),
        Some(node) => {
            let own = if announcer.is_self { " (this node)" } else { "" };
            ChainLink::ok(LinkName::Announcer, format!("{node}{own} announces it; ranks: {}", listed(&ranks)))
        }
        None => broken(
            format!("no node announces it: {}", listed(&ranks)),
            "start the dead nodes, or let the L2Advertisement select others",
        ),
    }
}
