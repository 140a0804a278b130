//! The pages of `docs/` as a book.

use std::process::ExitCode;

use anyhow::Result;

use crate::setup::{self, Part, cargo_tool};
use crate::{process, tidy, workspace};

/// Builds the book into the build directory. `tidy` checks its links.
pub(crate) fn build() -> Result<()> {
    setup::ensure(&[Part::MdBook])?;
    let mut mdbook = process::command(cargo_tool::MDBOOK.binary()?);
    process::run(mdbook.args(["build", "docs", "--dest-dir"]).arg(workspace::target().join("book")))
}

/// Generates the reference pages from the code. A test of `lb-agent` and a rule of `tidy` fail when a page differs.
pub(crate) fn reference() -> Result<ExitCode> {
    tidy::write_reference()?;
    let mut test = process::cargo();
    test.args(["test", "--quiet", "--package", "lb-agent", "--test", "reference"]);
    Ok(ExitCode::from(process::code(test.env("FAIRLEAD_REFERENCE", "write"))?))
}
