//! Permission to act as the leader, checked right before every write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

/// Whether this process may act as the leader. Clones say the same.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Until when; time ends it, whether or not anybody is there to say so.
    until: Arc<Mutex<Option<Instant>>>,
    /// To wake those who wait.
    leads: watch::Receiver<bool>,
    /// Writes that are under way.
    in_flight: Arc<watch::Sender<usize>>,
}

/// The candidate's side of a [`Leadership`].
#[derive(Debug)]
pub struct Grant {
    leadership: Leadership,
    leads: watch::Sender<bool>,
}

/// A write was not sent because this process does not lead any more.
#[derive(Debug, thiserror::Error)]
#[error("not sent: this process does not lead any more")]
pub(crate) struct NotLeading;

/// A write that is under way, until this is dropped.
#[derive(Debug)]
pub struct Write {
    leadership: Leadership,
}

impl Leadership {
    /// A leadership that nobody has yet, and what grants it.
    pub fn new_pair() -> (Grant, Self) {
        let (leads, leading) = watch::channel(false);
        let leadership =
            Self { until: Arc::default(), leads: leading, in_flight: Arc::new(watch::Sender::new(0)) };
        (Grant { leadership: leadership.clone(), leads }, leadership)
    }

    /// Whether this process may act now.
    pub fn may_act(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until it begins or ends.
    pub async fn changed(&mut self) {
        if self.leads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Begins a write; `None` where this process may not act.
    pub fn begin(&self) -> Option<Write> {
        // Counted first: whoever revokes the leadership waits for what has been counted.
        self.in_flight.send_modify(|count| *count += 1);
        let write = Write { leadership: self.clone() };
        self.may_act().then_some(write)
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.leadership.in_flight.send_modify(|count| *count -= 1);
    }
}

impl Grant {
    /// Grants it until then, or not at all. Returns whether this process leads now where that has changed.
    pub fn set(&self, until: Option<Instant>) -> Option<bool> {
        *self.leadership.until() = until;
        let leads = self.leadership.may_act();
        self.leads.send_if_modified(|before| std::mem::replace(before, leads) != leads).then_some(leads)
    }

    /// Waits until no write is under way.
    pub async fn drained(&self) {
        let mut in_flight = self.leadership.in_flight.subscribe();
        // The sender lives as long as this.
        let _ = in_flight.wait_for(|count| *count == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_ends_it_without_anybody_saying_so() {
        let (grant, leadership) = Leadership::new_pair();
        assert!(!leadership.may_act() && leadership.begin().is_none());
        assert_eq!(grant.set(Some(Instant::now() + Duration::from_millis(50))), Some(true));
        assert!(leadership.begin().is_some());
        std::thread::sleep(Duration::from_millis(60));
        assert!(!leadership.may_act());
        assert_eq!(grant.set(Some(Instant::now())), Some(false), "and who waits is woken");
    }

    #[tokio::test]
    async fn what_is_under_way_is_waited_for() {
        let (grant, leadership) = Leadership::new_pair();
        grant.set(Some(Instant::now() + Duration::from_secs(60)));
        let write = leadership.begin();
        grant.set(None);
        assert!(leadership.begin().is_none());
        let wait = tokio::time::timeout(Duration::from_millis(20), grant.drained());
        assert!(wait.await.is_err(), "one is under way");
        drop(write);
        grant.drained().await;
    }
}
