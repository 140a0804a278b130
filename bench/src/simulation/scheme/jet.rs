//! Just enough tracking, as in JET: a connection table for those flows alone that a new server would take.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::ring::NodeIndex;
use lb_pipeline::owner::{LivenessState, PacketKind};
use lb_plan::ring::{mix, seed};

use super::connections::Connections;
use super::memo::Memo;
use super::{Arrival, Scheme, SimulatedPacket, accepting, entry};
use crate::simulation::Tick;
use crate::simulation::world::View;

/// Rows of the table.
const ROWS: usize = 65_536;
/// Servers that may be added next, one for this many members: a tenth, as in the paper's evaluation.
const MEMBERS_PER_STANDBY: usize = 10;
/// The weight of a server that has not been added yet.
const STANDBY_WEIGHT: u32 = 4;

/// Servers with their weights.
type Servers = Vec<(NodeIndex, u32)>;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    server: NodeIndex,
    /// Whether a server of the horizon would take the row if it were added.
    is_at_risk: bool,
}

/// Rendezvous hashing, and a connection table on each director, unknown to the others. The horizon holds the
/// servers that may be added next: members that accept no flows at the moment, and standbys. Flows that no
/// server of the horizon would take are not tracked: no addition moves them.
pub struct Jet {
    sets: usize,
    /// Whether all flows are tracked, so that this is a full table with the same hash.
    tracks_all: bool,
    memo: Memo<[Servers; 2], [Row]>,
    directors: Vec<Director>,
}

#[derive(Clone, Default)]
struct Director {
    rows: Arc<[Row]>,
    connections: Connections,
    /// Whether it considers each node dead, by index.
    dead: Vec<bool>,
}

impl Jet {
    /// Creates the scheme with this many sets of eight connections on each director.
    pub fn new(sets: usize) -> Self {
        Self { sets, tracks_all: false, memo: Memo::default(), directors: Vec::new() }
    }

    /// Creates a full table with the same hash.
    #[cfg(test)]
    pub(crate) fn tracking_all(sets: usize) -> Self {
        Self { tracks_all: true, ..Self::new(sets) }
    }
}

/// Returns the servers that may be added next to those of a view.
fn horizon(view: &View, working: &[(NodeIndex, u32)]) -> Servers {
    let works: BTreeMap<_, _> = working.iter().copied().collect();
    let idle = view.members.iter().filter(|(node, _)| !works.contains_key(node));
    let next = view.members.last_key_value().map_or(0, |(last, _)| *last + 1);
    let standbys = view.members.len().div_ceil(MEMBERS_PER_STANDBY) as NodeIndex;
    let standbys = (next..next.saturating_add(standbys)).map(|node| (node, STANDBY_WEIGHT));
    idle.map(|(node, member)| (*node, member.weight)).chain(standbys).collect()
}

fn rows([working, horizon]: &[Servers; 2]) -> Vec<Row> {
    let seeds = |servers: &Servers| -> Vec<(NodeIndex, f64, u64)> {
        let of = |(node, weight): &(NodeIndex, u32)| {
            (*node, f64::from(*weight), seed(format!("node-{node}").as_bytes()))
        };
        servers.iter().map(of).collect()
    };
    let (working, horizon) = (seeds(working), seeds(horizon));
    let best = |servers: &[(NodeIndex, f64, u64)], row: u64| {
        let scores = servers.iter().map(|(node, weight, seed)| (score(*weight, *seed, row), *node));
        scores.max_by(|(a, _), (b, _)| a.total_cmp(b))
    };
    let row = |row: u64| {
        let (score, server) = best(&working, row)?;
        let is_at_risk = best(&horizon, row).is_some_and(|(other, _)| other >= score);
        Some(Row { server, is_at_risk })
    };
    (0..ROWS as u64).filter_map(row).collect()
}

/// Weighted rendezvous hashing: each server's score is the highest with a probability proportional to its
/// weight.
fn score(weight: f64, seed: u64, row: u64) -> f64 {
    let uniform = (mix(seed ^ mix(row + 1)) as f64 + 1.0) / 18_446_744_073_709_551_616.0;
    -weight / uniform.ln()
}

impl Scheme for Jet {
    fn name(&self) -> &'static str {
        "at-risk table (JET)"
    }

    fn start(&mut self, node: NodeIndex) {
        *entry(&mut self.directors, node) =
            Director { connections: Connections::new(self.sets), ..Director::default() };
    }

    fn update_view(&mut self, node: NodeIndex, view: &View, _now: Tick) {
        let working = accepting(view);
        let horizon = horizon(view, &working);
        let rows = self.memo.of([working, horizon], |servers| rows(servers).into());
        let director = entry(&mut self.directors, node);
        director.rows = rows;
        director.dead = view.peers.iter().map(|peer| peer.liveness == LivenessState::Dead).collect();
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        if !packet.reaches(packet.director) {
            return Arrival::Lost;
        }
        let director = &mut self.directors[usize::from(packet.director)];
        let tracked = (packet.kind != PacketKind::Opening)
            .then(|| director.connections.get(packet.hash))
            .flatten()
            .filter(|node| director.dead.get(usize::from(*node)) == Some(&false));
        if let Some(node) = tracked {
            director.connections.put(packet.hash, node, packet.now);
            return packet.served_by(node);
        }
        let Some(row) = director.rows.get(packet.hash as usize & (ROWS - 1)) else { return Arrival::Lost };
        if row.is_at_risk || self.tracks_all {
            director.connections.put(packet.hash, row.server, packet.now);
        }
        packet.served_by(row.server)
    }

    fn tracked(&self) -> u64 {
        self.directors.iter().map(|director| director.connections.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(numbers: std::ops::Range<NodeIndex>) -> Servers {
        numbers.map(|node| (node, STANDBY_WEIGHT)).collect()
    }

    #[test]
    fn exactly_the_rows_at_risk_move_when_the_horizon_is_added() {
        let before = rows(&[servers(0..10), servers(10..12)]);
        let after = rows(&[servers(0..12), Servers::new()]);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.is_at_risk, before.server != after.server);
        }
        let at_risk = before.iter().filter(|row| row.is_at_risk).count();
        assert!(at_risk.abs_diff(ROWS / 6) < ROWS / 100, "{at_risk} of {ROWS} rows");
    }

    #[test]
    fn part_of_the_horizon_moves_part_of_the_rows_at_risk() {
        let before = rows(&[servers(0..10), servers(10..12)]);
        let after = rows(&[servers(0..11), servers(11..12)]);
        let moved = before.iter().zip(&after).filter(|(before, after)| before.server != after.server);
        assert!(moved.clone().count() > 0 && moved.clone().all(|(before, _)| before.is_at_risk));
    }

    #[test]
    fn without_servers_there_are_no_rows() {
        assert!(rows(&[Servers::new(), servers(0..1)]).is_empty());
    }
}
