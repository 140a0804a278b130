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
        /// That which is missing.
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
    all(interfaces, pins).into_iter().next().map_or(Ok(()), Err)
}

/// All that is missing.
pub fn all(interfaces: &[String], pins: &Pins) -> Vec<Unfit> {
    let mut missing: Vec<Unfit> = object().err().into_iter().collect();
    missing.extend(missing_capabilities());
    missing.extend(kernel().err());
    let unknown = interfaces.iter().filter(|name| if_nametoindex(name.as_str()).is_err());
    missing.extend(unknown.map(|name| Unfit::NoInterface { name: name.clone() }));
    if !pins.is_mounted() {
        missing.push(Unfit::NoBpffs { path: pins.bpffs().to_path_buf() });
    }
    missing
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
    missing_capabilities().next().map_or(Ok(()), Err)
}

fn missing_capabilities() -> impl Iterator<Item = Unfit> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // CAP_SYS_ADMIN contains CAP_BPF and CAP_PERFMON, for kernels and runtimes from before they were split off. Without
    // the latter the verifier allows no arithmetic with pointers of which it does not know the size.
    let is_missing = move |capability: &Capability| {
        let by_another = *capability != Capability::CAP_NET_ADMIN && has(Capability::CAP_SYS_ADMIN);
        !has(*capability) && !by_another
    };
    let needed = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
    needed.into_iter().filter(is_missing).map(|missing| Unfit::Capability { missing })
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
