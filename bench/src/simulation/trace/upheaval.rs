//! Traces of overlapping events.

use lb_common::ring::NodeIndex;

use super::{EVENT, Event, REMOVAL, Tick, Trace, WEIGHT};
use crate::simulation::random::Random;
use crate::simulation::trace::Member;

/// Ticks between two events: shorter than most of them take.
const SPACING: Tick = 15;
/// The duration of the events.
const TICKS: Tick = 480;
/// The quiet period at the end, in which every flow sends once more.
const REST: Tick = 60;
/// The possible weights of nodes.
const WEIGHTS: [u32; 4] = [1, 2, 4, 8];

/// The state of a node after the events so far.
#[derive(Clone, Copy)]
struct Node {
    dead: bool,
    draining: bool,
    /// The end of its current event.
    busy: Tick,
}

/// Returns a trace of random events at random nodes; half of the initial number of nodes stay healthy.
/// Reboots happen only if requested.
pub(super) fn trace(nodes: u16, reboots: bool, mut random: Random) -> Trace {
    let mut cluster = vec![Node { dead: false, draining: false, busy: 0 }; usize::from(nodes)];
    let kinds = if reboots { 9 } else { 8 };
    let mut events = Vec::new();
    for at in (EVENT..TICKS - REST).step_by(SPACING as usize) {
        let kind = random.below(kinds);
        let event = event(&cluster, kind, usize::from(nodes), at, &mut random);
        note(&mut cluster, event, at);
        events.push((at, event));
    }
    let members = vec![Member { weight: WEIGHT, draining: false }; usize::from(nodes)];
    Trace { members, events, opening: 0..TICKS - REST, silent_until: 0, ticks: TICKS }
}

/// Returns an event of this kind, or a join if no node is eligible.
fn event(cluster: &[Node], kind: u32, first: usize, at: Tick, random: &mut Random) -> Event {
    let free = |node: &Node| !node.dead && node.busy <= at;
    let well: Vec<NodeIndex> = select(cluster, |node| free(node) && !node.draining);
    let drained: Vec<NodeIndex> = select(cluster, |node| free(node) && node.draining);
    let spare = well.len() > first / 2;
    let weight = random.choose(&WEIGHTS).unwrap_or(WEIGHT);
    let chosen = match kind {
        0 => None,
        1 if spare => random.choose(&well).map(Event::Drain),
        2 => random.choose(&drained).map(Event::Undrain),
        3 if spare => random.choose(&well).map(|node| Event::Die(node, REMOVAL)),
        4 if spare => random.choose(&well).map(|node| Event::Vanish(node, 2 + random.below(12))),
        5 if spare => random.choose(&well).map(|node| Event::ResetSession(node, 20)),
        8 if spare => random.choose(&well).map(|node| Event::Reboot(node, REMOVAL)),
        _ => random.choose(&well).map(|node| Event::Weigh(node, weight)),
    };
    chosen.unwrap_or(Event::Join(weight))
}

fn select(cluster: &[Node], matches: impl Fn(&Node) -> bool) -> Vec<NodeIndex> {
    (0..).zip(cluster).filter(|(_, node)| matches(node)).map(|(index, _)| index).collect()
}

fn note(cluster: &mut Vec<Node>, event: Event, at: Tick) {
    let mut at_node = |node: NodeIndex, change: fn(&mut Node), lasts: Tick| {
        let node = &mut cluster[usize::from(node)];
        change(node);
        node.busy = at + lasts;
    };
    match event {
        Event::Join(_) => cluster.push(Node { dead: false, draining: false, busy: at + SPACING }),
        Event::Drain(node) => at_node(node, |node| node.draining = true, 0),
        Event::Undrain(node) => at_node(node, |node| node.draining = false, 0),
        Event::Die(node, _) => at_node(node, |node| node.dead = true, 0),
        Event::Vanish(node, ticks) | Event::Reboot(node, ticks) | Event::ResetSession(node, ticks) => {
            at_node(node, |_| {}, ticks);
        }
        Event::Weigh(..) => {}
    }
}
