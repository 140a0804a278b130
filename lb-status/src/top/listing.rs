//! The rates as one table, for everything that is not a terminal.

use super::model::{TopRow, TopTotals};
use super::rate::{percent, rate};
use crate::table::table;
use crate::text::{dash, first_few};

/// Returns the table, with the sums above it.
pub fn listing(rows: &[TopRow], totals: &TopTotals) -> String {
    let mut table =
        table(["SERVICE", "VIP", "PACKETS/s", "BIT/s", "NEW FLOWS/s", "DROPS/s", "SHARE"], &[2, 3, 4, 5]);
    for row in rows {
        table.add_row([
            row.service.clone(),
            row.vip.clone(),
            rate(row.packets_per_second),
            rate(row.bits_per_second),
            row.new_flows_per_second.map_or_else(dash, rate),
            rate(row.drops_per_second),
            shares(row),
        ]);
    }
    format!("{}\n\n{table}\n", sums(rows.len(), totals))
}

/// Returns the sums as a line.
pub(super) fn sums(vips: usize, totals: &TopTotals) -> String {
    let nodes = match &totals.nodes[..] {
        [] => "no node".to_owned(),
        [node] => format!("node {node}"),
        nodes => format!("{} nodes", nodes.len()),
    };
    let new_flows = totals.new_flows_per_second.map(|it| format!("   {} new flows/s", rate(it)));
    let drops = totals.drops.iter().map(|(verdict, drops)| format!("{verdict} {}/s", rate(*drops)));
    let drops = if totals.drops.is_empty() {
        "nothing dropped".to_owned()
    } else {
        format!("dropped: {}", first_few(drops, ", "))
    };
    format!(
        "{nodes}   {vips} VIPs   {} packets/s   {} bit/s{}   {drops}",
        rate(totals.packets_per_second),
        rate(totals.bits_per_second),
        new_flows.unwrap_or_default(),
    )
}

/// Returns the largest shares of a row.
pub(super) fn shares(row: &TopRow) -> String {
    first_few(row.shares.iter().map(|it| format!("{} {}", it.node, percent(it.share))), ", ")
}
