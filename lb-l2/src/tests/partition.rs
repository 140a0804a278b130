//! 200 clusters that fall apart and join again, nodes that die, freeze, start and drain.

use std::collections::BTreeSet;

use lb_common::maps::Standing;

use super::cluster::{Cluster, ms};

/// Milliseconds after which a node that has returned takes its addresses back. Shorter than the default, which
/// only makes the test longer.
const PREEMPT: u64 = 1500;
/// Milliseconds after an event within which each address has one announcer again.
const BOUND: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
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
#[derive(Clone, Debug, Default)]
struct Outcome {
    /// Milliseconds after the event until each address had one announcer for the first PREEMPT milliseconds.
    settled: u64,
    /// Milliseconds of the longest time later in which an address had none or several.
    longest_gap: u64,
    longest_double: u64,
    /// Most moves of one address after it had settled: before PREEMPT, and after.
    early_moves: usize,
    late_moves: usize,
}

fn main_part(cluster: &Cluster) -> Vec<usize> {
    cluster.parts().into_iter().collect()
}

/// Returns for each part and address the one node that answers; `Err` with their number if there are none or
/// several.
fn answers(cluster: &Cluster) -> Vec<Result<usize, usize>> {
    let mut all = Vec::new();
    for part in main_part(cluster) {
        let live: Vec<usize> = cluster.live(part).collect();
        let able: Vec<usize> =
            live.iter().copied().filter(|node| cluster.can_announce(*node, live.len())).collect();
        let candidates = cluster.candidates(&able);
        for (answering, candidates) in cluster.answering(part).into_iter().zip(candidates) {
            let mut nodes = answering.iter().copied();
            all.push(match (nodes.next(), nodes.next(), candidates) {
                (None, _, 0) => Ok(usize::MAX),
                (Some(node), None, _) => Ok(node),
                _ => Err(answering.len()),
            });
        }
    }
    all
}

/// Runs for some time after an event.
fn watch(cluster: &mut Cluster, time: u64) -> Outcome {
    let start = cluster.now;
    let mut outcome = Outcome::default();
    let mut current = answers(cluster);
    let mut last_fingerprint = cluster.fingerprint();
    let mut last: Vec<Option<usize>> = vec![None; answers(cluster).len()];
    let mut wrong_since: Vec<Option<(u64, usize)>> = vec![None; last.len()];
    let mut moves = vec![[0usize; 2]; last.len()];
    while cluster.now < start + time {
        cluster.step();
        if cluster.now % 3 != 0 {
            continue;
        }
        let fingerprint = cluster.fingerprint();
        if fingerprint != last_fingerprint {
            current = answers(cluster);
            last_fingerprint = fingerprint;
        }
        let after = cluster.now - start;
        let is_early = after < PREEMPT;
        for (place, answer) in current.iter().copied().enumerate() {
            match answer {
                Ok(node) => {
                    wrong_since[place] = None;
                    if after > BOUND && last[place].is_some_and(|before| before != node) {
                        moves[place][usize::from(!is_early)] += 1;
                    }
                    last[place] = Some(node);
                }
                Err(count) => {
                    if is_early {
                        outcome.settled = outcome.settled.max(after);
                    } else {
                        let since = wrong_since[place].get_or_insert((after, count)).0;
                        let longest =
                            if count == 0 { &mut outcome.longest_gap } else { &mut outcome.longest_double };
                        *longest = (*longest).max(after - since + 1);
                    }
                }
            }
        }
    }
    outcome.early_moves = moves.iter().map(|moves| moves[0]).max().unwrap_or(0);
    outcome.late_moves = moves.iter().map(|moves| moves[1]).max().unwrap_or(0);
    outcome
}

/// Chooses an event that can happen, and lets it happen.
fn happen(cluster: &mut Cluster) -> Event {
    let count = cluster.nodes.len() as u64;
    loop {
        let node = cluster.numbers.below(count) as usize;
        let is_split = cluster.parts().len() > 1;
        let it = &cluster.nodes[node];
        let event = match cluster.numbers.clone().below(8) {
            0..=2 if is_split => Event::Join,
            0..=2 => Event::Partition,
            3 if !it.is_up => Event::Start(node),
            3 if !it.is_frozen => Event::Kill(node),
            4 | 5 if it.is_frozen => Event::Thaw(node),
            4 | 5 if it.is_up => Event::Freeze(node),
            6 if it.is_up && !it.is_frozen => Event::ReplaceAgent(node),
            7 if it.is_up && !it.is_frozen && it.is_draining => Event::EndDrain(node),
            7 if it.is_up && !it.is_frozen => Event::Drain(node),
            _ => continue,
        };
        apply(cluster, event);
        return event;
    }
}

fn apply(cluster: &mut Cluster, event: Event) {
    match event {
        Event::Partition => {
            let parts = 2 + cluster.numbers.below(2);
            for node in 0..cluster.nodes.len() {
                cluster.nodes[node].part = cluster.numbers.below(parts) as usize;
                cluster.nodes[node].has_gateway = cluster.numbers.below(2) == 0;
            }
        }
        Event::Join => {
            for node in &mut cluster.nodes {
                (node.part, node.has_gateway) = (0, true);
            }
        }
        Event::Kill(node) => cluster.nodes[node].is_up = false,
        Event::Start(node) => cluster.restart(node),
        Event::Freeze(node) => cluster.nodes[node].is_frozen = true,
        Event::Thaw(node) => cluster.nodes[node].is_frozen = false,
        Event::ReplaceAgent(node) => cluster.nodes[node].agent_back = Some(cluster.now + 1000),
        Event::Drain(node) => cluster.nodes[node].is_draining = true,
        Event::EndDrain(node) => cluster.nodes[node].is_draining = false,
    }
}

#[test]
#[ignore]
fn measure() {
    let mut worst = std::collections::BTreeMap::<String, Outcome>::new();
    for seed in 0..std::env::var("SEEDS").map_or(40, |v| v.parse().unwrap()) {
        let mut cluster = Cluster::new(5, 12, Some(ms(PREEMPT)), seed);
        let outcome = watch(&mut cluster, 2 * PREEMPT + 500);
        let mut note = |name: &str, outcome: Outcome, line: String| {
            let entry = worst.entry(name.to_owned()).or_default();
            if outcome.settled > 300
                || outcome.early_moves > 0
                || outcome.late_moves > 1
                || outcome.longest_gap > 70
            {
                println!("{line}: {outcome:?}");
            }
            entry.settled = entry.settled.max(outcome.settled);
            entry.early_moves = entry.early_moves.max(outcome.early_moves);
            entry.late_moves = entry.late_moves.max(outcome.late_moves);
            entry.longest_gap = entry.longest_gap.max(outcome.longest_gap);
            entry.longest_double = entry.longest_double.max(outcome.longest_double);
        };
        note("start", outcome, format!("{seed} start"));
        for step in 0..6 {
            let event = happen(&mut cluster);
            let before: Vec<Standing> = cluster.nodes.iter().map(|node| node.said()).collect();
            let outcome = watch(&mut cluster, 2 * PREEMPT + 500);
            let name = format!("{event:?}");
            let name = name.split('(').next().unwrap();
            let after: Vec<Standing> = cluster.nodes.iter().map(|node| node.said()).collect();
            note(name, outcome, format!("{seed}.{step} {event:?} {before:?} -> {after:?}"));
        }
    }
    for (name, outcome) in worst {
        println!("{name}: {outcome:?}");
    }
    let _ = BTreeSet::<u8>::new();
}
