//! The output of `fairlead check`: problems first, then tables of pools, BGP peers and Services.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use lb_admission::preview::{PeerPreview, PoolPreview, Preview, ServicePreview, is_warning};
use lb_api::objects::{Object, Sourced};
use serde_json::{Value, json};

use super::migration::{Category, Finding};

/// The number of nodes that are listed by name; the others are counted.
const LISTED: usize = 4;

/// Returns the preview as JSON.
pub(crate) fn json(preview: &Preview) -> Value {
    json!({
        "problems": preview.problems,
        "pools": preview.pools,
        "peers": preview.peers,
        "services": preview.services,
    })
}

/// Renders the preview as text.
pub(crate) fn render(preview: &Preview, objects: &[Sourced<Object>]) -> String {
    let mut screen = String::new();
    for problem in &preview.problems {
        let severity = if is_warning(&problem.reason) { "warning" } else { "error" };
        let _ = writeln!(screen, "{severity}: {problem}");
    }
    for service in &preview.services {
        if let Some(refused) = &service.refused {
            let severity = if service.is_refused() { "error" } else { "note" };
            let _ = writeln!(screen, "{severity}: {}: {refused}", service.service.reference());
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

/// Renders notes on metallb.io objects in namespaces that agents do not read.
pub(crate) fn other_namespaces(objects: &[Sourced<Object>], namespace: &str) -> String {
    let mut namespaces: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects.iter().filter(|object| object.value.kind().is_configuration()) {
        *namespaces.entry(object.value.namespace().unwrap_or_default()).or_default() += 1;
    }
    let others = namespaces.into_iter().filter(|(other, _)| *other != namespace);
    let line = |(other, count)| {
        format!(
            "note: {count} metallb.io objects are in namespace {other}, where they have no effect: agents read namespace \
             {namespace} (--namespace)\n"
        )
    };
    others.map(line).collect()
}

/// Renders the findings on a cluster that MetalLB serves, and the kinds that could not be read.
pub(crate) fn findings(findings: &[Finding], denied: &[String]) -> String {
    let mut screen = String::new();
    for (category, title) in [
        (Category::Unsupported, "not supported"),
        (Category::Different, "different"),
        (Category::Unused, "no longer needed"),
    ] {
        let mut matching = findings.iter().filter(|finding| finding.category == category).peekable();
        if matching.peek().is_some() {
            let _ = writeln!(screen, "\n{title}:");
        }
        for finding in matching {
            let _ = writeln!(screen, "  {}\n      {}", finding.object, finding.message);
        }
    }
    for kind in denied {
        let _ = writeln!(screen, "\nnot checked: {kind} (this user is not allowed to list them)");
    }
    if findings.is_empty() {
        let _ = writeln!(screen, "\nno differences to MetalLB found");
    }
    screen
}

/// Returns the numbers of objects by kind, of errors and of warnings.
fn summary(preview: &Preview, objects: &[Sourced<Object>]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects {
        *kinds.entry(object.value.kind().name).or_default() += 1;
    }
    let kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let (errors, warnings) = (preview.error_count(), preview.warning_count());
    let kinds = if kinds.is_empty() { "no objects".to_owned() } else { kinds.join(", ") };
    format!("checked {kinds}: {}, {}", counted(errors, "error"), counted(warnings, "warning"))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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
    let mut lines = table(&["POOL", "ASSIGNED", "AVAILABLE", "AUTO ASSIGN", "BGP PEERS", "ARP"], &[1, 2]);
    for (name, pool) in pools {
        let available = if pool.free == i64::MAX { "2^63 or more".to_owned() } else { pool.free.to_string() };
        let auto_assign = if pool.auto_assign { "yes" } else { "no" };
        let arp = if pool.layer2 { "yes" } else { "-" };
        lines.add_row([
            name.clone(),
            pool.given.to_string(),
            available,
            auto_assign.to_owned(),
            or_dash(pool.peers.join(" ")),
            arp.to_owned(),
        ]);
    }
    (!pools.is_empty()).then_some(lines)
}

fn peers(peers: &BTreeMap<String, PeerPreview>) -> Option<Table> {
    let mut lines = table(&["PEER", "ADDRESS", "ASN", "BFD", "NODES"], &[]);
    for (name, peer) in peers {
        let nodes: Vec<_> = peer.nodes.iter().map(|node| node.as_str()).collect();
        let bfd = if peer.bfd { "yes" } else { "-" };
        lines.add_row([name, &peer.at, &peer.remote_as, bfd, &or_dash(shortened(&nodes))]);
    }
    (!peers.is_empty()).then_some(lines)
}

fn services(services: &[ServicePreview]) -> Option<Table> {
    let mut lines = table(&["SERVICE", "ADDRESSES", "POOL", "ADVERTISED BY BGP"], &[]);
    for service in services {
        let addresses: Vec<_> = service.addresses.iter().map(ToString::to_string).collect();
        let new = if service.held || addresses.is_empty() { "" } else { " (new)" };
        lines.add_row([
            service.service.to_string(),
            or_dash(format!("{}{new}", addresses.join(" "))),
            or_dash(service.pool.clone().unwrap_or_default()),
            or_dash(advertised(service)),
        ]);
    }
    (!services.is_empty()).then_some(lines)
}

/// Returns which nodes advertise the Service to which peers, grouped by peers.
fn advertised(service: &ServicePreview) -> String {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for by in &service.bgp {
        let what = match by.silent {
            Some(reason) => format!("not advertised: {reason}"),
            None if by.peers.is_empty() => "not advertised: no peer selects this node".to_owned(),
            None => format!("to {}", by.peers.join(" ")),
        };
        groups.entry(what).or_default().push(by.node.as_str());
    }
    let groups: Vec<_> =
        groups.into_iter().map(|(what, nodes)| format!("{} {what}", shortened(&nodes))).collect();
    groups.join("\n")
}

/// Returns a list of names that stays short.
fn shortened(names: &[&str]) -> String {
    match names.split_at_checked(LISTED) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(" "), rest.len()),
        _ => names.join(" "),
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
