//! Places: where the sources are, where things are built, where tools are kept.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where cargo puts what it builds for the host.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where cargo puts the XDP object: always here, because the agent's build script looks nowhere else.
pub(crate) fn bpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// A binary of the workspace, as a release build leaves it.
pub(crate) fn release(binary: &str) -> PathBuf {
    target().join("release").join(binary)
}

/// Where tools are kept between builds, for all clones of one user.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").context("neither HOME nor XDG_CACHE_HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("fairlead"))
}
