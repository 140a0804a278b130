//! What must be so before the agent touches anything: each miss is one sentence that says what to do.

use std::path::PathBuf;

use caps::{CapSet, Capability};
use nix::net::if_::if_nametoindex;

use super::object::OBJECT;
use super::pins::Pins;

/// Why the agent cannot start here.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The binary has no program in it.
    #[error(
        "this binary was built without its XDP program: build it with `cargo xtask build-ebpf` and then again"
    )]
    NoObject,
    /// The process may not do what it has to.
    #[error("missing capability {missing}: run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    Capability {
        /// The first that is missing.
        missing: Capability,
    },
    /// There is no such interface.
    #[error("no interface {name:?} in this network namespace: name an uplink that `ip link` shows")]
    NoInterface {
        /// As it was given.
        name: String,
    },
    /// None was named, and none is found.
    #[error("no uplink: this machine has no default route that would name one, so name it with --interface")]
    NoUplink,
    /// The file system for pins is not there.
    #[error("{} is no BPF file system: mount it by `mount -t bpf bpf {}`, or name another with --bpffs", .path.display(), .path.display())]
    NoBpffs {
        /// As it was given.
        path: PathBuf,
    },
    /// The kernel is too old or was built without something.
    #[error(
        "kernel {release} has no BTF (/sys/kernel/btf/vmlinux): Linux 5.15 or later with CONFIG_DEBUG_INFO_BTF is needed"
    )]
    NoBtf {
        /// As `uname -r` prints it.
        release: String,
    },
}

/// Checks all of it; the first miss is the answer.
///
/// # Errors
/// The first thing that is missing.
pub fn check(interfaces: &[String], pins: &Pins) -> Result<(), Unfit> {
    object()?;
    capabilities()?;
    kernel()?;
    for name in interfaces {
        if if_nametoindex(name.as_str()).is_err() {
            return Err(Unfit::NoInterface { name: name.clone() });
        }
    }
    if pins.is_mounted() { Ok(()) } else { Err(Unfit::NoBpffs { path: pins.bpffs().to_path_buf() }) }
}

/// Whether the binary has its program.
///
/// # Errors
/// [`Unfit::NoObject`].
pub fn object() -> Result<(), Unfit> {
    if OBJECT.is_empty() { Err(Unfit::NoObject) } else { Ok(()) }
}

/// Whether the process may load programs and attach them.
///
/// # Errors
/// [`Unfit::Capability`].
pub fn capabilities() -> Result<(), Unfit> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // CAP_SYS_ADMIN contains CAP_BPF, for kernels and runtimes from before it was split off.
    if !has(Capability::CAP_BPF) && !has(Capability::CAP_SYS_ADMIN) {
        return Err(Unfit::Capability { missing: Capability::CAP_BPF });
    }
    if !has(Capability::CAP_NET_ADMIN) {
        return Err(Unfit::Capability { missing: Capability::CAP_NET_ADMIN });
    }
    // Without it the verifier allows no arithmetic with pointers of which it does not know the size.
    if !has(Capability::CAP_PERFMON) && !has(Capability::CAP_SYS_ADMIN) {
        return Err(Unfit::Capability { missing: Capability::CAP_PERFMON });
    }
    Ok(())
}

/// Whether the kernel has what the program needs.
///
/// # Errors
/// [`Unfit::NoBtf`].
pub fn kernel() -> Result<(), Unfit> {
    if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Ok(());
    }
    let release = nix::sys::utsname::uname().map_or_else(
        |_| "of unknown release".to_owned(),
        |uname| uname.release().to_string_lossy().into_owned(),
    );
    Err(Unfit::NoBtf { release })
}
