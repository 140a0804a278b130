//! Preflight checks of the node before the agent changes anything. Each failed check is one sentence that
//! says what to do.

use std::fmt;
use std::path::PathBuf;

use caps::{CapSet, Capability};
use nix::net::if_::if_nametoindex;

use super::object::OBJECT;
use super::pins::Pins;

/// The oldest supported and tested kernel. Multi-buffer XDP and the helper that returns the length of such
/// packets exist since 5.18, but no kernel in between has a package to test with.
const OLDEST_KERNEL: KernelRelease = KernelRelease { major: 6, minor: 1 };

/// The major and minor number of a kernel release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KernelRelease {
    major: u32,
    minor: u32,
}

impl KernelRelease {
    /// Parses the output of `uname -r`.
    fn parse(release: &str) -> Option<Self> {
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

/// The reason why the agent cannot start on this node.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The binary was built without the XDP program.
    #[error("this binary was built without the XDP program: run `cargo xtask build-ebpf`, which builds both")]
    NoObject,
    /// The process lacks a capability.
    #[error("missing capability {missing}: run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    Capability {
        /// The missing capability.
        missing: Capability,
    },
    /// There is no such interface.
    #[error(
        "no interface {name:?} in this network namespace: use the name of an uplink that `ip link` lists"
    )]
    NoInterface {
        /// The configured value.
        name: String,
    },
    /// No uplink is configured, and none can be detected.
    #[error("no uplink: this node has no default route to detect it from; set it with --interface")]
    NoUplink,
    /// The BPF file system is not mounted.
    #[error("{} is not a BPF file system: mount it with `mount -t bpf bpf {}`, or set another one with --bpffs", .path.display(), .path.display())]
    NoBpffs {
        /// The configured value.
        path: PathBuf,
    },
    /// The kernel is too old.
    #[error("kernel {release} is too old: Linux {OLDEST_KERNEL} or later is needed")]
    TooOld {
        /// The output of `uname -r`.
        release: String,
    },
    /// The kernel was built without BTF, from which it knows the argument types of the program's functions.
    #[error(
        "kernel {release} has no BTF (/sys/kernel/btf/vmlinux): use a kernel built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf {
        /// The output of `uname -r`.
        release: String,
    },
}

/// Runs all checks.
///
/// # Errors
/// The first failed check.
pub fn check(interfaces: &[String], pins: &Pins) -> Result<(), PreflightError> {
    all(interfaces, pins).into_iter().next().map_or(Ok(()), Err)
}

/// Runs all checks and returns those that failed.
pub fn all(interfaces: &[String], pins: &Pins) -> Vec<PreflightError> {
    let mut failed: Vec<PreflightError> = object().err().into_iter().collect();
    failed.extend(kernel().err());
    failed.extend(missing_capabilities());
    let unknown = interfaces.iter().filter(|name| if_nametoindex(name.as_str()).is_err());
    failed.extend(unknown.map(|name| PreflightError::NoInterface { name: name.clone() }));
    if !pins.is_mounted() {
        failed.push(PreflightError::NoBpffs { path: pins.bpffs().to_path_buf() });
    }
    failed
}

/// Checks that the binary contains the XDP program.
///
/// # Errors
/// [`PreflightError::NoObject`].
pub fn object() -> Result<(), PreflightError> {
    if OBJECT.is_empty() { Err(PreflightError::NoObject) } else { Ok(()) }
}

/// Checks the capabilities to load and attach programs.
///
/// # Errors
/// [`PreflightError::Capability`].
pub fn capabilities() -> Result<(), PreflightError> {
    missing_capabilities().next().map_or(Ok(()), Err)
}

fn missing_capabilities() -> impl Iterator<Item = PreflightError> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON, for kernels and runtimes from before the split. Without
    // CAP_PERFMON the verifier rejects arithmetic on pointers with variable offsets.
    let is_missing = move |capability: &Capability| {
        let is_implied = *capability != Capability::CAP_NET_ADMIN && has(Capability::CAP_SYS_ADMIN);
        !has(*capability) && !is_implied
    };
    let needed = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
    needed.into_iter().filter(is_missing).map(|missing| PreflightError::Capability { missing })
}

/// Checks that the kernel supports the program.
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
    fn releases_are_compared_numerically() {
        for old in ["5.10.0-39-cloud-amd64", "5.15.0-130-generic", "5.14.0-503.el9.x86_64", "6.0.1", "4.19"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["6.1.0-50-cloud-amd64", "6.12.57+deb13", "6.1", "6.10.3", "10.0.0", "6.18.44-fc-v657"] {
            assert!(!is_too_old(new), "{new}");
        }
        assert_eq!(KernelRelease::parse("of unknown release"), None);
    }

    #[test]
    fn the_documentation_names_the_oldest_kernel() {
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
