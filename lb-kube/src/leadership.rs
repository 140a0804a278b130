//! Whether this process is the leader, checked right before every write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

/// Whether this process is the leader. Clones share the state.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// When it ends; it ends at this time even if the election task does not run.
    until: Arc<Mutex<Option<Instant>>>,
    /// Notifies of changes.
    leads: watch::Receiver<bool>,
    /// Number of writes in flight.
    in_flight: Arc<watch::Sender<usize>>,
}

/// The side of a [`Leadership`] that the election task sets.
#[derive(Debug)]
pub struct LeadershipSender {
    leadership: Leadership,
    leads: watch::Sender<bool>,
}

/// A write was not sent because this process no longer leads.
#[derive(Debug, thiserror::Error)]
#[error("not sent: this process is no longer the leader")]
pub(crate) struct NotLeading;

/// Counts a write as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightWrite {
    leadership: Leadership,
}

impl Leadership {
    /// Creates a leadership that is not held yet, and its sender.
    pub fn channel() -> (LeadershipSender, Self) {
        let (leads, is_leading) = watch::channel(false);
        let leadership =
            Self { until: Arc::default(), leads: is_leading, in_flight: Arc::new(watch::Sender::new(0)) };
        (LeadershipSender { leadership: leadership.clone(), leads }, leadership)
    }

    /// Returns whether this process is the leader now.
    pub fn is_leader(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the leadership begins or ends.
    pub async fn changed(&mut self) {
        if self.leads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Begins a write; `None` if this process is not the leader.
    pub(crate) fn begin(&self) -> Option<InFlightWrite> {
        // Count first: revoking the leadership waits for the writes that have been counted.
        self.in_flight.send_modify(|count| *count += 1);
        let write = InFlightWrite { leadership: self.clone() };
        self.is_leader().then_some(write)
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightWrite {
    fn drop(&mut self) {
        self.leadership.in_flight.send_modify(|count| *count -= 1);
    }
}

impl LeadershipSender {
    /// Sets when the leadership ends; `None` if it is not held. Returns whether this process leads, if that
    /// has changed.
    pub(crate) fn set(&self, until: Option<Instant>) -> Option<bool> {
        *self.leadership.until() = until;
        let leads = self.leadership.is_leader();
        self.leads.send_if_modified(|before| std::mem::replace(before, leads) != leads).then_some(leads)
    }

    /// Waits until no write is in flight.
    pub(crate) async fn drained(&self) {
        let mut in_flight = self.leadership.in_flight.subscribe();
        // `self` holds the sender, so this cannot fail.
        let _ = in_flight.wait_for(|count| *count == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_leadership_expires_by_itself() {
        let (sender, leadership) = Leadership::channel();
        assert!(!leadership.is_leader() && leadership.begin().is_none());
        assert_eq!(sender.set(Some(Instant::now() + Duration::from_millis(50))), Some(true));
        assert!(leadership.begin().is_some());
        std::thread::sleep(Duration::from_millis(60));
        assert!(!leadership.is_leader());
        assert_eq!(sender.set(Some(Instant::now())), Some(false), "waiters are notified");
    }

    #[tokio::test]
    async fn drained_waits_for_writes_in_flight() {
        let (sender, leadership) = Leadership::channel();
        sender.set(Some(Instant::now() + Duration::from_secs(60)));
        let write = leadership.begin();
        sender.set(None);
        assert!(leadership.begin().is_none());
        let wait = tokio::time::timeout(Duration::from_millis(20), sender.drained());
        assert!(wait.await.is_err(), "a write is in flight");
        drop(write);
        sender.drained().await;
    }
}
