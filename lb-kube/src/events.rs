//! The Event queue: emits Events one at a time, at a limited rate.
//!
//! Emitting never blocks: if the queue is full, the Event is not accepted, and the caller may try again
//! later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::mpsc;

use crate::event_reason::EventReason;
use crate::rate_limit::TokenBucket;

/// Interval at which a queue that has used up its rate looks for a token.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which an Event is repeated in a series: a recorder's.
const SERIES_TIME: Duration = Duration::from_secs(360);
/// The longest note that the server accepts, in bytes.
const MAX_NOTE: usize = 1024;

/// An Event to emit.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The object that the Event is about. A Service's UID may be missing: the queue looks it up.
    pub regarding: ObjectReference,
    /// The reason, which decides the type.
    pub reason: EventReason,
    /// The message.
    pub note: String,
    /// The action that was taken or failed.
    pub action: &'static str,
}

/// The limits of a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventLimits {
    /// Events per second.
    pub(crate) per_second: f64,
    /// Events that are emitted at once after an idle time.
    pub(crate) burst: f64,
    /// Events that may wait in the queue.
    pub(crate) capacity: usize,
}

impl EventLimits {
    /// For a controller, of which one per cluster emits Events.
    pub const CONTROLLER: Self = Self { per_second: 20.0, burst: 100.0, capacity: 1000 };
    /// For an agent, of which there is one per node.
    pub(crate) const AGENT: Self = Self { per_second: 5.0, burst: 100.0, capacity: 100 };
}

/// The sending side of the queue.
#[derive(Clone, Debug)]
pub struct EventQueue {
    queue: mpsc::Sender<NewEvent>,
}

impl EventQueue {
    /// Creates a queue, and the task that emits its Events until it is aborted. `component` and `instance`
    /// are reported as the source of the Events.
    pub fn new(
        client: Client,
        component: &str,
        instance: String,
        limits: EventLimits,
    ) -> (Self, impl Future<Output = ()>) {
        let (queue, events) = mpsc::channel(limits.capacity);
        let reporter = Reporter { controller: component.to_owned(), instance: Some(instance) };
        let recorders = Recorders { client, reporter, by_note: BTreeMap::new() };
        (Self { queue }, emit_all(recorders, limits, events))
    }

    /// Queues an Event; returns false if the queue is full.
    pub fn try_emit(&self, event: NewEvent) -> bool {
        self.queue.try_send(event).is_ok()
    }
}

/// The facts about which Events have been emitted: each fact once, for as long as it holds.
#[derive(Debug)]
pub struct EmittedFacts<Fact>(BTreeSet<Fact>);

impl<Fact> Default for EmittedFacts<Fact> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<Fact: Ord> EmittedFacts<Fact> {
    /// Creates a set of facts that need no Event any more.
    pub(crate) fn new(facts: impl IntoIterator<Item = Fact>) -> Self {
        Self(facts.into_iter().collect())
    }

    /// Calls `emit` for each fact that is new among those that hold now. A fact for which it returns false is
    /// new again the next time. Returns whether all facts have been emitted.
    pub fn update(
        &mut self,
        facts: impl IntoIterator<Item = Fact>,
        mut emit: impl FnMut(&Fact) -> bool,
    ) -> bool {
        let mut emitted = BTreeSet::new();
        let mut is_complete = true;
        for fact in facts {
            if self.0.contains(&fact) || emitted.contains(&fact) || emit(&fact) {
                emitted.insert(fact);
            } else {
                is_complete = false;
            }
        }
        self.0 = emitted;
        is_complete
    }
}

/// A recorder for each note. One recorder makes a series of all Events with the same object and reason, and
/// the series has the note of its first Event only.
struct Recorders {
    client: Client,
    reporter: Reporter,
    by_note: BTreeMap<String, (Recorder, Instant)>,
}

impl Recorders {
    fn get(&mut self, note: &str) -> Recorder {
        let now = Instant::now();
        self.by_note.retain(|_, (_, used)| now.saturating_duration_since(*used) < SERIES_TIME);
        let (recorder, used) = self.by_note.entry(note.to_owned()).or_insert_with(|| {
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            (recorder, now)
        });
        *used = now;
        recorder.clone()
    }
}

async fn emit_all(mut recorders: Recorders, limits: EventLimits, mut events: mpsc::Receiver<NewEvent>) {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(limits.per_second, limits.burst);
    while let Some(event) = events.recv().await {
        while bucket.take(1, start.elapsed()) == 0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let (reason, recorder) = (event.reason.as_str(), recorders.get(&event.note));
        // Best effort: an Event that cannot be written is lost.
        match tokio::time::timeout(REQUEST_TIMEOUT, emit(&recorders.client, &recorder, event)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(reason, %error, "cannot write Event"),
            Err(_) => tracing::debug!(reason, "cannot write Event: no response from the API server"),
        }
    }
    std::future::pending().await
}

async fn emit(client: &Client, recorder: &Recorder, event: NewEvent) -> kube::Result<()> {
    let (event, mut regarding) = to_api(event);
    if regarding.uid.is_none() && regarding.kind.as_deref() == Some("Service") {
        regarding = look_up_service(client, &regarding).await?;
    }
    recorder.publish(&event, &regarding).await
}

/// Returns a reference with the UID, by which `kubectl describe` finds Events.
async fn look_up_service(client: &Client, regarding: &ObjectReference) -> kube::Result<ObjectReference> {
    let namespace = regarding.namespace.as_deref().unwrap_or_default();
    let name = regarding.name.as_deref().unwrap_or_default();
    let service = Api::<Service>::namespaced(client.clone(), namespace).get(name).await?;
    Ok(ObjectReference { resource_version: service.resource_version(), ..service.object_ref(&()) })
}

fn to_api(event: NewEvent) -> (Event, ObjectReference) {
    let NewEvent { regarding, reason, mut note, action } = event;
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE - '…'.len_utf8()));
        note.push('…');
    }
    let event = Event {
        type_: if reason.is_warning() { EventType::Warning } else { EventType::Normal },
        reason: reason.as_str().to_owned(),
        note: Some(note),
        action: action.to_owned(),
        secondary: None,
    };
    (event, regarding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_is_too_long_for_the_server_is_cut_at_a_character_boundary() {
        let event = |note: String| NewEvent {
            regarding: ObjectReference::default(),
            reason: EventReason::ConfigurationError,
            note,
            action: "a",
        };
        let note = to_api(event("é".repeat(1000))).0.note.unwrap();
        assert!(note.len() <= MAX_NOTE && note.ends_with("é…"), "{note}");
        assert_eq!(to_api(event("short".into())).0.note.unwrap(), "short");
    }

    #[test]
    fn a_fact_is_emitted_once_and_again_when_it_begins_again_or_did_not_fit() {
        let mut facts = EmittedFacts::new(["old"]);
        let mut update = |current: &[&'static str], has_room: bool| {
            let mut emitted = Vec::new();
            let is_complete = facts.update(current.iter().copied(), |fact| {
                emitted.push(*fact);
                has_room
            });
            (emitted, is_complete)
        };
        assert_eq!(update(&["b", "old", "a", "b"], true), (vec!["b", "a"], true));
        assert_eq!(update(&["b", "old", "a"], true), (vec![], true));
        assert_eq!(update(&["a"], true), (vec![], true));
        assert_eq!(update(&["a", "b"], false), (vec!["b"], false));
        assert_eq!(update(&["a", "b"], true), (vec!["b"], true));
    }
}
