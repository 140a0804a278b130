//! The flows and the ticks in which they send.

use lb_common::hash::{FlowKeys, FlowPorts, HashKey, flow_hash_v4};

use super::Tick;
use super::random::Random;
use super::trace::Trace;

/// The number of a flow.
pub type Flow = u32;

/// Flows that open at random times and send until the end. On average the busiest send every fourth tick, the
/// quietest every sixty-fourth.
pub struct FlowSchedule {
    random: Random,
    hashes: Vec<u64>,
    /// The flows that send in each tick, apart from those that open.
    calendar: Vec<Vec<Flow>>,
    /// The flows that open in each tick.
    openings: Vec<Vec<Flow>>,
    silent_until: Tick,
}

impl FlowSchedule {
    /// Schedules this many flows over the duration of a trace.
    pub fn new(flows: u32, trace: &Trace, seed: u64) -> Self {
        let mut random = Random::new(seed, "traffic");
        let key = FlowKeys::of(&HashKey { k0: random.word(), k1: random.word() });
        let calendar = vec![Vec::new(); trace.ticks as usize];
        let mut openings = calendar.clone();
        let length = trace.opening.end - trace.opening.start;
        for flow in 0..flows {
            openings[(trace.opening.start + random.below(length)) as usize].push(flow);
        }
        Self {
            random,
            hashes: (0..flows).map(|flow| hash(&key, flow)).collect(),
            calendar,
            openings,
            silent_until: trace.silent_until,
        }
    }

    /// Returns the flows that send now, and schedules the next packet of each.
    pub fn due(&mut self, now: Tick) -> Vec<Flow> {
        let mut due = self.calendar.get_mut(now as usize).map(std::mem::take).unwrap_or_default();
        let opening = self.openings.get_mut(now as usize).map(std::mem::take).unwrap_or_default();
        for flow in &due {
            let pause = self.random.below(2 * period(*flow) - 1);
            // After the handshake.
            self.enter((now + 1 + pause).max(self.silent_until + pause), *flow);
        }
        for flow in &opening {
            // The client's ACK follows its SYN at once, but the cluster may have changed in the meantime.
            self.enter(now + 1, *flow);
        }
        due.extend(opening);
        due
    }

    fn enter(&mut self, at: Tick, flow: Flow) {
        if let Some(day) = self.calendar.get_mut(at as usize) {
            day.push(flow);
        }
    }

    /// Returns the flow's hash, as nodes compute it.
    pub fn hash(&self, flow: Flow) -> u64 {
        self.hashes[flow as usize]
    }

    /// Returns roughly the number of packets that `due` will return: a measure of work.
    pub fn packets(flows: u32, trace: &Trace) -> u64 {
        let of_five: u64 = (0..5).map(|flow| u64::from(trace.ticks / period(flow))).sum();
        u64::from(flows) * of_five / 5
    }
}

/// Returns the mean number of ticks between two packets of a flow.
const fn period(flow: Flow) -> Tick {
    4 << (flow % 5)
}

/// Returns the client of a flow; each client has eight flows.
fn hash(key: &FlowKeys, flow: Flow) -> u64 {
    let [_, a, b, c] = (flow / 8).to_be_bytes();
    let [high, low] = (32_768 + (flow % 8) as u16).to_be_bytes();
    let ports = FlowPorts { ports: [high, low, 1, 187], protocol: 6 };
    flow_hash_v4(key, [10, a, b, c], [198, 51, 100, 1], ports)
}
