//! Files of results, and the end of a command that measures.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{FORMAT, Machine, ResultTable, Results, RunStart, print};

/// Writes the results of a run that ends now.
///
/// # Errors
/// When the machine cannot be described or the file cannot be written.
pub fn write(path: &Path, is_quick: bool, start: &RunStart, tables: Vec<ResultTable>) -> Result<()> {
    let results = Results {
        format: FORMAT,
        machine: Machine::describe(start)?,
        is_quick,
        started: start.time.clone(),
        seconds: start.seconds(),
        tables,
    };
    save(path, &results)
}

/// Writes results.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, results: &Results) -> Result<()> {
    let text = serde_json::to_string_pretty(results)?;
    fs::write(path, format!("{text}\n")).with_context(|| format!("write {}", path.display()))
}

/// Reads results.
///
/// # Errors
/// When the file cannot be read, or is in another version of the format.
pub fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    parse(&text).with_context(|| format!("read {}", path.display()))
}

/// Parses results. The version is looked at first: of another version, no other field is known.
///
/// # Errors
/// When the text is no results, or in another version of the format.
pub fn parse(text: &str) -> Result<Results> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format } = serde_json::from_str(text).context("these are no results of a bench run")?;
    ensure!(format == FORMAT, "format {format}, but this program reads format {FORMAT}: measure again");
    Ok(serde_json::from_str(text)?)
}

/// Prints the tables, writes them to a file if there is one, and returns the command's exit code: failure if
/// a goal is missed. A quick run is not exact enough to judge goals.
///
/// # Errors
/// When the file cannot be written.
pub fn finish(
    tables: Vec<ResultTable>,
    is_quick: bool,
    start: &RunStart,
    json: Option<&Path>,
) -> Result<ExitCode> {
    print(&tables);
    let are_met = tables.iter().all(|table| table.goals.iter().all(|goal| goal.is_met(table)));
    if let Some(path) = json {
        write(path, is_quick, start, tables)?;
    }
    Ok(if are_met || is_quick { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::{parse, read, write};
    use crate::results::{FORMAT, FigureUnit, ResultTable, RunStart};

    #[test]
    fn results_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.json");
        let mut table = ResultTable { id: "latency".to_owned(), ..ResultTable::default() };
        table.row_mut(&[]).push("p50", FigureUnit::Seconds, 0.1);
        write(&path, true, &RunStart::now().unwrap(), vec![table.clone()]).unwrap();
        let results = read(&path).unwrap();
        assert!(results.is_quick);
        assert_eq!(results.tables, [table]);
    }

    #[test]
    fn another_version_of_the_format_is_refused_by_its_number() {
        let text = format!("{{\"format\": {}, \"unknown\": true}}", FORMAT + 1);
        let error = format!("{:#}", parse(&text).unwrap_err());
        assert!(error.contains(&format!("format {}", FORMAT + 1)), "{error}");
        assert!(parse("[1]").is_err());
    }
}
