//! One line for each area.

use lb_speaker::BgpStatus;
use lb_speaker::bfd::BfdStatus;

use super::{Area, AreaSummary};
use crate::layer2::Layer2Status;
use crate::status::Status;
use crate::text::{count, first_few};

/// Returns the lines; an area that is not in use has none.
pub(super) fn all(status: &Status, bgp: &BgpStatus, bfd: &BfdStatus, l2: &Layer2Status) -> Vec<AreaSummary> {
    let lines = [
        (Area::Agent, Some(agent(status))),
        (Area::Nodes, Some(nodes(status))),
        (Area::Services, Some(services(status))),
        (Area::Bgp, bgp_sessions(bgp)),
        (Area::Bfd, bfd_sessions(bfd)),
        (Area::L2, layer2(l2)),
        (Area::Packets, Some(packets(status))),
    ];
    lines.into_iter().filter_map(|(area, text)| Some(AreaSummary { area, text: text? })).collect()
}

fn agent(status: &Status) -> String {
    let state = &status.state;
    let uplinks = state.interfaces.iter().map(|it| match &it.path {
        // Of a plain device or a veth, the path says no more than the name.
        Some(path) if *path != it.interface && *path != format!("{} (veth)", it.interface) => {
            format!("{} ({}: {path})", it.interface, it.mode.as_str())
        }
        _ => format!("{} ({})", it.interface, it.mode.as_str()),
    });
    format!(
        "{}{}, uplinks {}, plan {}: {} in {:.1} ms",
        if state.ready { "ready" } else { "not ready" },
        if state.draining { ", draining" } else { "" },
        first_few(uplinks, ", "),
        state.turns,
        count(state.last.operations, "operation"),
        state.last.microseconds as f64 / 1000.0,
    )
}

fn nodes(status: &Status) -> String {
    let of = |state: &str| status.liveness.iter().filter(|it| it.state == state).count();
    let others = status.state.nodes.iter().filter(|node| !node.is_self).count();
    if others == 0 {
        return "no other node".to_owned();
    }
    if status.liveness.is_empty() {
        return format!("{}, not probed", count(others, "other node"));
    }
    let parts = [("alive", of("alive")), ("draining", of("draining")), ("dead", of("dead"))];
    let parts =
        parts.iter().filter(|(_, number)| *number > 0).map(|(state, number)| format!("{number} {state}"));
    format!("{}: {}", count(others, "other node"), parts.collect::<Vec<_>>().join(", "))
}

fn services(status: &Status) -> String {
    let services = &status.state.services;
    let vips = || services.iter().flat_map(|service| &service.vips);
    let unserved = vips().filter(|vip| vip.ring.is_none()).count();
    let unserved = if unserved > 0 { format!(", {unserved} not served") } else { String::new() };
    format!("{}, {}{unserved}", count(services.len(), "Service"), count(vips().count(), "VIP"))
}

fn bgp_sessions(bgp: &BgpStatus) -> Option<String> {
    if bgp.sessions.is_empty() {
        return None;
    }
    let up = bgp.sessions.iter().filter(|session| session.state == "established").count();
    let advertised = bgp.services.iter().filter(|service| service.silent.is_none()).count();
    let keeper = bgp.keeper.as_ref().map(|keeper| match keeper.connected {
        true => format!(", keeper holds {}", keeper.held),
        false => ", no keeper".to_owned(),
    });
    Some(format!(
        "{up} of {} up, {advertised} of {} advertised{}",
        count(bgp.sessions.len(), "session"),
        count(bgp.services.len(), "Service"),
        keeper.unwrap_or_default()
    ))
}

fn bfd_sessions(bfd: &BfdStatus) -> Option<String> {
    let up = bfd.sessions.iter().filter(|session| session.state == "Up").count();
    let kept = bfd.sessions.iter().filter(|session| session.kept).count();
    let all = count(bfd.sessions.len(), "session");
    (!bfd.sessions.is_empty()).then(|| format!("{up} of {all} up, {kept} kept by the program"))
}

fn layer2(l2: &Layer2Status) -> Option<String> {
    let here = l2.addresses.iter().filter(|address| address.view.phase == "announcing").count();
    let unannounced = l2.addresses.iter().filter(|address| address.view.announcer.is_none()).count();
    let unannounced = if unannounced > 0 { format!(", {unannounced} not announced") } else { String::new() };
    let all = if l2.addresses.len() == 1 {
        "1 address".to_owned()
    } else {
        format!("{} addresses", l2.addresses.len())
    };
    (!l2.addresses.is_empty())
        .then(|| format!("{all}, {here} announced by this node ({}){unannounced}", l2.standing))
}

fn packets(status: &Status) -> String {
    let all: u64 = status.outcomes.iter().map(|verdict| verdict.packets).sum();
    let mut dropped: Vec<_> =
        status.outcomes.iter().filter(|verdict| verdict.dropped && verdict.packets > 0).collect();
    dropped.sort_by_key(|verdict| std::cmp::Reverse(verdict.packets));
    let names =
        first_few(dropped.iter().map(|verdict| format!("{} {}", verdict.name, verdict.packets)), ", ");
    let names = if dropped.is_empty() { String::new() } else { format!(" ({names})") };
    format!(
        "{all} seen, {} dropped{names}; flows: {} owned, {} delegated",
        dropped.iter().map(|verdict| verdict.packets).sum::<u64>(),
        status.flows.owned,
        status.flows.delegated
    )
}
