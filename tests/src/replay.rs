//! A replay of requests recorded from a real API server: another server must give the same answers.
//!
//! `tests/data/api_server` holds the requests and answers of Kubernetes 1.36. Values that differ from run to
//! run are placeholders: `<rv>`, `<uid>`, `<time>` and others match by format; `<rv-a>` matches an earlier
//! answer's value. Each recording has its own server, with the definitions of `deploy/crds` and a namespace.

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

/// How many recordings are replayed at once: most of them only wait, but some check timing.
const AT_ONCE: usize = 24;

/// The result of a recording.
#[derive(Debug)]
pub struct ReplayOutcome {
    /// Its file.
    pub name: String,
    /// Number of requests.
    pub requests: usize,
    /// Steps whose answers differ, and the differences.
    pub differences: Vec<String>,
}

/// Replays all recordings whose name contains `filter`.
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
