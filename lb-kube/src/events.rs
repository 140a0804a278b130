//! Events, told one after the other and not too many of them.
//!
//! Whoever has something to tell never waits: what finds no room is not taken, and told when it is offered again.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use super::rate_limit::Budget;

/// Events that wait, at most.
const ROOM: usize = 1000;
/// Events that are told at once after a time of quiet, and a second after that.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;
/// How often it is looked whether another may be told.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A request that has no answer by then has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// The object that it is about.
    pub regarding: ObjectReference,
    /// Whether somebody must act.
    pub warning: bool,
    /// Why, in a word.
    pub reason: &'static str,
    /// What happened, in words.
    pub note: String,
    /// What was being done.
    pub action: &'static str,
}

/// Where Events are offered.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<News>,
}

/// Longest note that the server takes, in octets.
const LONGEST_NOTE: usize = 1024;

impl Events {
    /// A queue, and what tells of what is in it until the task is ended. `reporter` is who tells, and `instance`
    /// which one of several.
    pub fn new(client: Client, reporter: &str, instance: String) -> (Self, impl Future<Output = ()>) {
        let (queue, offered) = mpsc::channel(ROOM);
        let reporter = Reporter { controller: reporter.to_owned(), instance: Some(instance) };
        (Self { queue }, tell(Recorder::new(client, reporter), offered))
    }

    /// Offers something to tell; false where there is no room now.
    pub fn offer(&self, news: News) -> bool {
        self.queue.try_send(news).is_ok()
    }
}

async fn tell(recorder: Recorder, mut offered: mpsc::Receiver<News>) {
    let start = Instant::now();
    let mut budget = Budget::new(PER_SECOND, BURST);
    while let Some(news) = offered.recv().await {
        while budget.take(1, start.elapsed()) == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (event, regarding) = event(news);
        // An Event that cannot be written is only an Event.
        match tokio::time::timeout(ANSWER_WITHIN, recorder.publish(&event, &regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(reason = event.reason, %error, "the Event cannot be written"),
            Err(_) => tracing::debug!(reason = event.reason, "the Event has no answer"),
        }
    }
    std::future::pending().await
}

fn event(news: News) -> (Event, ObjectReference) {
    let News { regarding, warning, reason, mut note, action } = news;
    if note.len() > LONGEST_NOTE {
        note.truncate(note.floor_char_boundary(LONGEST_NOTE - '…'.len_utf8()));
        note.push('…');
    }
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
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
    fn a_note_that_is_too_long_for_the_server_is_cut_between_letters() {
        let news = |note: String| News {
            regarding: ObjectReference::default(),
            warning: true,
            reason: "r",
            note,
            action: "a",
        };
        let note = event(news("é".repeat(1000))).0.note.unwrap();
        assert!(note.len() <= LONGEST_NOTE && note.ends_with("é…"), "{note}");
        assert_eq!(event(news("short".into())).0.note.unwrap(), "short");
    }
}
