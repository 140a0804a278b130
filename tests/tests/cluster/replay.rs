//! A conformance test of the tests' API server against recorded answers of a real one.

use anyhow::{Result, ensure};
use fairlead_tests::replay::replay;

/// Recordings that are known to differ, and why. A recording that matches must be removed from this list.
const OPEN: [(&str, &str); 3] = [
    ("113", "the annotation is set by the node controller, which this server lacks"),
    ("508", "protobuf responses are not implemented"),
    ("904", "conversion webhooks are not implemented"),
];

/// The variable that filters recordings by name.
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
    println!("{met} of {} recordings match; {steps} steps of {requests} requests differ", outcomes.len());
    ensure!(wrong.is_empty(), "answers differ from recordings: {}", wrong.join(", "));
    ensure!(struck.is_empty(), "answers match; remove them from OPEN: {}", struck.join(", "));
    Ok(())
}
