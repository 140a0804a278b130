//! Whether a node may be rebooted, as the agent sees it.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use form_urlencoded::Serializer;
use hyper::Method;
use lb_explain::reboot::RebootReport;

use super::super::output::{self, OutputError, OutputFormat};
use lb_client::client;

/// Exit code: the agent cannot be asked.
const CANNOT_ASK: u8 = 2;

/// Asks the agent about a node, by default its own, and prints the answer.
///
/// # Errors
/// When the output cannot be written.
pub(super) fn run(socket: &Path, node: &str, format: OutputFormat) -> Result<ExitCode, OutputError> {
    let mut query = Serializer::new(String::new());
    if !node.is_empty() {
        query.append_pair("node", node);
    }
    let path = format!("/reboot?{}", query.finish());
    let answer = client::request(socket, &Method::GET, &path)
        .and_then(|body| Ok(serde_json::from_slice::<RebootReport>(&body)?));
    let report = match answer {
        Ok(report) => report,
        Err(error) => {
            eprintln!("fairlead: {error}");
            return Ok(ExitCode::from(CANNOT_ASK));
        }
    };
    let text = match format.document(&report)? {
        Some(document) => document,
        None => render(&report),
    };
    output::print(&text)?;
    Ok(if report.safe { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(report: &RebootReport) -> String {
    let mut screen = String::new();
    let RebootReport { node, advice, .. } = report;
    let state = if report.draining { ", which drains" } else { "" };
    let flows = report.flows.map(|flows| format!("; it owns {flows} flows")).unwrap_or_default();
    if report.safe {
        let _ = writeln!(screen, "{node}{state}, can be rebooted: every address stays reachable{flows}");
    } else {
        let _ = writeln!(screen, "{node}{state}, cannot be rebooted without loss{flows}:");
    }
    for loss in &report.losses {
        let of = loss.of.as_ref().map(|of| format!("{of} loses ")).unwrap_or_default();
        let _ = writeln!(screen, "  {of}{}", loss.what);
    }
    let _ = writeln!(screen, "to do: {advice}");
    screen
}
