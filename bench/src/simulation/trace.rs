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
    /// Its share, in proportion to the others'.
    pub weight: u32,
    /// Whether it is to take no new flows.
    pub draining: bool,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node with this weight starts and is made a member. It gets the next free index.
    Join(u32),
    /// A member is to take no new flows.
    Drain(NodeIndex),
    /// It may take them again.
    Undrain(NodeIndex),
    /// A member has another weight.
    Weigh(NodeIndex, u32),
    /// A node dies for good; its object is removed after so many ticks.
    Die(NodeIndex, Tick),
    /// A node cannot be reached for so many ticks, and keeps its connections.
    Vanish(NodeIndex, Tick),
    /// A node loses its connections and all that it knew, and is back after so many ticks.
    Reboot(NodeIndex, Tick),
    /// The router takes a node from its next hops for so many ticks; the node itself is well.
    ResetSession(NodeIndex, Tick),
}

/// The subject of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A node joins.
    Join,
    /// A node joins that the ring has to be doubled for.
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
    /// A node dies and comes back with nothing.
    Reboot,
    /// A node is away for less than it takes its peers to notice.
    Flap,
    /// A node is away for a little longer than that.
    Absence,
    /// The router loses one node's BGP session.
    Session,
    /// Ninety nodes join ten, one after the other, and eighty of the first are drained, while no flow sends
    /// anything.
    Scale,
    /// All events except reboots, overlapping.
    Upheaval,
    /// All events, overlapping.
    UpheavalWithReboots,
}

impl Subject {
    /// All of them, single changes first.
    pub const ALL: [Self; 14] = [
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
            Self::Upheaval => "all, overlapping",
            Self::UpheavalWithReboots => "all, with reboots",
        }
    }

    /// Returns how many of a hundred thousand connections Fairlead may break.
    ///
    /// A flow can open at a node that by the ring before did not stand in its slot. If its next packet enters
    /// where that ring is still in use, no node there finds it: rare, as both packets must fall in the time
    /// that news travel, and seen most where a ring doubles. And a node that has begun knows little of the
    /// past, so where many begin within seconds, a packet may have been asked of six before one is found that
    /// knows.
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
    /// The events in the order of time.
    pub events: Vec<(Tick, Event)>,
    /// When flows open.
    pub opening: Range<Tick>,
    /// Until when flows that are open send nothing.
    pub silent_until: Tick,
    /// How long it takes.
    pub ticks: Tick,
}

/// Weight of a node that nothing else is said of.
const WEIGHT: u32 = 4;
/// When a single event happens. Half of the flows open before it, the others while it takes effect and after.
const EVENT: Tick = 60;
/// Long enough after a single event that the most silent flow has sent.
const SINGLE: Tick = 260;
/// How long after a death the object goes: 2 s.
const REMOVAL: Tick = 40;
/// The node that a single event happens to.
const SUBJECT: NodeIndex = 1;

impl Trace {
    /// The trace of a subject in a cluster of so many nodes at first.
    pub fn new(subject: Subject, nodes: u16, seed: u64) -> Self {
        let event = match subject {
            Subject::Scale => return Self::scale(),
            Subject::Upheaval => return upheaval::trace(nodes, false, Random::new(seed, "upheaval")),
            Subject::UpheavalWithReboots => {
                return upheaval::trace(nodes, true, Random::new(seed, "upheaval with reboots"));
            }
            Subject::Join | Subject::Doubling => Event::Join(WEIGHT),
            Subject::Drain => Event::Drain(SUBJECT),
            Subject::Undrain => Event::Undrain(SUBJECT),
            Subject::Heavier => Event::Weigh(SUBJECT, WEIGHT * 2),
            Subject::Lighter => Event::Weigh(SUBJECT, WEIGHT / 4),
            Subject::Death => Event::Die(SUBJECT, REMOVAL),
            Subject::Reboot => Event::Reboot(SUBJECT, REMOVAL),
            Subject::Flap => Event::Vanish(SUBJECT, 2),
            Subject::Absence => Event::Vanish(SUBJECT, 8),
            Subject::Session => Event::ResetSession(SUBJECT, 20),
        };
        // A ring has a power of two of slots, so at a power of two of nodes one more doubles it.
        let nodes = if subject == Subject::Doubling { nodes.next_power_of_two() } else { nodes };
        let mut members = vec![Member { weight: WEIGHT, draining: false }; usize::from(nodes)];
        if subject == Subject::Undrain {
            members[usize::from(SUBJECT)].draining = true;
        }
        Self { members, events: vec![(EVENT, event)], opening: 0..EVENT * 2, silent_until: 0, ticks: SINGLE }
    }

    /// From ten nodes to a hundred and down to twenty in an hour of silence.
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

    /// When the first event happens.
    pub fn first_event(&self) -> Tick {
        self.events.first().map_or(self.ticks, |(at, _)| *at)
    }
}
