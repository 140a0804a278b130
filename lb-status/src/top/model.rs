//! Rates of VIPs, from samples of one node or of several.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use clap::ValueEnum;
use serde::Serialize;

use super::sample::{Sample, VipSample};

/// Rounds of samples that a row remembers.
const REMEMBERED: usize = 60;

/// Rates of VIPs.
#[derive(Clone, Debug, Default)]
pub struct TopModel {
    nodes: BTreeMap<String, NodeSamples>,
    /// Packets per second of each VIP, the latest last.
    history: BTreeMap<String, VecDeque<u64>>,
}

#[derive(Clone, Debug, Default)]
struct NodeSamples {
    before: Option<Sample>,
    now: Sample,
}

/// A VIP.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopRow {
    /// Its Service, as `namespace/name`.
    pub service: String,
    /// The VIP, as `192.0.2.1:80/TCP`.
    pub vip: String,
    /// Packets received per second.
    pub packets_per_second: f64,
    /// Bits received per second.
    pub bits_per_second: f64,
    /// Flows that began per second; `None`: they are not counted.
    pub new_flows_per_second: Option<f64>,
    /// Packets per second dropped because of the Service's source ranges.
    pub drops_per_second: f64,
    /// The nodes' shares, the largest first: of the packets received if there are several nodes, else of the
    /// ring.
    pub shares: Vec<NodeShare>,
    /// Packets per second in the last minute, the latest last.
    pub history: Vec<u64>,
}

/// A node's share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeShare {
    /// The node.
    pub node: String,
    /// Its share, from 0 to 1.
    pub share: f64,
}

/// Sums over all VIPs and nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopTotals {
    /// The nodes that were sampled.
    pub nodes: Vec<String>,
    /// Packets received per second.
    pub packets_per_second: f64,
    /// Bits received per second.
    pub bits_per_second: f64,
    /// Flows that began per second; `None`: they are not counted.
    pub new_flows_per_second: Option<f64>,
    /// Packets dropped per second by verdict, without those that drop none, the most first.
    pub drops: Vec<(String, f64)>,
}

/// The column by which rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// Packets per second.
    #[default]
    Packets,
    /// Bits per second.
    Bits,
    /// New flows per second.
    Flows,
    /// Dropped packets per second.
    Drops,
    /// Service and VIP.
    Name,
}

/// The direction in which rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortDirection {
    /// The most first; names from A on.
    #[default]
    Usual,
    /// The least first; names from Z on.
    Reversed,
}

impl TopModel {
    /// Takes the samples of a round: one of each node that answered. A node without one is left out.
    pub fn add(&mut self, round: Vec<Sample>) {
        let mut before = std::mem::take(&mut self.nodes);
        for now in round {
            let before = before.remove(&now.node).map(|node| node.now);
            // Rates need two times: a repeated sample changes nothing.
            let before = before.filter(|before| before.at < now.at);
            self.nodes.insert(now.node.clone(), NodeSamples { before, now });
        }
        let rates: BTreeMap<_, _> =
            self.rows().into_iter().map(|row| (row.vip, row.packets_per_second)).collect();
        self.history.retain(|vip, _| rates.contains_key(vip));
        for (vip, rate) in rates {
            let history = self.history.entry(vip).or_default();
            history.push_back(rate.round() as u64);
            if history.len() > REMEMBERED {
                history.pop_front();
            }
        }
    }

    /// Returns the rows in an order.
    pub fn sorted(&self, key: SortKey, direction: SortDirection) -> Vec<TopRow> {
        let mut rows = self.rows();
        rows.sort_by(|one, other| {
            let order = order(one, other, key);
            let order = if direction == SortDirection::Reversed { order.reverse() } else { order };
            order.then_with(|| (&one.service, &one.vip).cmp(&(&other.service, &other.vip)))
        });
        rows
    }

    /// Returns the sums.
    pub fn totals(&self) -> TopTotals {
        let mut totals = TopTotals { nodes: self.nodes.keys().cloned().collect(), ..TopTotals::default() };
        for row in self.rows() {
            totals.packets_per_second += row.packets_per_second;
            totals.bits_per_second += row.bits_per_second;
            totals.new_flows_per_second = sum(totals.new_flows_per_second, row.new_flows_per_second);
        }
        let mut drops: BTreeMap<&str, f64> = BTreeMap::new();
        for node in self.nodes.values() {
            for (verdict, packets) in &node.now.dropped {
                let before = node.before.as_ref().and_then(|before| before.dropped.get(verdict));
                *drops.entry(verdict).or_default() += node.rate(before.copied(), *packets);
            }
        }
        totals.drops =
            drops.into_iter().filter(|(_, rate)| *rate > 0.0).map(|(v, rate)| (v.into(), rate)).collect();
        totals.drops.sort_by(|one, other| other.1.total_cmp(&one.1));
        totals
    }

    fn rows(&self) -> Vec<TopRow> {
        let mut rows: BTreeMap<&str, TopRow> = BTreeMap::new();
        for node in self.nodes.values() {
            for (vip, now) in &node.now.vips {
                let row = rows.entry(vip).or_default();
                let rates = node.rates(vip, now);
                row.service.clone_from(&now.service);
                row.vip.clone_from(vip);
                row.packets_per_second += rates.packets;
                row.bits_per_second += 8.0 * rates.bytes;
                row.new_flows_per_second = sum(row.new_flows_per_second, rates.new_flows);
                row.drops_per_second += rates.refused;
                row.shares.push(NodeShare { node: node.now.node.clone(), share: rates.packets });
            }
        }
        for row in rows.values_mut() {
            if let [only] = self.nodes.values().collect::<Vec<_>>()[..] {
                row.shares = only.now.vips.get(&row.vip).map(ring_shares).unwrap_or_default();
            }
            normalize(&mut row.shares);
            row.history = self.history.get(&row.vip).into_iter().flatten().copied().collect();
        }
        rows.into_values().collect()
    }
}

struct Rates {
    packets: f64,
    bytes: f64,
    new_flows: Option<f64>,
    refused: f64,
}

impl NodeSamples {
    fn rates(&self, vip: &str, now: &VipSample) -> Rates {
        let before = self.before.as_ref().and_then(|before| before.vips.get(vip));
        let rate = |counter: fn(&VipSample) -> u64| self.rate(before.map(counter), counter(now));
        let new_flows = now.new_flows.map(|now| self.rate(before.and_then(|before| before.new_flows), now));
        Rates {
            packets: rate(|it| it.packets),
            bytes: rate(|it| it.bytes),
            new_flows,
            refused: rate(|it| it.refused),
        }
    }

    /// Returns the rate of a counter; zero if it is new or has begun again.
    fn rate(&self, before: Option<u64>, now: u64) -> f64 {
        let (Some(sample), Some(before)) = (&self.before, before) else { return 0.0 };
        now.saturating_sub(before) as f64 / (self.now.at - sample.at).as_secs_f64()
    }
}

fn ring_shares(vip: &VipSample) -> Vec<NodeShare> {
    let share = |(node, weight): &(String, u64)| NodeShare { node: node.clone(), share: *weight as f64 };
    vip.members.iter().map(share).collect()
}

/// Turns amounts into shares, the largest first.
fn normalize(shares: &mut Vec<NodeShare>) {
    let total: f64 = shares.iter().map(|it| it.share).sum();
    shares.retain(|it| it.share > 0.0);
    shares.iter_mut().for_each(|it| it.share /= total);
    shares.sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.node.cmp(&other.node)));
}

fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

fn order(one: &TopRow, other: &TopRow, key: SortKey) -> Ordering {
    let flows = |row: &TopRow| row.new_flows_per_second.unwrap_or(0.0);
    match key {
        SortKey::Packets => other.packets_per_second.total_cmp(&one.packets_per_second),
        SortKey::Bits => other.bits_per_second.total_cmp(&one.bits_per_second),
        SortKey::Flows => flows(other).total_cmp(&flows(one)),
        SortKey::Drops => other.drops_per_second.total_cmp(&one.drops_per_second),
        SortKey::Name => (&one.service, &one.vip).cmp(&(&other.service, &other.vip)),
    }
}

#[cfg(test)]
pub(super) mod tests;
