//! Output formats, and printing for terminals and pipes.

use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

/// The format of a command's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Tables.
    Table,
    /// JSON, with all fields.
    Json,
    /// YAML, with the fields of JSON.
    Yaml,
}

/// The reason why output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A value has no JSON form.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A value has no YAML form.
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// Standard output cannot be written to.
    #[error("cannot write to standard output: {0}")]
    Write(#[from] io::Error),
}

impl OutputFormat {
    /// Returns a value as a document, or `None` if tables are to be printed.
    ///
    /// # Errors
    /// When the value has a map whose keys are not strings.
    pub fn document(self, value: &impl Serialize) -> Result<Option<String>, OutputError> {
        match self {
            Self::Table => Ok(None),
            Self::Json => Ok(Some(format!("{:#}\n", serde_json::to_value(value)?))),
            // By way of JSON, so that both have the same fields.
            Self::Yaml => Ok(Some(serde_saphyr::to_string(&serde_json::to_value(value)?)?)),
        }
    }
}

/// The style of what is wrong.
pub const PROBLEM: Style = AnsiColor::Red.on_default().bold();
/// The style of what differs from the normal state.
pub const NOTICE: Style = AnsiColor::Yellow.on_default();
/// The style of what is well.
pub const WELL: Style = AnsiColor::Green.on_default();

/// Returns a text in a style. [`print()`] removes the style where it is not wanted.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints a text: with styles on a terminal, unless `NO_COLOR` is set. A reader that has seen enough, such as
/// `head`, is no error.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn yaml_has_the_values_of_json() {
        let value = json!({
            "name": "yes", "version": "1.0", "empty": "", "none": null, "many": [1, -2.5, true, "null", "0x1f"],
            "text": "a: b\n# c", "address": "2001:db8::1", "big": u64::MAX, "nothing": [], "map": {},
        });
        let yaml = OutputFormat::Yaml.document(&value).unwrap().unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), value, "{yaml}");
        assert!(OutputFormat::Table.document(&value).unwrap().is_none());
    }
}
