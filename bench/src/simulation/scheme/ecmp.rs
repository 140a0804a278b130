//! ECMP without a data plane: the node that the router chooses serves.

use lb_common::ring::NodeIndex;
use lb_plan::ring::mix;

use super::{Arrival, Scheme, SimulatedPacket};
use crate::simulation::Tick;
use crate::simulation::world::View;

/// Hash modulo next hops, the default of routers.
pub struct PlainEcmp;

impl Scheme for PlainEcmp {
    fn name(&self) -> &'static str {
        "ECMP"
    }

    fn start(&mut self, _node: NodeIndex) {}

    fn update_view(&mut self, _node: NodeIndex, _view: &View, _now: Tick) {}

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        packet.served_by(packet.director)
    }
}

/// Buckets of the router's table.
const BUCKETS: usize = 4096;
/// Ticks without a packet after which a bucket may move to a new next hop: 120 s, the default of Linux.
const IDLE: Tick = 2400;

/// A bucket of flows.
#[derive(Clone, Copy, Default)]
struct Bucket {
    next_hop: NodeIndex,
    used: Tick,
}

/// Resilient hashing: buckets keep their next hop while it exists. The buckets of a removed next hop are
/// spread over the others; a new or returning next hop gets buckets as they become idle.
#[derive(Default)]
pub struct ResilientEcmp {
    buckets: Vec<Bucket>,
    next_hops: Vec<NodeIndex>,
}

impl ResilientEcmp {
    /// Returns the number of buckets of a next hop.
    fn load(&self, next_hop: NodeIndex) -> usize {
        self.buckets.iter().filter(|bucket| bucket.next_hop == next_hop).count()
    }

    /// Returns the next hop with the fewest buckets.
    fn lightest(&self) -> Option<NodeIndex> {
        self.next_hops.iter().copied().min_by_key(|next_hop| self.load(*next_hop))
    }

    /// Moves an idle bucket to a next hop with too few, if its own next hop has enough.
    fn give_away(&mut self, at: usize) {
        let fair = BUCKETS / self.next_hops.len().max(1);
        if let Some(lightest) = self.lightest()
            && self.load(lightest) < fair
            && self.load(self.buckets[at].next_hop) > fair
        {
            self.buckets[at].next_hop = lightest;
        }
    }
}

impl Scheme for ResilientEcmp {
    fn name(&self) -> &'static str {
        "resilient ECMP"
    }

    fn start(&mut self, _node: NodeIndex) {}

    fn update_view(&mut self, _node: NodeIndex, _view: &View, _now: Tick) {}

    fn reroute(&mut self, next_hops: &[NodeIndex], now: Tick) {
        self.next_hops = next_hops.to_vec();
        if self.buckets.is_empty() {
            let in_turn = next_hops.iter().cycle().take(BUCKETS);
            self.buckets = in_turn.map(|next_hop| Bucket { next_hop: *next_hop, used: now }).collect();
        }
        for at in 0..self.buckets.len() {
            if !next_hops.contains(&self.buckets[at].next_hop)
                && let Some(lightest) = self.lightest()
            {
                self.buckets[at].next_hop = lightest;
            }
        }
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        let at = (mix(packet.hash ^ 0xc2b2_ae3d_27d4_eb4f) % BUCKETS as u64) as usize;
        if packet.now - self.buckets[at].used > IDLE {
            self.give_away(at);
        }
        self.buckets[at].used = packet.now;
        packet.served_by(self.buckets[at].next_hop)
    }
}
