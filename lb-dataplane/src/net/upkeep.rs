//! A task that keeps a set of the kernel's entries as desired: routes, or neighbor entries.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;

/// The protocol number of our routes, rules and neighbor entries; neither `rtnetlink.h` nor a routing daemon
/// uses it.
pub(super) const PROTOCOL: u8 = 171;

/// The desired set; `None` until it is first set.
pub(super) type Desired<T> = Option<BTreeSet<T>>;

/// Sets what is desired.
pub(super) fn set<T: Ord>(desired: &watch::Sender<Desired<T>>, entries: BTreeSet<T>) {
    desired.send_if_modified(|before| {
        let differs = before.as_ref() != Some(&entries);
        *before = Some(entries);
        differs
    });
}

/// Reconciles on every change, and at this interval while anything is desired or has failed, until the sender
/// is dropped. Logs a failure once, with what it means.
pub(super) async fn keep<T: Ord + Clone>(
    mut requests: watch::Receiver<Desired<T>>,
    check_every: Duration,
    meaning: &'static str,
    reconcile: impl AsyncFn(BTreeSet<T>) -> Result<Vec<String>, rtnetlink::Error>,
) {
    let mut logged = None;
    while requests.changed().await.is_ok() {
        loop {
            let desired = requests.borrow_and_update().clone().unwrap_or_default();
            let is_empty = desired.is_empty();
            let failed = reconcile(desired).await.err().map(|error| error.to_string());
            if let Some(error) = failed.as_ref().filter(|_| failed != logged) {
                tracing::warn!(error, "{meaning}");
            }
            logged = failed;
            let is_checked = !is_empty || logged.is_some();
            match tokio::time::timeout(check_every, requests.changed()).await {
                Err(_) if is_checked => {}
                Err(_) => break,
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
            }
        }
    }
}
