//! The cost of events with Fairlead and without, side by side.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::{Carrier, ClusterEvent, EventLoadReport};

/// The costs of events.
#[derive(Debug, Default)]
pub struct CostTable {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    event: &'static str,
    kills: Option<&'static str>,
    with: Option<Entry>,
    without: Option<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    flows: usize,
    broken: usize,
    datagrams_lost: u64,
    flows_moved: usize,
}

impl CostTable {
    /// Records the cost of an event.
    pub fn note(&mut self, event: &ClusterEvent, carrier: Carrier, report: &EventLoadReport) {
        let entry = Some(Entry {
            flows: report.flows(),
            broken: report.broken(),
            datagrams_lost: report.udp.lost(),
            flows_moved: report.udp.moved(),
        });
        let row = self.row(event);
        match carrier {
            Carrier::Fairlead => row.with = entry,
            Carrier::Ecmp => row.without = entry,
        }
    }

    fn row(&mut self, event: &ClusterEvent) -> &mut Row {
        let place = self.rows.iter().position(|row| row.event == event.name).unwrap_or_else(|| {
            self.rows.push(Row { event: event.name, kills: event.kills, with: None, without: None });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }
}

/// Formats the costs as a table.
impl fmt::Display for CostTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "",
            "Fairlead:\nflows",
            "\nbroken",
            "UDP\nmoved",
            "\nlost",
            "ECMP + kube-proxy:\nflows",
            "\nbroken",
            "UDP\nmoved",
            "\nlost",
        ]);
        for row in &self.rows {
            let mut cells = vec![match row.kills {
                Some(node) => format!("{} ({node}'s own connections break)", row.event),
                None => row.event.to_owned(),
            }];
            for entry in [row.with, row.without] {
                cells.extend(match entry {
                    Some(it) => [
                        it.flows.to_string(),
                        it.broken.to_string(),
                        it.flows_moved.to_string(),
                        it.datagrams_lost.to_string(),
                    ],
                    None => ["–", "–", "–", "–"].map(str::to_owned),
                });
            }
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.fmt(formatter)
    }
}
