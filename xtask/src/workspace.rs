//! Paths of sources, build directories and tools.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Returns the root of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Returns cargo's build directory for the host.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns cargo's build directory for the XDP program. It is fixed: the agent's build script reads the
/// program there.
pub(crate) fn bpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// Returns the same for a variant of the XDP program.
pub(crate) fn bpf_variant_target(variant: &str) -> PathBuf {
    root().join("target").join(format!("bpf-{variant}"))
}

/// Returns the path of a program of the workspace after a release build.
pub(crate) fn release(binary: &str) -> PathBuf {
    target().join("release").join(binary)
}

/// Returns the directory for tools, shared by all clones of a user.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").context("neither HOME nor XDG_CACHE_HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("fairlead"))
}
