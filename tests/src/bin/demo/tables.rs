//! The demo's tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use comfy_table::{CellAlignment, Table, presets};
use fairlead_tests::lab::Lab;
use fairlead_tests::traffic::{TcpReport, TrafficShare, UdpReport};

use crate::changes::RunResult;

/// Prints the shares of each node and each pod, and the results of the loads.
pub(crate) fn print(lab: &Lab, tcp: &[(IpAddr, TcpReport)], udp: &UdpReport) {
    let mut nodes = table(&["VIP", "node", "connections", "share", "ideal", "KiB"]);
    let mut pods = table(&["VIP", "pod", "connections", "share", "ideal", "KiB"]);
    let mut loads = table(&["VIP", "flows", "errors", "source seen", "KiB", "seconds"]);
    for (vip, report) in tcp {
        add_shares(&mut nodes, *vip, &report.by_node(lab));
        add_shares(&mut pods, *vip, &report.by_pod());
        let sources: Vec<String> = report.sources().keys().map(ToString::to_string).collect();
        loads.add_row([
            vip.to_string(),
            report.connections.len().to_string(),
            report.failed().to_string(),
            sources.join(" "),
            kib(report.bytes()),
            format!("{:.1}", report.elapsed.as_secs_f64()),
        ]);
    }
    println!("\n{nodes}\n\n{pods}\n\n{loads}\n\nUDP: {udp}");
}

/// Prints the router's sessions with the nodes.
pub(crate) fn print_sessions(sessions: &[[String; 4]]) {
    let mut lines = Table::new();
    lines.load_style(presets::NOTHING);
    lines.set_header(["node", "peer of FRR", "BGP", "BFD"]);
    for session in sessions {
        lines.add_row(session);
    }
    println!("\n{lines}\n");
}

/// Prints each event with its time, and how many connections broke and were still alive.
pub(crate) fn print_timeline(steps: &[&str], with: &RunResult, without: &RunResult) {
    let mut lines =
        table(&["at", "event", "Fairlead:\nbroken", "\nalive", "ECMP + kube-proxy:\nbroken", "\nalive"]);
    let mut alive = [with.flows as u64, without.flows as u64];
    for (place, step) in steps.iter().enumerate() {
        let (at, _) = with.timeline[place];
        let broken = [with, without].map(|trigger| trigger.timeline[place].1);
        for (alive, broken) in alive.iter_mut().zip(broken) {
            *alive -= broken;
        }
        let mut cells = vec![format!("{:.1} s", at.as_secs_f64()), (*step).to_owned()];
        cells.extend(
            broken.iter().zip(&alive).flat_map(|(broken, alive)| [broken.to_string(), alive.to_string()]),
        );
        lines.add_row(cells);
    }
    println!("\nThe same {} connections, through one event after the other:\n\n{lines}\n", with.flows);
    let (all, broken) = with.of_dead;
    println!("The dead node served {all} connections, {broken} of which broke.");
}

fn add_shares(table: &mut Table, vip: IpAddr, shares: &BTreeMap<String, TrafficShare>) {
    let all: u64 = shares.values().map(|share| share.flows).sum();
    for (name, share) in shares {
        table.add_row([
            vip.to_string(),
            name.clone(),
            share.flows.to_string(),
            percent(share.flows, all),
            percent(1, shares.len() as u64),
            kib(share.bytes),
        ]);
    }
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

fn kib(bytes: u64) -> String {
    (bytes / 1024).to_string()
}
