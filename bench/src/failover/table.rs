//! The tables of what clients saw.

use std::time::Duration;

use fairlead_tests::contenders::Contender;

use super::trial::{ClientView, REQUEST_EVERY};
use super::{FailoverEvent, FailoverSettings, Planned, TUNED_HOLD};
use crate::connections::ConnectionCount;
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};

const WITHOUT_SERVICE: &str = "time without service";
const FAILED: &str = "failed requests";
const SURVIVORS: &str = "survivors broken";
/// The window of the availability: a guide's script runs for about a minute.
const WINDOW: Duration = Duration::from_secs(60);
/// The period of a timeline.
const BUCKET: Duration = Duration::from_millis(100);
/// What a timeline shows: before the event, and after it until the slowest election.
const SHOWN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(11));

/// The tables while they fill.
pub(super) struct FailoverTables {
    events: ResultTable,
    timelines: Vec<(FailoverEvent, ResultTable)>,
}

impl FailoverTables {
    pub(super) fn new(settings: &FailoverSettings) -> Self {
        let micros = settings.probe_every.as_micros();
        let events = ResultTable {
            id: "failover".to_owned(),
            title: "Events as clients see them".to_owned(),
            method: format!(
                "Probes: a datagram every {micros} µs over 64 flows, each of which another one replaces after \
                 32 probes; an outage lasts from the first lost probe to the one after the last. Requests: \
                 HTTP, {} per second, each on a connection of its own, with one second for the answer; their \
                 availability is that of the minute after the event. 500 long-lived connections, every byte \
                 checked; survivors are those of other nodes than the failed one. Three nodes, \
                 externalTrafficPolicy Local; every event happens to a set-up of its own.",
                Duration::from_secs(1).as_micros() / REQUEST_EVERY.as_micros()
            ),
            labels: ["event", "set-up", "timers"].map(str::to_owned).into(),
            plot: Some(Plot::LogarithmicBars),
            ..ResultTable::default()
        };
        let is_drawn = |event: &&FailoverEvent| event.takes_node();
        let timelines = settings.events.iter().filter(is_drawn).map(|event| (*event, timeline(*event)));
        Self { events, timelines: timelines.collect() }
    }

    pub(super) fn record(&mut self, planned: Planned, timers: &str, view: &ClientView) {
        let Planned { event, contender, hold_time } = planned;
        let probes = view.probes.summary(view.probes_event);
        let requests = view.requests.summary(view.requests_event);
        let row = self.events.row_mut(&[event.name(), contender.name(), timers]);
        let mut seconds = |name, value: Duration| row.push(name, FigureUnit::Seconds, value.as_secs_f64());
        seconds(WITHOUT_SERVICE, probes.without_service);
        seconds("blur", probes.blur);
        seconds("time to recovery", probes.recovery);
        row.push(FAILED, FigureUnit::Count, count(requests.lost));
        row.push("availability", FigureUnit::Share, requests.availability(WINDOW, REQUEST_EVERY));
        let ConnectionCount { all, broken, survivors, survivors_broken } = view.connections;
        for (name, part, whole) in
            [("connections broken", broken, all), (SURVIVORS, survivors_broken, survivors)]
        {
            // On a local network, MetalLB's mode has all connections on one node: no other node serves any.
            if whole > 0 {
                row.push(name, FigureUnit::Share, f64::from(part) / f64::from(whole));
            }
        }
        let Some((_, timeline)) = self.timelines.iter_mut().find(|it| it.0 == event) else { return };
        if hold_time == TUNED_HOLD {
            for bucket in view.probes.timeline(view.probes_event, SHOWN.0, SHOWN.1, BUCKET) {
                let row = timeline.row_mut(&[contender.name(), &format!("{:.1}", bucket.start)]);
                row.push("served", FigureUnit::Share, bucket.served);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<ResultTable> {
        self.events.goals = goals(&self.events);
        std::iter::once(self.events).chain(self.timelines.into_iter().map(|(_, table)| table)).collect()
    }
}

fn timeline(event: FailoverEvent) -> ResultTable {
    ResultTable {
        id: format!("failover-timeline-{}", event.name().replace(' ', "-")),
        title: format!("Timeline: {}", event.name()),
        method: format!(
            "The share of probes that were answered, in periods of {} ms around the event.",
            BUCKET.as_millis()
        ),
        labels: ["set-up", "time"].map(str::to_owned).into(),
        plot: Some(Plot::Timeline),
        ..ResultTable::default()
    }
}

/// Returns the goals of the rows that are there.
fn goals(table: &ResultTable) -> Vec<Goal> {
    use Contender::{FairleadBgp, FairleadBgpBfd, FairleadL2, MetallbBgpBfd, MetallbL2};
    use FailoverEvent::{Join, NodeFailure, Shutdown};
    // Both detect within 150 ms; FRR needs up to 70 ms more for its kernel's route (see `routers`), and so
    // the middle is below 200 ms.
    let mut goals = vec![
        ("Fairlead on the local network is back soon", NodeFailure, FairleadL2, WITHOUT_SERVICE, 0.2),
        ("Fairlead with BFD is back soon", NodeFailure, FairleadBgpBfd, WITHOUT_SERVICE, 0.2),
    ];
    goals.extend(
        [FairleadL2, FairleadBgp, FairleadBgpBfd]
            .map(|it| ("no request fails when a node is shut down in order", Shutdown, it, FAILED, 0.0)),
    );
    goals.extend(
        [NodeFailure, Shutdown, Join]
            .map(|it| ("no connection of a healthy node breaks", it, FairleadBgpBfd, SURVIVORS, 0.0)),
    );
    let upper = goals.into_iter().map(|(name, event, contender, figure, limit)| {
        (name, event, contender, figure, Bound::AtMost(limit))
    });
    // What is compared with is as slow, and breaks as much, as its users report. The kernel's ECMP gives each
    // next hop a range of hashes: a fourth one moves half of all flows. What one less moves depends on its
    // place: a quarter of the survivors with the first or the last of three, none with the middle one.
    let lower = [
        ("an election by memberlist takes seconds", NodeFailure, MetallbL2, WITHOUT_SERVICE, 5.0),
        ("ECMP breaks connections of healthy nodes", Join, MetallbBgpBfd, SURVIVORS, 0.3),
    ];
    let lower = lower.into_iter().map(|(name, event, contender, figure, limit)| {
        (name, event, contender, figure, Bound::AtLeast(limit))
    });
    let goals = upper.chain(lower).filter_map(|(name, event, contender, figure, bound)| {
        let starts = [event.name(), contender.name()];
        let row = table.rows.iter().find(|row| row.labels.iter().take(2).eq(starts))?;
        Some(Goal {
            name: name.to_owned(),
            subject: GoalSubject::Figure { row: row.labels.clone(), figure: figure.to_owned() },
            bound,
        })
    });
    goals.collect()
}

#[allow(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 requests")]
fn count(requests: usize) -> f64 {
    requests as f64
}
