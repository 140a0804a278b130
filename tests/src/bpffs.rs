//! A BPF file system private to one test, independent of whether the machine mounts one, and where.

use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// A BPF file system that only the mounting thread sees. It is unmounted on drop, at the latest when the
/// thread ends.
#[derive(Debug)]
pub struct Bpffs {
    directory: TempDir,
}

impl Bpffs {
    /// Moves the calling thread into a mount namespace of its own, and mounts a BPF file system there.
    ///
    /// # Errors
    /// When the kernel rejects it; it needs root.
    pub fn mount() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace (needs root)")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("keep mounts private")?;
        let directory = TempDir::new().context("make a temporary directory")?;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), none)
            .with_context(|| format!("mount a BPF file system on {}", directory.path().display()))?;
        Ok(Self { directory })
    }

    /// Returns the mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // If this fails, the mount goes away with the thread's mount namespace.
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}
