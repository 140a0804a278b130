//! The status as one screen: what is wrong first, then nodes, Services, and what became of packets.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Deserialize;

use lb_dataplane::ask::Questions;

/// What the screen shows of the agent's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    node: String,
    version: String,
    ready: bool,
    interfaces: Vec<Interface>,
    #[serde(default)]
    asks_kernel: Questions,
    turns: u64,
    last: Last,
    services: Vec<Service>,
    nodes: Vec<Node>,
    problems: Vec<String>,
    outcomes: Vec<Outcome>,
    vip_traffic: Vec<Traffic>,
    node_traffic: Vec<Traffic>,
    liveness: Vec<Liveness>,
    flows: Flows,
    draining: bool,
}

#[derive(Debug, Deserialize)]
struct Liveness {
    number: u32,
    state: String,
    silent_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Flows {
    owned: usize,
    delegated: usize,
}

#[derive(Debug, Deserialize)]
struct Interface {
    interface: String,
    mode: String,
}

#[derive(Debug, Deserialize)]
struct Last {
    operations: usize,
    microseconds: u64,
}

#[derive(Debug, Deserialize)]
struct Service {
    service: Name,
    policy: String,
    vips: Vec<Vip>,
}

#[derive(Debug, Deserialize)]
struct Name {
    namespace: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Ring {
    slots: u32,
    members: Vec<Share>,
    /// An agent from before this version does not tell.
    #[serde(default)]
    keeping: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Share {
    node: String,
    weight: u32,
}

#[derive(Debug, Deserialize)]
struct Vip {
    address: String,
    port: u16,
    protocol: String,
    number: Option<u32>,
    ring: Option<Ring>,
    announcer: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Node {
    name: String,
    index: u32,
    address: String,
    way: String,
    #[serde(default)]
    excluded: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    name: String,
    dropped: bool,
    packets: u64,
}

#[derive(Debug, Deserialize)]
struct Traffic {
    number: u32,
    packets: u64,
    bytes: u64,
    /// Of VIPs only; an agent from before this version does not tell.
    #[serde(default)]
    source_refused: u64,
}

/// The whole screen.
pub(super) fn render(shown: &Shown) -> String {
    let mut screen = String::new();
    let interfaces: Vec<_> =
        shown.interfaces.iter().map(|i| format!("{} ({})", i.interface, i.mode)).collect();
    let _ = writeln!(
        screen,
        "node {}   {}{}   {}   flows {} own, {} delegated   fairlead {}   plan {}: {} operations in {:.1} ms\n",
        shown.node,
        if shown.ready { "ready" } else { "not ready" },
        if shown.draining { ", draining" } else { "" },
        interfaces.join(", "),
        shown.flows.owned,
        shown.flows.delegated,
        shown.version,
        shown.turns,
        shown.last.operations,
        shown.last.microseconds as f64 / 1000.0,
    );
    if shown.asks_kernel != Questions::default() {
        let _ = writeln!(screen, "asks the kernel for connections: {}\n", shown.asks_kernel);
    }
    for problem in &shown.problems {
        let _ = writeln!(screen, "! {problem}");
    }
    if !shown.problems.is_empty() {
        screen.push('\n');
    }
    for table in [nodes(shown), services(shown), outcomes(shown)] {
        let _ = writeln!(screen, "{table}\n");
    }
    screen
}

fn by_number(traffic: &[Traffic]) -> BTreeMap<u32, &Traffic> {
    traffic.iter().map(|t| (t.number, t)).collect()
}

fn nodes(shown: &Shown) -> Table {
    let traffic = by_number(&shown.node_traffic);
    let liveness: BTreeMap<u32, &Liveness> = shown.liveness.iter().map(|l| (l.number, l)).collect();
    let mut table = table(["NODE", "ADDRESS", "WAY", "STATE", "LAST SEEN", "FORWARDED", "BYTES"], &[4, 5, 6]);
    for node in &shown.nodes {
        let (packets, bytes) = traffic.get(&node.index).map_or((0, 0), |t| (t.packets, t.bytes));
        table.add_row([
            node.name.clone(),
            node.address.clone(),
            node.way.clone(),
            state(node, liveness.get(&node.index).copied()),
            liveness.get(&node.index).map_or_else(|| "-".into(), |l| format!("{} ms ago", l.silent_ms)),
            packets.to_string(),
            bytes.to_string(),
        ]);
    }
    table
}

fn state(node: &Node, liveness: Option<&Liveness>) -> String {
    let state = liveness.map_or("-", |liveness| &liveness.state);
    if node.excluded.is_some() { format!("{state}, excluded") } else { state.to_owned() }
}

fn services(shown: &Shown) -> Table {
    let traffic = by_number(&shown.vip_traffic);
    let header =
        ["SERVICE", "VIP", "POLICY", "RING", "NODES (WEIGHT)", "ARP BY", "PACKETS", "BYTES", "REFUSED"];
    let mut table = table(header, &[3, 6, 7, 8]);
    for service in &shown.services {
        for vip in &service.vips {
            let traffic = vip.number.and_then(|number| traffic.get(&number));
            let (packets, bytes, refused) =
                traffic.map_or((0, 0, 0), |t| (t.packets, t.bytes, t.source_refused));
            table.add_row([
                format!("{}/{}", service.service.namespace, service.service.name),
                endpoint(vip),
                service.policy.clone(),
                vip.ring.as_ref().map_or_else(|| "-".into(), |ring| ring.slots.to_string()),
                vip.ring.as_ref().map_or_else(|| "not served".into(), members),
                vip.announcer.clone().unwrap_or_else(|| "-".into()),
                packets.to_string(),
                bytes.to_string(),
                refused.to_string(),
            ]);
        }
    }
    table
}

fn endpoint(vip: &Vip) -> String {
    if vip.address.contains(':') {
        format!("[{}]:{}/{}", vip.address, vip.port, vip.protocol)
    } else {
        format!("{}:{}/{}", vip.address, vip.port, vip.protocol)
    }
}

/// The first few; a hundred nodes are for `-o json`.
fn members(ring: &Ring) -> String {
    let members = ring.members.iter().map(|share| format!("{}({})", share.node, share.weight));
    let mut shown = first_few(members);
    if !ring.keeping.is_empty() {
        // They get no new flows.
        shown += &format!(" keeping: {}", first_few(ring.keeping.iter().cloned()));
    }
    shown
}

fn first_few(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut names: Vec<_> = names.take(SHOWN).collect();
    names.extend((more > 0).then(|| format!("and {more} more")));
    names.join(" ")
}

fn outcomes(shown: &Shown) -> Table {
    let mut table = table(["PACKETS", "OUTCOME", ""], &[0]);
    for outcome in shown.outcomes.iter().filter(|outcome| outcome.packets > 0) {
        let fate = if outcome.dropped { "dropped" } else { "" };
        table.add_row([outcome.packets.to_string(), outcome.name.clone(), fate.to_owned()]);
    }
    table
}

pub(super) fn table<const N: usize>(header: [&str; N], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
