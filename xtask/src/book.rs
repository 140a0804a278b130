//! The pages of `docs/` as a book.

use std::process::ExitCode;

use anyhow::Result;

use crate::setup::{self, Part, cargo_tool};
use crate::{process, workspace};

/// Builds the book into the build directory. `tidy` checks its links.
pub(crate) fn build() -> Result<()> {
    setup::ensure(&[Part::MdBook])?;
    let mut mdbook = process::command(cargo_tool::MDBOOK.binary()?);
    process::run(mdbook.args(["build", "docs", "--dest-dir"]).arg(workspace::target().join("book")))
}

/// Generates the reference pages that need the code to run. A test of `lb-agent` fails when a page differs.
pub(crate) fn reference() -> Result<ExitCode> {
    let mut test = process::cargo();
    test.args(["test", "--quiet", "--package", "lb-agent", "--test", "reference"]);
    Ok(ExitCode::from(process::code(test.env("FAIRLEAD_REFERENCE", "write"))?))
}
