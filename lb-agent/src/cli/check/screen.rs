//! What would come of objects, as one screen: what is wrong first, then pools, routers and Services.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use lb_admission::preview::{PeerPreview, PoolPreview, Preview, ServicePreview, is_warning};
use lb_api::objects::{Object, Sourced};
use serde_json::{Value, json};

use super::migration::{Finding, What};

/// Nodes that are named before the rest is counted.
const NAMED: usize = 4;

/// The preview for programs.
pub(super) fn json(preview: &Preview) -> Value {
    json!({
        "problems": preview.problems,
        "pools": preview.pools,
        "peers": preview.peers,
        "services": preview.services,
    })
}

/// The preview for people.
pub(super) fn render(preview: &Preview, objects: &[Sourced<Object>]) -> String {
    let mut screen = String::new();
    for problem in &preview.problems {
        let word = if is_warning(&problem.reason) { "waits" } else { "wrong" };
        // Writing to a String does not fail.
        let _ = writeln!(screen, "{word}  {problem}");
    }
    for service in &preview.services {
        if let Some(refused) = &service.refused {
            let word = if service.is_refused() { "wrong" } else { "note " };
            let _ = writeln!(screen, "{word}  {}: {refused}", service.service.reference());
        }
    }
    if !screen.is_empty() {
        screen.push('\n');
    }
    let _ = writeln!(screen, "{}", summary(preview, objects));
    section(&mut screen, pools(&preview.pools));
    section(&mut screen, peers(&preview.peers));
    section(&mut screen, services(&preview.services));
    screen
}

/// The objects that would count for nothing in a cluster, where agents read one namespace only.
pub(super) fn elsewhere(objects: &[Sourced<Object>], namespace: &str) -> String {
    let mut namespaces: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects.iter().filter(|object| object.value.kind().is_configuration()) {
        *namespaces.entry(object.value.namespace().unwrap_or_default()).or_default() += 1;
    }
    let others = namespaces.into_iter().filter(|(other, _)| *other != namespace);
    let line = |(other, count)| {
        format!(
            "note   namespace {other} has {count} of the objects of metallb.io; in a cluster, only those of namespace \
             {namespace} count (--namespace names another)\n"
        )
    };
    others.map(line).collect()
}

/// What changes for a cluster that MetalLB serves, and what could not be read of it.
pub(super) fn findings(findings: &[Finding], denied: &[String]) -> String {
    let mut screen = String::new();
    for (what, title) in [
        (What::Unsupported, "has no place here"),
        (What::Different, "would be different"),
        (What::Unused, "is not needed any more"),
    ] {
        let mut of_kind = findings.iter().filter(|finding| finding.what == what).peekable();
        if of_kind.peek().is_some() {
            let _ = writeln!(screen, "\n{title}:");
        }
        for finding in of_kind {
            let _ = writeln!(screen, "  {}\n      {}", finding.about, finding.words);
        }
    }
    for kind in denied {
        let _ = writeln!(screen, "\nnot read: {kind} (the cluster does not let this user list them)");
    }
    if findings.is_empty() {
        let _ = writeln!(screen, "\neverything that is written has a place here");
    }
    screen
}

/// How many of what were read, and how many things are wrong.
fn summary(preview: &Preview, objects: &[Sourced<Object>]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects {
        *kinds.entry(object.value.kind().name).or_default() += 1;
    }
    let kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let (wrong, waiting) = (preview.error_count(), preview.warning_count());
    let read = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
    format!("read: {read}; {wrong} wrong, {waiting} waiting for something that may still come")
}

fn section(screen: &mut String, table: Option<Table>) {
    if let Some(table) = table {
        let _ = writeln!(screen, "\n{}", table.trim_fmt());
    }
}

fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn pools(pools: &BTreeMap<String, PoolPreview>) -> Option<Table> {
    let mut lines = table(&["POOL", "GIVEN", "FREE", "BY ITSELF", "TOLD BY BGP", "BY ARP"], &[1, 2]);
    for (name, pool) in pools {
        let free = if pool.free == i64::MAX { "very many".to_owned() } else { pool.free.to_string() };
        let by_itself = if pool.auto_assign { "yes" } else { "when asked" };
        let layer2 = if pool.layer2 { "yes" } else { "-" };
        lines.add_row([
            name.clone(),
            pool.given.to_string(),
            free,
            by_itself.to_owned(),
            or_dash(pool.peers.join(" ")),
            layer2.to_owned(),
        ]);
    }
    (!pools.is_empty()).then_some(lines)
}

fn peers(peers: &BTreeMap<String, PeerPreview>) -> Option<Table> {
    let mut lines = table(&["PEER", "AT", "AS", "BFD", "NODES"], &[]);
    for (name, peer) in peers {
        let nodes: Vec<_> = peer.nodes.iter().map(|node| node.as_str()).collect();
        let bfd = if peer.bfd { "yes" } else { "-" };
        lines.add_row([name, &peer.at, &peer.remote_as, bfd, &or_dash(some(&nodes))]);
    }
    (!peers.is_empty()).then_some(lines)
}

fn services(services: &[ServicePreview]) -> Option<Table> {
    let mut lines = table(&["SERVICE", "ADDRESSES", "POOL", "TOLD BY BGP"], &[]);
    for service in services {
        let addresses: Vec<_> = service.addresses.iter().map(ToString::to_string).collect();
        let new = if service.held || addresses.is_empty() { "" } else { " (new)" };
        lines.add_row([
            service.service.to_string(),
            or_dash(format!("{}{new}", addresses.join(" "))),
            or_dash(service.pool.clone().unwrap_or_default()),
            or_dash(told(service)),
        ]);
    }
    (!services.is_empty()).then_some(lines)
}

/// By which nodes to whom; nodes that tell the same are told together.
fn told(service: &ServicePreview) -> String {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for by in &service.bgp {
        let what = match by.silent {
            Some(silent) => format!("to nobody: {silent}"),
            None if by.peers.is_empty() => "to nobody: no peer is for this node".to_owned(),
            None => format!("to {}", by.peers.join(" ")),
        };
        groups.entry(what).or_default().push(by.node.as_str());
    }
    let groups: Vec<_> = groups.into_iter().map(|(what, nodes)| format!("{} {what}", some(&nodes))).collect();
    groups.join("\n")
}

/// A list that stays short.
fn some(names: &[&str]) -> String {
    match names.split_at_checked(NAMED) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(" "), rest.len()),
        _ => names.join(" "),
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
