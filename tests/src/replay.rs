//! Requests that were sent to a real API server, sent again to another, whose answers must be the same.
//!
//! `tests/data/api_server` holds the requests and answers of Kubernetes 1.36. What differs from run to run stands there
//! as a placeholder: `<rv>`, `<uid>`, `<time>` and others by their form; `<rv-a>` by what an earlier answer held.
//! Each recording has a server of its own, with the definitions of `deploy/crds` and a namespace.

mod client;
mod placeholders;
mod recording;
mod run;
mod server;
mod webhook;

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::Semaphore;

use self::server::ReplayServer;

/// How many recordings are replayed at once: most of them only wait, and some look at how fast the server is.
const AT_ONCE: usize = 24;

/// What became of a recording.
#[derive(Debug)]
pub struct ReplayOutcome {
    /// Its file.
    pub name: String,
    /// How many requests it has.
    pub requests: usize,
    /// Steps whose answers differ, and how.
    pub differences: Vec<String>,
}

/// Replays all recordings whose name contains a text.
///
/// # Errors
/// When a recording cannot be read.
pub async fn replay(filter: &str) -> Result<Vec<ReplayOutcome>> {
    let recordings = recording::all()?.into_iter().filter(|recording| recording.name.contains(filter));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let runs = recordings.map(|recording| {
        let turns = Arc::clone(&turns);
        tokio::spawn(async move {
            let _turn = turns.acquire().await;
            let differences = match ReplayServer::start(&recording).await {
                Ok(server) => run::replay(&recording, &server).await,
                Err(error) => Err(error),
            };
            ReplayOutcome {
                requests: recording.steps.iter().filter(|step| step.request.is_some()).count(),
                differences: differences.unwrap_or_else(|error| vec![format!("  {error:#}")]),
                name: recording.name,
            }
        })
    });
    let mut outcomes = Vec::new();
    for run in runs.collect::<Vec<_>>() {
        outcomes.push(run.await?);
    }
    Ok(outcomes)
}
