//! Traces of events in a cluster: one kind of event alone, or all of them overlapping.

mod upheaval;

use std::ops::Range;

use lb_common::ring::NodeIndex;
use serde::Serialize;

use super::Tick;
use super::random::Random;

/// The objects of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its weight relative to the others.
    pub weight: u32,
    /// Whether it is draining: it takes no new flows.
    pub draining: bool,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node with this weight starts and becomes a member, with the next free index.
    Join(u32),
    /// A member starts draining.
    Drain(NodeIndex),
    /// A member stops draining.
    Undrain(NodeIndex),
    /// A member's weight changes.
    Weigh(NodeIndex, u32),
    /// A node dies permanently; its object is removed after this many ticks.
    Die(NodeIndex, Tick),
    /// A node is unreachable for this many ticks, and keeps its connections.
    Vanish(NodeIndex, Tick),
    /// A node loses its connections and its state, and returns after this many ticks.
    Reboot(NodeIndex, Tick),
    /// The router removes a healthy node from its next hops for this many ticks.
    ResetSession(NodeIndex, Tick),
}

/// The subject of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A node joins.
    Join,
    /// A node joins, which doubles the ring.
    Doubling,
    /// A node is drained.
    Drain,
    /// A drained node comes back.
    Undrain,
    /// A node's weight is doubled.
    Heavier,
    /// A node's weight is cut to a quarter.
    Lighter,
    /// A node dies.
    Death,
    /// A node dies and returns with empty state.
    Reboot,
    /// A node is unreachable for less than the detection time.
    Flap,
    /// A node is unreachable for a little longer than the detection time.
    Absence,
    /// The router loses one node's BGP session.
    Session,
    /// Ninety nodes join ten, one after the other, and eighty of the first are drained, while all flows are
    /// silent.
    Scale,
    /// Two nodes are drained, one a second after the other.
    TwoDrains,
    /// No event: the control.
    Quiet,
    /// All events except reboots, overlapping.
    Upheaval,
    /// All events, overlapping.
    UpheavalWithReboots,
}

impl Subject {
    /// All subjects, single changes first.
    pub const ALL: [Self; 16] = [
        Self::Join,
        Self::Doubling,
        Self::Drain,
        Self::Undrain,
        Self::Heavier,
        Self::Lighter,
        Self::Death,
        Self::Reboot,
        Self::Flap,
        Self::Absence,
        Self::Session,
        Self::TwoDrains,
        Self::Quiet,
        Self::Scale,
        Self::Upheaval,
        Self::UpheavalWithReboots,
    ];

    /// Returns its name in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Doubling => "join, ring doubles",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Heavier => "weight × 2",
            Self::Lighter => "weight ÷ 4",
            Self::Death => "death",
            Self::Reboot => "reboot",
            Self::Flap => "flap 100 ms",
            Self::Absence => "absence 400 ms",
            Self::Session => "BGP session reset",
            Self::Scale => "scale, all silent",
            Self::TwoDrains => "two drains",
            Self::Quiet => "no change",
            Self::Upheaval => "all, overlapping",
            Self::UpheavalWithReboots => "all, with reboots",
        }
    }

    /// Returns how many of a hundred thousand connections Fairlead may break.
    ///
    /// A flow can open at a node that the previous ring did not have in its slot. If its next packet enters
    /// at a node that still uses that ring, no node finds it: rare, as both packets must fall into the
    /// propagation delay, and most frequent when a ring doubles. A node that has just started knows few
    /// former leaders, so when many start within seconds, a packet can reach the limit of asked nodes first.
    pub const fn bound(self) -> u64 {
        match self {
            Self::Doubling => 10,
            Self::Upheaval => 50,
            Self::UpheavalWithReboots => 100,
            _ => 0,
        }
    }
}

/// A cluster at its start, and its events.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The members at the start.
    pub members: Vec<Member>,
    /// The events in chronological order.
    pub events: Vec<(Tick, Event)>,
    /// The period in which flows open.
    pub opening: Range<Tick>,
    /// The time until which open flows are silent.
    pub silent_until: Tick,
    /// Its duration.
    pub ticks: Tick,
}

/// The default weight of a node.
const WEIGHT: u32 = 4;
/// The time of a single event: half of the flows open before it, the others while it takes effect and after.
const EVENT: Tick = 60;
/// The duration of a trace with a single event: long enough for the quietest flow to send after it.
const SINGLE: Tick = 260;
/// The time from a death to the removal of the object: 2 s.
const REMOVAL: Tick = 40;
/// The time from the first of two events to the second: a second.
const SECOND: Tick = 20;
/// The node of a single event.
const SUBJECT: NodeIndex = 1;

impl Trace {
    /// Returns the trace of a subject in a cluster with this many initial nodes.
    pub fn new(subject: Subject, nodes: u16, seed: u64) -> Self {
        let event = match subject {
            Subject::Scale => return Self::scale(),
            Subject::Upheaval => return upheaval::trace(nodes, false, Random::new(seed, "upheaval")),
            Subject::UpheavalWithReboots => {
                return upheaval::trace(nodes, true, Random::new(seed, "upheaval with reboots"));
            }
            Subject::Join | Subject::Doubling => Event::Join(WEIGHT),
            Subject::Drain | Subject::TwoDrains => Event::Drain(SUBJECT),
            Subject::Undrain => Event::Undrain(SUBJECT),
            Subject::Heavier => Event::Weigh(SUBJECT, WEIGHT * 2),
            Subject::Lighter => Event::Weigh(SUBJECT, WEIGHT / 4),
            Subject::Death => Event::Die(SUBJECT, REMOVAL),
            Subject::Reboot => Event::Reboot(SUBJECT, REMOVAL),
            Subject::Flap => Event::Vanish(SUBJECT, 2),
            Subject::Absence => Event::Vanish(SUBJECT, 8),
            Subject::Session => Event::ResetSession(SUBJECT, 20),
            // No outage at all.
            Subject::Quiet => Event::Weigh(SUBJECT, WEIGHT),
        };
        // The number of slots is a power of two, so one node more than a power of two doubles the ring.
        let nodes = if subject == Subject::Doubling { nodes.next_power_of_two() } else { nodes };
        let mut members = vec![Member { weight: WEIGHT, draining: false }; usize::from(nodes)];
        if subject == Subject::Undrain {
            members[usize::from(SUBJECT)].draining = true;
        }
        let mut events = vec![(EVENT, event)];
        if subject == Subject::TwoDrains {
            events.push((EVENT + SECOND, Event::Drain(SUBJECT + 1)));
        }
        Self { members, events, opening: 0..EVENT * 2, silent_until: 0, ticks: SINGLE }
    }

    /// Scales from ten nodes to a hundred and down to twenty during an hour of silence.
    fn scale() -> Self {
        const FIRST: u16 = 10;
        const JOINS: u16 = 90;
        const DRAINS: u16 = 80;
        /// 21 s.
        const SPACING: Tick = 424;
        let joins = (0..JOINS).map(|_| Event::Join(WEIGHT));
        let changes = joins.chain((0..DRAINS).map(Event::Drain));
        let at = |(place, event): (usize, Event)| (EVENT + SPACING * (place as Tick + 1), event);
        let events: Vec<_> = changes.enumerate().map(at).collect();
        let silent_until = EVENT + SPACING * (Tick::from(JOINS) + Tick::from(DRAINS) + 1);
        let members = vec![Member { weight: WEIGHT, draining: false }; usize::from(FIRST)];
        Self { members, events, opening: 0..EVENT, silent_until, ticks: silent_until + SINGLE }
    }

    /// Returns the time of the first event.
    pub fn first_event(&self) -> Tick {
        self.events.first().map_or(self.ticks, |(at, _)| *at)
    }
}
