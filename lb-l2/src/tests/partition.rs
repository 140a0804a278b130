//! Clusters that fall apart and join again, nodes that die, freeze, start and drain. At all times one node of
//! each part answers for each address, except shortly after an event and while an address moves back.

use super::cluster::{Cluster, PROBE, ms};

/// Milliseconds after which a node that has returned takes its addresses back. The default of a minute would
/// only make the test longer.
const PREEMPT: u64 = 1500;
/// Milliseconds after an event until each address has one announcer: the detection time, a tick of the clock
/// that measures it, and two probe intervals, in which a node and the one that holds it learn of each other.
const BOUND: u64 = 150 + 10 + 2 * PROBE;
/// Milliseconds in which an address may have none or two while it moves back: a probe interval and the time
/// of two packets.
const HANDOVER: u64 = PROBE + 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClusterEvent {
    Partition,
    Join,
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    ReplaceAgent(usize),
    Drain(usize),
    EndDrain(usize),
}

/// What happened between two events.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// Milliseconds after the event until each address had one announcer.
    settled: u64,
    /// Longest time after that in which an address had none or several: before a node that has returned may
    /// take addresses back, and later.
    early_handover: u64,
    late_handover: u64,
    /// Most moves of one address after all had settled, in the same times.
    early_moves: usize,
    late_moves: usize,
}

/// The announcer of each address in each part; `None` if there are none or several.
fn announcers(cluster: &Cluster) -> Vec<Option<usize>> {
    let mut all = Vec::new();
    for part in cluster.parts() {
        let live: Vec<usize> = cluster.live(part).collect();
        let can = |node: &usize| cluster.can_announce(*node, live.len());
        let candidates = cluster.candidates(&live.iter().copied().filter(can).collect::<Vec<_>>());
        for (answering, candidates) in cluster.answering(part).into_iter().zip(candidates) {
            all.push(match (answering.first(), answering.len(), candidates) {
                (None, _, 0) => Some(usize::MAX),
                (Some(node), 1, _) => Some(*node),
                _ => None,
            });
        }
    }
    all
}

/// An address in a part.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    announcer: Option<usize>,
    wrong_since: Option<u64>,
    moves: [usize; 2],
}

impl Place {
    fn handle(&mut self, announcer: Option<usize>, after: u64, outcome: &mut Outcome) {
        let Some(node) = announcer else {
            let since = *self.wrong_since.get_or_insert(after);
            match since {
                ..BOUND => outcome.settled = outcome.settled.max(after + 1),
                BOUND..PREEMPT => outcome.early_handover = outcome.early_handover.max(after - since + 1),
                _ => outcome.late_handover = outcome.late_handover.max(after - since + 1),
            }
            return;
        };
        self.wrong_since = None;
        let before = self.announcer.replace(node);
        if after > BOUND && before != Some(node) {
            self.moves[usize::from(after >= PREEMPT)] += 1;
        }
    }
}

/// Runs for some time after an event.
fn watch(cluster: &mut Cluster, time: u64) -> Outcome {
    let start = cluster.now;
    let mut outcome = Outcome::default();
    let (mut fingerprint, mut now) = (cluster.fingerprint(), announcers(cluster));
    let mut places: Vec<Place> = now.iter().map(|_| Place::default()).collect();
    while cluster.now < start + time {
        for (place, announcer) in places.iter_mut().zip(&now) {
            place.handle(*announcer, cluster.now - start, &mut outcome);
        }
        cluster.step();
        let next = cluster.fingerprint();
        if next != fingerprint {
            (fingerprint, now) = (next, announcers(cluster));
        }
    }
    let most = |which: usize| places.iter().map(|place| place.moves[which]).max().unwrap_or(0);
    Outcome { early_moves: most(0), late_moves: most(1), ..outcome }
}

/// Chooses an event that can happen, and lets it happen. Where `replace` is false, no agent is replaced: a
/// node without an agent does not learn what the others say of themselves meanwhile.
fn happen(cluster: &mut Cluster, replace: bool) -> ClusterEvent {
    loop {
        let node = cluster.numbers.below(cluster.nodes.len() as u64) as usize;
        let (it, is_split) = (&cluster.nodes[node], cluster.parts().len() > 1);
        let (is_up, is_running) = (it.is_up, it.is_up && !it.is_frozen);
        let event = match (cluster.numbers.clone().below(8), it.is_draining) {
            (0..=2, _) if is_split => ClusterEvent::Join,
            (0..=2, _) => ClusterEvent::Partition,
            (3, _) if !is_up => ClusterEvent::Start(node),
            (3, _) if is_running => ClusterEvent::Kill(node),
            (4 | 5, _) if is_running => ClusterEvent::Freeze(node),
            (4 | 5, _) if is_up => ClusterEvent::Thaw(node),
            (6, _) if is_running && replace => ClusterEvent::ReplaceAgent(node),
            (7, true) if is_running => ClusterEvent::EndDrain(node),
            (7, false) if is_running => ClusterEvent::Drain(node),
            _ => continue,
        };
        apply(cluster, event);
        return event;
    }
}

fn apply(cluster: &mut Cluster, event: ClusterEvent) {
    match event {
        ClusterEvent::Partition => {
            let parts = 2 + cluster.numbers.below(2);
            for node in 0..cluster.nodes.len() {
                cluster.nodes[node].part = cluster.numbers.below(parts) as usize;
                cluster.nodes[node].has_gateway = cluster.numbers.below(2) == 0;
            }
        }
        ClusterEvent::Join => {
            for node in &mut cluster.nodes {
                (node.part, node.has_gateway) = (0, true);
            }
        }
        ClusterEvent::Kill(node) => cluster.nodes[node].is_up = false,
        ClusterEvent::Start(node) => cluster.restart(node),
        ClusterEvent::Freeze(node) => cluster.nodes[node].is_frozen = true,
        ClusterEvent::Thaw(node) => cluster.nodes[node].is_frozen = false,
        ClusterEvent::ReplaceAgent(node) => cluster.nodes[node].agent_back = Some(cluster.now + 1000),
        ClusterEvent::Drain(node) => cluster.nodes[node].is_draining = true,
        ClusterEvent::EndDrain(node) => cluster.nodes[node].is_draining = false,
    }
}

fn scenarios() -> u64 {
    std::env::var("SCENARIOS").ok().and_then(|count| count.parse().ok()).unwrap_or(200)
}

#[test]
fn one_node_announces_an_address_in_each_part_and_an_address_moves_back_once() {
    let mut worst = Outcome::default();
    for seed in 0..scenarios() {
        let mut cluster = Cluster::new(5, 12, Some(ms(PREEMPT)), seed);
        watch(&mut cluster, 2 * PREEMPT + 500);
        for step in 0..6 {
            let event = happen(&mut cluster, true);
            let outcome = watch(&mut cluster, 2 * PREEMPT + 500);
            let what = || format!("{seed}.{step}: {event:?}: {outcome:?}");
            assert!(outcome.settled <= BOUND, "{}", what());
            assert_eq!((outcome.early_moves, outcome.early_handover), (0, 0), "{}", what());
            assert!(outcome.late_moves <= 1 && outcome.late_handover <= HANDOVER, "{}", what());
            worst.settled = worst.settled.max(outcome.settled);
            worst.late_handover = worst.late_handover.max(outcome.late_handover);
        }
    }
    println!("settled within {} ms, moved back within {} ms", worst.settled, worst.late_handover);
}

#[test]
fn one_node_announces_an_address_after_events_in_quick_succession() {
    let (mut settled, mut handover) = (0, 0);
    for seed in 0..scenarios() / 2 {
        let mut cluster = Cluster::new(5, 12, Some(ms(PREEMPT)), 1_000_000 + seed);
        watch(&mut cluster, 1000);
        for step in 0..20 {
            let event = happen(&mut cluster, false);
            let time = 1 + cluster.numbers.below(PREEMPT);
            let outcome = watch(&mut cluster, time);
            let gap = outcome.early_handover.max(outcome.late_handover);
            // Nodes may become stable at the same time, or before all have heard of the event.
            assert!(outcome.settled <= BOUND + 2 * HANDOVER, "{seed}.{step}: {event:?}: {outcome:?}");
            assert!(gap <= 2 * HANDOVER, "{seed}.{step}: {event:?}: {outcome:?}");
            settled = settled.max(outcome.settled);
            handover = handover.max(gap);
        }
    }
    println!("settled within {settled} ms, moved back within {handover} ms");
}

#[test]
fn without_preemption_no_address_moves_back() {
    for seed in 0..scenarios() / 80 {
        let mut cluster = Cluster::new(5, 12, None, 2_000_000 + seed);
        watch(&mut cluster, 1000);
        for step in 0..4 {
            let event = happen(&mut cluster, true);
            let outcome = watch(&mut cluster, 130_000);
            let what = || format!("{seed}.{step}: {event:?}: {outcome:?}");
            assert!(outcome.settled <= BOUND, "{}", what());
            assert_eq!((outcome.early_moves, outcome.late_moves), (0, 0), "{}", what());
            assert_eq!((outcome.early_handover, outcome.late_handover), (0, 0), "{}", what());
        }
    }
}
