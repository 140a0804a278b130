//! Stateless directors and servers that forward to each other, as in Beamer.

use std::collections::VecDeque;
use std::sync::Arc;

use lb_common::ring::{NO_NODE, NodeIndex};
use lb_pipeline::owner::PacketKind;
use lb_plan::ring::mix;

use super::holders::Holders;
use super::{Arrival, Scheme, SimulatedPacket, accepting, entry};
use crate::simulation::Tick;
use crate::simulation::random::Random;
use crate::simulation::world::View;

/// Buckets of the table: as many as the rows of the other schemes.
const BUCKETS: usize = 65_536;
/// Ticks after a change of a bucket in which its server forwards to the previous one: four minutes.
pub(crate) const WINDOW: Tick = 4800;

/// A bucket of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    server: NodeIndex,
    /// The server before the last change, or [`NO_NODE`].
    previous: NodeIndex,
    /// When the server changed last.
    changed: Tick,
}

/// The buckets of one moment.
type Buckets = Arc<[Bucket]>;
/// Servers with their weights.
type Servers = Vec<(NodeIndex, u32)>;

/// A controller assigns buckets to servers and moves as few as it can; directors ask only their copy of that
/// table. The packet carries the bucket's previous server and the time of the change, and a server that does
/// not know a connection forwards it there: the daisy chain has one link.
///
/// The controller is on the first node that is up, and has that node's view; each director has a new table
/// after a random delay. Of the buckets that must or may move, the controller takes the longest unchanged,
/// the best choice for this scheme.
pub struct Beamer {
    delay: Tick,
    random: Random,
    buckets: Buckets,
    servers: Servers,
    /// The last tick in which the controller looked.
    looked: Option<Tick>,
    /// The servers in each node's view, by index.
    views: Vec<Servers>,
    directors: Vec<Director>,
    holders: Holders,
}

/// A director: its table, and those in flight to it.
#[derive(Clone, Default)]
struct Director {
    buckets: Buckets,
    in_flight: VecDeque<(Tick, Buckets)>,
}

impl Beamer {
    /// Creates the scheme; a new table reaches each director within `delay` ticks.
    pub fn new(delay: Tick, seed: u64) -> Self {
        Self {
            delay,
            random: Random::new(seed, "beamer"),
            buckets: Buckets::default(),
            servers: Servers::new(),
            looked: None,
            views: Vec::new(),
            directors: Vec::new(),
            holders: Holders::default(),
        }
    }

    /// Makes a new table if the servers in this view are others, and sends it to the directors.
    fn control(&mut self, servers: Servers, now: Tick) {
        if servers.is_empty() || servers == self.servers {
            return;
        }
        let is_first = self.buckets.is_empty();
        self.buckets = assign(&self.buckets, &servers, now).into();
        self.servers = servers;
        for director in &mut self.directors {
            let delay = if is_first { 0 } else { self.random.below(self.delay + 1) };
            let arrival = director.in_flight.back().map_or(now + delay, |(last, _)| (now + delay).max(*last));
            director.in_flight.push_back((arrival, Arc::clone(&self.buckets)));
        }
    }
}

/// Gives each server its share of the buckets, and moves no more than that needs.
fn assign(buckets: &[Bucket], servers: &[(NodeIndex, u32)], now: Tick) -> Vec<Bucket> {
    let mut shares = shares(servers);
    if buckets.is_empty() {
        let owners = shares.into_iter().flat_map(|(server, count)| std::iter::repeat_n(server, count));
        let mut owners: Vec<NodeIndex> = owners.collect();
        // Neighboring hashes must not share a server.
        owners = scrambled(owners.len()).into_iter().map(|at| owners[at]).collect();
        let bucket = |server| Bucket { server, previous: NO_NODE, changed: 0 };
        return owners.into_iter().map(bucket).collect();
    }
    let mut buckets = buckets.to_vec();
    let mut order = scrambled(buckets.len());
    // The most recently changed keep their places, so that those move that have no chain.
    order.sort_by_key(|at| std::cmp::Reverse(buckets[*at].changed));
    let mut homeless = Vec::new();
    for at in order {
        match shares.iter_mut().find(|(server, _)| *server == buckets[at].server) {
            Some((_, left @ 1..)) => *left -= 1,
            _ => homeless.push(at),
        }
    }
    let free = shares.into_iter().flat_map(|(server, left)| std::iter::repeat_n(server, left));
    for (at, server) in homeless.into_iter().zip(free) {
        buckets[at] = Bucket { server, previous: buckets[at].server, changed: now };
    }
    buckets
}

/// Returns the number of buckets of each server: their sum is the number of buckets.
fn shares(servers: &[(NodeIndex, u32)]) -> Vec<(NodeIndex, usize)> {
    let total: u64 = servers.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut sum: u64 = 0;
    let mut given = 0;
    let share = |(server, weight): &(NodeIndex, u32)| {
        sum += u64::from(*weight);
        let until = (BUCKETS as u64 * sum / total.max(1)) as usize;
        let count = until - given;
        given = until;
        (*server, count)
    };
    servers.iter().map(share).collect()
}

/// Returns the positions below a number in an order that looks random.
fn scrambled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|at| mix(*at as u64 + 1));
    order
}

impl Scheme for Beamer {
    fn name(&self) -> &'static str {
        "daisy chain (Beamer)"
    }

    fn start(&mut self, node: NodeIndex) {
        *entry(&mut self.views, node) = Servers::new();
        // A director that starts reads the controller's table.
        *entry(&mut self.directors, node) =
            Director { buckets: Arc::clone(&self.buckets), in_flight: VecDeque::new() };
        self.holders.forget(node);
    }

    fn update_view(&mut self, node: NodeIndex, view: &View, _now: Tick) {
        *entry(&mut self.views, node) = accepting(view);
    }

    fn wake(&mut self, node: NodeIndex, now: Tick) {
        if self.looked.replace(now) != Some(now) {
            let servers = entry(&mut self.views, node).clone();
            self.control(servers, now);
        }
        let director = entry(&mut self.directors, node);
        while let Some((_, buckets)) = director.in_flight.pop_front_if(|(arrival, _)| *arrival <= now) {
            director.buckets = buckets;
        }
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        let director = self.directors.get(usize::from(packet.director));
        let bucket = director.and_then(|it| it.buckets.get(packet.hash as usize & (BUCKETS - 1))).copied();
        let Some(Bucket { server, previous, changed }) = bucket.filter(|_| packet.reaches(packet.director))
        else {
            return Arrival::Lost;
        };
        if !packet.reaches(server) {
            return Arrival::Lost;
        }
        if packet.kind == PacketKind::Opening {
            self.holders.put(packet.flow, server);
        }
        let is_chained = previous != NO_NODE && packet.now < changed + WINDOW;
        let is_known = self.holders.get(packet.flow) == server;
        packet.served_by(if is_known || !is_chained { server } else { previous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(buckets: &[Bucket], server: NodeIndex) -> usize {
        buckets.iter().filter(|bucket| bucket.server == server).count()
    }

    #[test]
    fn only_needed_buckets_move_and_remember_where_they_were() {
        let before = assign(&[], &[(0, 1), (1, 1), (2, 2)], 0);
        assert_eq!((before.len(), load(&before, 2)), (BUCKETS, BUCKETS / 2));
        let after = assign(&before, &[(0, 1), (2, 1)], 7);
        let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        assert_eq!(moved.len(), BUCKETS / 4);
        assert!(moved.iter().all(|(before, after)| {
            before.server == 1 && after.previous == 1 && after.changed == 7 && after.server != 1
        }));
        assert_eq!(load(&after, 0), BUCKETS / 2);
    }

    #[test]
    fn buckets_with_a_chain_move_last() {
        let first = assign(&[], &[(0, 1), (1, 1), (2, 1), (3, 1)], 0);
        let second = assign(&first, &[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)], 10);
        let third = assign(&second, &[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], 20);
        let has_lost = |(second, third): (&Bucket, &Bucket)| second.changed == 10 && third.changed == 20;
        // Server 4 must give some of its own, all of which have just moved.
        let lost = second.iter().zip(&third).filter(|pair| has_lost(*pair));
        assert!(lost.clone().count() > 0 && lost.clone().all(|(second, _)| second.server == 4));
    }
}
