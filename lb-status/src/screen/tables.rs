//! Tables of nodes, Services, and packets by verdict.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use comfy_table::Table;
use lb_model::NodeName;
use lb_plan::plan::{NodeState, RingState, VipState};

use crate::status::{NodeLiveness, Status};
use crate::table::table;
use crate::text::first_few;

/// Returns the nodes, with their liveness and what was forwarded to them.
pub fn nodes(status: &Status) -> Table {
    let traffic: BTreeMap<_, _> = status.node_traffic.iter().map(|it| (it.number, it)).collect();
    let liveness: BTreeMap<_, _> = status.liveness.iter().map(|it| (it.number, it)).collect();
    let mut table =
        table(["NODE", "ADDRESS", "FORWARDING", "STATE", "LAST SEEN", "FORWARDED", "BYTES"], &[4, 5, 6]);
    for node in &status.state.nodes {
        let index = u32::from(node.index);
        let (packets, bytes) = traffic.get(&index).map_or((0, 0), |it| (it.packets, it.bytes));
        let liveness = liveness.get(&index).copied();
        table.add_row([
            node.name.to_string(),
            node.address.to_string(),
            node.way.as_str().to_owned(),
            liveness_state(node, liveness),
            liveness.map_or_else(|| "-".into(), |it| format!("{} ms ago", it.silent_ms)),
            packets.to_string(),
            bytes.to_string(),
        ]);
    }
    table
}

fn liveness_state(node: &NodeState, liveness: Option<&NodeLiveness>) -> String {
    let state = liveness.map_or("-", |liveness| &liveness.state);
    if node.excluded.is_some() { format!("{state}, excluded") } else { state.to_owned() }
}

/// Returns the VIPs, with their rings and what they received.
pub fn services(status: &Status) -> Table {
    let traffic: BTreeMap<_, _> = status.vip_traffic.iter().map(|it| (it.number, it)).collect();
    let header =
        ["SERVICE", "VIP", "POLICY", "RING", "NODES (WEIGHT)", "ANNOUNCER", "PACKETS", "BYTES", "REFUSED"];
    let mut table = table(header, &[3, 6, 7, 8]);
    for service in &status.state.services {
        for vip in &service.vips {
            let traffic = vip.number.and_then(|number| traffic.get(&number));
            let (packets, bytes, refused) =
                traffic.map_or((0, 0, 0), |t| (t.packets, t.bytes, t.source_refused));
            table.add_row([
                service.service.to_string(),
                endpoint(vip),
                service.policy.as_str().to_owned(),
                vip.ring.as_ref().map_or_else(|| "-".into(), |ring| ring.slots.to_string()),
                vip.ring.as_ref().map_or_else(|| "not served".into(), members),
                vip.announcer.as_ref().map_or_else(|| "-".into(), NodeName::to_string),
                packets.to_string(),
                bytes.to_string(),
                refused.to_string(),
            ]);
        }
    }
    table
}

fn endpoint(vip: &VipState) -> String {
    format!("{}/{}", SocketAddr::new(vip.address, vip.port), vip.protocol.name())
}

/// Returns the first few members of a ring; `-o json` has all.
fn members(ring: &RingState) -> String {
    let members = ring.members.iter().map(|share| format!("{}({})", share.node, share.weight));
    let mut shown = first_few(members, " ");
    if !ring.keeping.is_empty() {
        // Nodes that keep their flows and get no new ones.
        shown += &format!(" keeping: {}", first_few(ring.keeping.iter().map(NodeName::to_string), " "));
    }
    shown
}

/// Returns the packets by verdict, without verdicts that no packet had.
pub fn packets(status: &Status) -> Table {
    let mut table = table(["PACKETS", "VERDICT", ""], &[0]);
    for verdict in status.outcomes.iter().filter(|verdict| verdict.packets > 0) {
        let action = if verdict.dropped { "dropped" } else { "" };
        table.add_row([verdict.packets.to_string(), verdict.name.to_string(), action.to_owned()]);
    }
    table
}
