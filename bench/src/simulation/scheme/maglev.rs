//! Maglev hashing, stateless and with a connection table on each director.

use std::sync::Arc;

use lb_common::ring::NodeIndex;
use lb_pipeline::owner::{LivenessState, PacketKind};
use lb_plan::ring::{mix, seed};

use super::connections::Connections;
use super::memo::Memo;
use super::{Arrival, Scheme, SimulatedPacket, accepting, entry};
use crate::simulation::Tick;
use crate::simulation::world::View;

/// Entries of the table: a prime, which the permutations need; the size in most implementations.
pub const ENTRIES: usize = 65_537;

type Backend = (NodeIndex, u32);

/// Fills a table: in turn, each backend takes its next preferred free entries, as many as its weight. The
/// table is empty without backends.
pub fn fill(backends: &[Backend]) -> Vec<NodeIndex> {
    let mut preferences: Vec<Preference> = backends.iter().map(|(node, _)| Preference::of(*node)).collect();
    let mut table = vec![None; if backends.iter().any(|(_, weight)| *weight > 0) { ENTRIES } else { 0 }];
    let mut left = table.len();
    while left > 0 {
        for ((node, weight), preference) in backends.iter().zip(&mut preferences) {
            for _ in 0..(*weight as usize).min(left) {
                while table[preference.at].is_some() {
                    preference.advance();
                }
                table[preference.at] = Some(*node);
                left -= 1;
            }
        }
    }
    table.into_iter().flatten().collect()
}

/// A position in a backend's permutation of the entries.
struct Preference {
    at: usize,
    skip: usize,
}

impl Preference {
    fn of(node: NodeIndex) -> Self {
        let first = seed(format!("node-{node}").as_bytes());
        let at = (first % ENTRIES as u64) as usize;
        Self { at, skip: (mix(first) % (ENTRIES as u64 - 1)) as usize + 1 }
    }

    fn advance(&mut self) {
        self.at = (self.at + self.skip) % ENTRIES;
    }
}

/// Returns a table's node for a flow.
fn look_up(table: &[NodeIndex], hash: u64) -> Option<NodeIndex> {
    table.get((hash % ENTRIES as u64) as usize).copied()
}

/// Stateless Maglev: each director's table alone decides, for every packet.
#[derive(Default)]
pub struct Maglev {
    memo: Memo<Vec<Backend>, [NodeIndex]>,
    tables: Vec<Arc<[NodeIndex]>>,
}

impl Maglev {
    fn choose(&self, packet: &SimulatedPacket<'_>) -> Option<NodeIndex> {
        look_up(self.tables.get(usize::from(packet.director))?, packet.hash)
    }
}

impl Scheme for Maglev {
    fn name(&self) -> &'static str {
        "Maglev"
    }

    fn start(&mut self, node: NodeIndex) {
        *entry(&mut self.tables, node) = Arc::default();
    }

    fn update_view(&mut self, node: NodeIndex, view: &View, _now: Tick) {
        let table = self.memo.of(accepting(view), |backends| fill(backends).into());
        *entry(&mut self.tables, node) = table;
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        match self.choose(packet) {
            Some(node) if packet.reaches(packet.director) => packet.served_by(node),
            _ => Arrival::Lost,
        }
    }
}

/// The state of a director with a connection table.
#[derive(Clone, Default)]
struct Director {
    connections: Connections,
    /// Whether it considers each node dead, by index.
    dead: Vec<bool>,
}

/// Maglev with a connection table on each director, unknown to the others. An entry is valid while its node
/// lives, even if it drains.
pub struct MaglevWithConnections {
    sets: usize,
    maglev: Maglev,
    directors: Vec<Director>,
}

impl MaglevWithConnections {
    /// Creates the scheme with this many sets of eight connections on each director.
    pub fn new(sets: usize) -> Self {
        Self { sets, maglev: Maglev::default(), directors: Vec::new() }
    }
}

impl Scheme for MaglevWithConnections {
    fn name(&self) -> &'static str {
        "Maglev + table"
    }

    fn start(&mut self, node: NodeIndex) {
        self.maglev.start(node);
        *entry(&mut self.directors, node) =
            Director { connections: Connections::new(self.sets), dead: Vec::new() };
    }

    fn update_view(&mut self, node: NodeIndex, view: &View, now: Tick) {
        self.maglev.update_view(node, view, now);
        entry(&mut self.directors, node).dead =
            view.peers.iter().map(|peer| peer.liveness == LivenessState::Dead).collect();
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        if !packet.reaches(packet.director) {
            return Arrival::Lost;
        }
        let director = &mut self.directors[usize::from(packet.director)];
        let remembered = (packet.kind != PacketKind::Opening)
            .then(|| director.connections.get(packet.hash))
            .flatten()
            .filter(|node| director.dead.get(usize::from(*node)) == Some(&false));
        let Some(node) = remembered.or_else(|| self.maglev.choose(packet)) else { return Arrival::Lost };
        director.connections.put(packet.hash, node, packet.now);
        packet.served_by(node)
    }

    fn tracked(&self) -> u64 {
        self.directors.iter().map(|director| director.connections.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shared_in_proportion_to_weights() {
        let table = fill(&[(0, 1), (1, 1), (2, 2), (3, 0)]);
        let of = |node| table.iter().filter(|holder| **holder == node).count();
        assert_eq!(table.len(), ENTRIES);
        assert_eq!(of(3), 0);
        // With four backends in turn, none gets more than one entry too many.
        assert!(of(0).abs_diff(ENTRIES / 4) <= 2 && of(1).abs_diff(ENTRIES / 4) <= 2, "{} {}", of(0), of(1));
        assert!(of(2).abs_diff(ENTRIES / 2) <= 2, "{}", of(2));
    }

    #[test]
    fn few_entries_move_without_need() {
        let backends: Vec<Backend> = (0..12).map(|node| (node, 1)).collect();
        let (before, after) = (fill(&backends), fill(&backends[..11]));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        let needed = before.iter().filter(|node| **node == 11).count();
        assert!(moved > needed && moved - needed < ENTRIES / 20, "{moved} moved, {needed} had to");
    }

    #[test]
    fn without_backends_none_is_chosen() {
        assert!(fill(&[]).is_empty() && fill(&[(1, 0)]).is_empty());
        assert_eq!(look_up(&[], 7), None);
    }
}
