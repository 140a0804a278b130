//! What must be so before the agent touches anything: each miss is one sentence that says what to do.

use std::fmt;
use std::path::PathBuf;

use caps::{CapSet, Capability};
use nix::net::if_::if_nametoindex;

use super::object::OBJECT;
use super::pins::Pins;

/// The oldest kernel that the program is made for and tried on. XDP programs that take packets in several buffers, and
/// the helper that says how long those are, are older (5.18); no kernel between has a package to be tried.
pub const OLDEST_KERNEL: KernelRelease = KernelRelease { major: 6, minor: 1 };

/// A release of the kernel, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelRelease {
    major: u32,
    minor: u32,
}

impl KernelRelease {
    /// Reads it as `uname -r` prints it.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self { major: next()?, minor: next()? })
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

/// Why the agent cannot start here.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
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
    /// The kernel is too old.
    #[error("kernel {release} is too old: Linux {OLDEST_KERNEL} or later is needed")]
    TooOld {
        /// As `uname -r` prints it.
        release: String,
    },
    /// The kernel was built without its types, by which it knows what the functions of a program take.
    #[error(
        "kernel {release} has no BTF (/sys/kernel/btf/vmlinux): one built with CONFIG_DEBUG_INFO_BTF is needed"
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
pub fn check(interfaces: &[String], pins: &Pins) -> Result<(), PreflightError> {
    all(interfaces, pins).into_iter().next().map_or(Ok(()), Err)
}

/// All that is missing.
pub fn all(interfaces: &[String], pins: &Pins) -> Vec<PreflightError> {
    let mut missing: Vec<PreflightError> = object().err().into_iter().collect();
    missing.extend(kernel().err());
    missing.extend(missing_capabilities());
    let unknown = interfaces.iter().filter(|name| if_nametoindex(name.as_str()).is_err());
    missing.extend(unknown.map(|name| PreflightError::NoInterface { name: name.clone() }));
    if !pins.is_mounted() {
        missing.push(PreflightError::NoBpffs { path: pins.bpffs().to_path_buf() });
    }
    missing
}

/// Whether the binary has its program.
///
/// # Errors
/// [`PreflightError::NoObject`].
pub fn object() -> Result<(), PreflightError> {
    if OBJECT.is_empty() { Err(PreflightError::NoObject) } else { Ok(()) }
}

/// Whether the process may load programs and attach them.
///
/// # Errors
/// [`PreflightError::Capability`].
pub fn capabilities() -> Result<(), PreflightError> {
    missing_capabilities().next().map_or(Ok(()), Err)
}

fn missing_capabilities() -> impl Iterator<Item = PreflightError> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // CAP_SYS_ADMIN contains CAP_BPF and CAP_PERFMON, for kernels and runtimes from before they were split off. Without
    // the latter the verifier allows no arithmetic with pointers of which it does not know the size.
    let is_missing = move |capability: &Capability| {
        let by_another = *capability != Capability::CAP_NET_ADMIN && has(Capability::CAP_SYS_ADMIN);
        !has(*capability) && !by_another
    };
    let needed = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
    needed.into_iter().filter(is_missing).map(|missing| PreflightError::Capability { missing })
}

/// Whether the kernel has what the program needs.
///
/// # Errors
/// [`PreflightError::TooOld`], [`PreflightError::NoBtf`].
pub fn kernel() -> Result<(), PreflightError> {
    let release = nix::sys::utsname::uname().map_or_else(
        |_| "of unknown release".to_owned(),
        |uname| uname.release().to_string_lossy().into_owned(),
    );
    if KernelRelease::parse(&release).is_some_and(|it| it < OLDEST_KERNEL) {
        return Err(PreflightError::TooOld { release });
    }
    if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Ok(());
    }
    Err(PreflightError::NoBtf { release })
}

#[cfg(test)]
mod tests {
    use super::{KernelRelease, OLDEST_KERNEL};

    fn is_too_old(release: &str) -> bool {
        KernelRelease::parse(release).unwrap() < OLDEST_KERNEL
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        for old in ["5.10.0-39-cloud-amd64", "5.15.0-130-generic", "5.14.0-503.el9.x86_64", "6.0.1", "4.19"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["6.1.0-50-cloud-amd64", "6.12.57+deb13", "6.1", "6.10.3", "10.0.0", "6.18.44-fc-v657"] {
            assert!(!is_too_old(new), "{new}");
        }
        assert_eq!(KernelRelease::parse("of unknown release"), None);
    }

    #[test]
    fn the_pages_name_the_oldest_kernel() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        for page in ["README.md", "docs/install.md"] {
            let text = std::fs::read_to_string(format!("{root}/{page}")).unwrap();
            let named: Vec<_> = text
                .match_indices(" or later")
                .filter_map(|(at, _)| text[..at].rsplit_once("Linux ").map(|(_, name)| name))
                .filter(|name| name.len() < 6)
                .collect();
            assert_eq!(named, [OLDEST_KERNEL.to_string()], "{page}");
        }
    }
}
