//! The core library for the BPF target: built from the toolchain's sources, or compiled by the distribution.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{packages, toolchain};

/// The variable that chooses a core: `source` or `distribution`.
const CHOICE: &str = "FAIRLEAD_BPF_CORE";

/// Debian's compiler with a core for the BPF targets.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// Where the core comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BpfCore {
    /// The component rust-src of the pinned toolchain, built with the program.
    Source,
    /// Debian's packages, for machines whose toolchain has no sources and cannot fetch them.
    Distribution,
}

impl BpfCore {
    /// Returns the core to build with: the chosen one, else an installed one, sources first.
    pub(crate) fn select() -> Result<Self> {
        let has_source = toolchain::missing(&["rust-src"])?.is_none();
        Ok(match chosen()? {
            Some(core) => core,
            None if !has_source && has_compiled() => Self::Distribution,
            None => Self::Source,
        })
    }
}

/// What is missing of the selected core.
pub(super) fn missing() -> Result<Option<String>> {
    match BpfCore::select()? {
        BpfCore::Source => toolchain::missing(&["rust-src"]),
        BpfCore::Distribution if has_compiled() => Ok(None),
        BpfCore::Distribution => Ok(Some(format!("no {}", PACKAGES.join(", ")))),
    }
}

/// Installs the chosen core; without a choice the sources, or Debian's where they are not available.
pub(super) fn install() -> Result<()> {
    match chosen()? {
        Some(BpfCore::Source) => toolchain::add(&["rust-src"]),
        Some(BpfCore::Distribution) => packages::install(&PACKAGES),
        None => toolchain::add(&["rust-src"]).or_else(|no_source| {
            eprintln!("setup: {no_source:#}\nsetup: using the distribution's core instead …");
            packages::install(&PACKAGES).context("neither rust-src nor the distribution's core is available")
        }),
    }
}

fn chosen() -> Result<Option<BpfCore>> {
    match env::var(CHOICE).as_deref() {
        Err(_) | Ok("") => Ok(None),
        Ok("source") => Ok(Some(BpfCore::Source)),
        Ok("distribution") => Ok(Some(BpfCore::Distribution)),
        Ok(other) => bail!("{CHOICE} is `{other}`; it can be `source` or `distribution`"),
    }
}

fn has_compiled() -> bool {
    ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/lib/rustlib/bpfel-unknown-none/lib"]
        .iter()
        .all(|path| Path::new(path).exists())
}
