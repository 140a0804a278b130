//! The API server of these tests answers as a real one does.

use anyhow::{Result, ensure};
use fairlead_tests::replay::replay;

/// Recordings that are not answered as they should be, and why. One that is must be struck from here.
const OPEN: [(&str, &str); 3] = [
    ("113", "the annotation is one that the controller of nodes has added meanwhile; this server has none"),
    ("508", "protobuf is not spoken here"),
    ("904", "webhooks that convert objects are not asked"),
];

/// Replays those recordings only whose name contains this.
const FILTER: &str = "FAIRLEAD_REPLAY";

#[tokio::test(flavor = "multi_thread")]
async fn recorded_requests_get_the_answers_of_a_real_api_server() -> Result<()> {
    let outcomes = replay(&std::env::var(FILTER).unwrap_or_default()).await?;
    let (mut wrong, mut struck) = (Vec::new(), Vec::new());
    for outcome in &outcomes {
        let open = OPEN.iter().find(|(name, _)| outcome.name.starts_with(name));
        match (open, outcome.differences.is_empty()) {
            (None, false) => wrong.push(outcome.name.as_str()),
            (Some(_), true) => struck.push(outcome.name.as_str()),
            _ => {}
        }
        if !outcome.differences.is_empty() {
            let reason = open.map(|(_, reason)| format!(" (open: {reason})")).unwrap_or_default();
            println!("{}{reason}\n{}", outcome.name, outcome.differences.join("\n"));
        }
    }
    let steps: usize = outcomes.iter().map(|outcome| outcome.differences.len()).sum();
    let requests: usize = outcomes.iter().map(|outcome| outcome.requests).sum();
    let met = outcomes.iter().filter(|outcome| outcome.differences.is_empty()).count();
    println!("{met} of {} recordings are met; {steps} steps of {requests} requests differ", outcomes.len());
    ensure!(wrong.is_empty(), "not answered as recorded: {}", wrong.join(", "));
    ensure!(struck.is_empty(), "answered as recorded; strike them from OPEN: {}", struck.join(", "));
    Ok(())
}
