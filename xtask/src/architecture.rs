//! The architectures that Fairlead is built for.

use std::ffi::OsStr;
use std::fmt;
use std::process::Command;

use clap::ValueEnum;

/// An architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Architecture {
    #[default]
    #[value(name = "x86-64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

/// Debian's programs for an architecture.
pub(crate) struct Tools {
    /// The compiler for crates with C code. A foreign one has glibc's headers, which is enough: that code
    /// calls no library.
    pub(crate) compiler: &'static str,
    /// Packages of the compiler and its headers.
    pub(crate) packages: &'static [&'static str],
    /// The program that removes debug information.
    pub(crate) strip: &'static str,
    /// The emulator of a foreign architecture, a static program.
    pub(crate) emulator: Option<&'static str>,
}

impl Architecture {
    /// That of this machine.
    pub(crate) const NATIVE: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };
    /// The other one, whose programs run here in an emulator.
    pub(crate) const FOREIGN: Self = match Self::NATIVE {
        Self::X86_64 => Self::Aarch64,
        Self::Aarch64 => Self::X86_64,
    };

    /// The toolchain's target of static programs.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Its name in an image: the one that Go uses.
    pub(crate) const fn in_image(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Debian's names of what builds and runs its programs.
    pub(crate) const fn tools(self) -> Tools {
        match (matches!(self, Self::NATIVE), self) {
            (true, _) => {
                Tools { compiler: "musl-gcc", packages: &["musl-tools"], strip: "strip", emulator: None }
            }
            (false, Self::X86_64) => Tools {
                compiler: "x86_64-linux-gnu-gcc",
                packages: &["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
                strip: "x86_64-linux-gnu-strip",
                emulator: Some("qemu-x86_64-static"),
            },
            (false, Self::Aarch64) => Tools {
                compiler: "aarch64-linux-gnu-gcc",
                packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
                strip: "aarch64-linux-gnu-strip",
                emulator: Some("qemu-aarch64-static"),
            },
        }
    }

    /// Makes a cargo build static programs of this architecture, and run them in the emulator if they need
    /// one.
    pub(crate) fn set(self, cargo: &mut Command) -> &mut Command {
        let target = self.target().replace('-', "_");
        cargo.arg("--target").arg(self.target()).env(format!("CC_{target}"), self.tools().compiler);
        if let Some(emulator) = self.tools().emulator {
            let mut set = |key: &str, value: &str| {
                cargo.env(format!("CARGO_TARGET_{}_{key}", target.to_uppercase()), OsStr::new(value));
            };
            set("RUNNER", emulator);
            // The toolchain's own: a native linker does not know the architecture.
            set("LINKER", "rust-lld");
        }
        cargo
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "aarch64",
        })
    }
}
