//! The reference pages of `docs/`, generated from the code: each page equals what the code says.
//!
//! `cargo xtask reference` writes them: this test with `FAIRLEAD_REFERENCE=write`.

#[path = "reference/events.rs"]
mod events;
#[path = "reference/flags.rs"]
mod flags;
#[path = "reference/messages.rs"]
mod messages;
#[path = "reference/metrics.rs"]
mod metrics;
#[path = "reference/verdicts.rs"]
mod verdicts;

use std::path::Path;
use std::{fs, io};

/// Compares a page with the text, or writes it.
fn check(name: &str, text: &str) -> io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("FAIRLEAD_REFERENCE").is_some_and(|value| value == "write") {
        return fs::write(&path, text);
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    let differing = page.lines().zip(text.lines()).position(|(one, other)| one != other);
    let line = differing.unwrap_or_else(|| page.lines().count().min(text.lines().count()));
    assert!(
        page == text,
        "docs/reference/{name} differs from the code in line {}; run `cargo xtask reference`\npage: {:?}\ncode: {:?}",
        line + 1,
        page.lines().nth(line),
        text.lines().nth(line)
    );
    Ok(())
}

/// The head of a page.
fn head(title: &str, introduction: &str) -> String {
    format!(
        "# {title}\n\n<!-- Generated from the code by `cargo xtask reference`. Do not edit. -->\n\n{introduction}\n"
    )
}

/// A table; bars in cells are escaped.
fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns.iter().map(ToString::to_string).collect());
    text += &line(columns.iter().map(|_| "---".to_owned()).collect());
    for row in rows {
        text += &line(row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect());
    }
    text
}

/// Text as code, or nothing if there is none.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

#[test]
fn the_page_of_the_command_line_is_what_the_program_accepts() -> io::Result<()> {
    check("flags.md", &flags::page())
}

#[test]
fn the_page_of_verdicts_is_the_table_of_the_program() -> io::Result<()> {
    check("verdicts.md", &verdicts::page())
}

#[test]
fn the_page_of_events_and_conditions_is_the_table_of_reasons() -> io::Result<()> {
    check("events.md", &events::page())
}

#[test]
fn the_page_of_metrics_is_what_agents_and_controllers_serve() -> io::Result<()> {
    check("metrics.md", &metrics::page().map_err(io::Error::other)?)
}

#[test]
fn commands_that_messages_and_pages_name_exist() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = fs::read_dir(&root)?.collect::<io::Result<Vec<_>>>()?.into_iter().map(|it| it.path());
    let sources = crates.filter(|it| it.join("Cargo.toml").is_file()).map(|it| it.join("src"));
    let mut files = messages::files(&root.join("docs"), &["md"])?;
    for source in sources.filter(|it| it.is_dir()) {
        files.extend(messages::files(&source, &["rs"])?);
    }
    let mut wrong = Vec::new();
    for file in &files {
        let unknown = messages::unknown(&fs::read_to_string(file)?);
        wrong.extend(unknown.into_iter().map(|command| format!("{}: {command}", file.display())));
    }
    assert!(wrong.is_empty(), "the program does not accept:\n{}", wrong.join("\n"));
    assert_eq!(messages::unknown("end it: `fairlead drain --cancel`"), ["fairlead drain --cancel"]);
    assert_eq!(messages::unknown("`fairlead statsu`"), ["fairlead statsu"]);
    assert!(messages::unknown("`fairlead status bgp -o json`, `fairlead drain --undo`").is_empty());
    Ok(())
}
