//! A BPF file system of a test's own: whether the machine has one, and where, makes no difference.

use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// A BPF file system that only the thread which mounted it can see. It is unmounted on drop, and at the latest when
/// the thread ends.
#[derive(Debug)]
pub struct Bpffs {
    directory: TempDir,
}

impl Bpffs {
    /// Gives the calling thread mounts of its own, and mounts a BPF file system among them.
    ///
    /// # Errors
    /// When the kernel refuses; it needs root.
    pub fn mount() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace (needs root)")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("keep mounts private")?;
        let directory = TempDir::new().context("make a temporary directory")?;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), none)
            .with_context(|| format!("mount a BPF file system on {}", directory.path().display()))?;
        Ok(Self { directory })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // What fails here vanishes with the thread's mount namespace.
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}
