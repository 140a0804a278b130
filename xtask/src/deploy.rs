//! Files of `deploy/` that are made. Tests of `fairlead-deploy` say when they are not what they would be.

use std::process::ExitCode;

use anyhow::Result;

use crate::process;

/// The definitions of the kinds.
pub(crate) fn crds() -> Result<ExitCode> {
    make("crds")
}

fn make(what: &str) -> Result<ExitCode> {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "fairlead-deploy", "--", what]);
    Ok(ExitCode::from(process::code(&mut cargo)?))
}
