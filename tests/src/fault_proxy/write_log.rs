//! A log of clients' writes, in the order of the resulting resource versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use hyper::{Method, StatusCode};
use serde_json::Value;

/// A recorded write.
#[derive(Clone, Debug)]
pub struct RecordedWrite {
    /// The client.
    pub client: String,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Status of the response.
    pub status: u16,
    /// Resulting resource version.
    pub version: Option<u64>,
    /// The resulting object, or the server's error.
    pub answer: Value,
}

/// The writes of several clients.
#[derive(Clone, Debug, Default)]
pub struct WriteLog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    writes: Vec<RecordedWrite>,
    agents: BTreeMap<String, BTreeSet<String>>,
}

impl WriteLog {
    pub(super) fn record(
        &self,
        client: &str,
        method: &Method,
        path: &str,
        status: StatusCode,
        answer: &[u8],
    ) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let written = RecordedWrite {
            client: client.to_owned(),
            method: method.to_string(),
            path: path.split('?').next().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            version: version.and_then(|version| version.parse().ok()),
            answer,
        };
        self.lock().writes.push(written);
    }

    pub(super) fn note_user_agent(&self, client: &str, agent: Option<&str>) {
        let agent = agent.unwrap_or_default().to_owned();
        self.lock().agents.entry(client.to_owned()).or_default().insert(agent);
    }

    /// Returns all writes so far, in the order of their responses.
    #[must_use]
    pub fn writes(&self) -> Vec<RecordedWrite> {
        self.lock().writes.clone()
    }

    /// Returns the `User-Agent`s of a client.
    #[must_use]
    pub fn agents(&self, client: &str) -> BTreeSet<String> {
        self.lock().agents.get(client).cloned().unwrap_or_default()
    }

    /// Checks, by the order of versions, that no client changed an object of the leader while another held
    /// the Lease. Returns the numbers of leaders' writes and of changes of the holder.
    ///
    /// # Errors
    /// When one did.
    pub fn check_leaders(&self, lease: &str) -> Result<(usize, usize)> {
        let mut writes = self.writes();
        writes.retain(|it| it.status < 300 && it.version.is_some());
        writes.sort_by_key(|it| it.version);
        let (mut holder, mut changes, mut led) = (None::<String>, 0, 0);
        let mut before = None;
        for write in &writes {
            if write.path.ends_with(lease) || (write.path.ends_with("/leases") && write.method == "POST") {
                let new = write.answer["spec"]["holderIdentity"].as_str().unwrap_or_default();
                if holder.as_deref() != Some(new) {
                    changes += usize::from(!new.is_empty());
                    holder = Some(new.to_owned());
                }
            // A write that changes nothing keeps the version.
            } else if of_leader(&write.path) && before != write.version {
                led += 1;
                ensure!(
                    holder.as_deref() == Some(&write.client),
                    "{} wrote {} (version {:?}) while the Lease was held by {holder:?}",
                    write.client,
                    write.path,
                    write.version
                );
            }
            before = write.version;
        }
        Ok((led, changes))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether only the leader writes this path.
fn of_leader(path: &str) -> bool {
    let is_status = path.ends_with("/status");
    is_status && (path.contains("/services/") || path.contains("/ipaddresspools/"))
        || path.contains("/configurationstates/controller")
}
