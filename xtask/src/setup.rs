//! The parts that verbs need on this machine, and their installation.
//!
//! Every verb calls [`ensure`] with the parts that it needs. A part that is installed costs a look at a few
//! files; only a missing one calls a package manager.

pub(crate) mod actionlint;
pub(crate) mod bpf_core;
pub(crate) mod cargo_tool;
pub(crate) mod kube_clients;
mod lab;
pub(crate) mod linker;
pub(crate) mod musl;
mod packages;
mod toolchain;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::architecture::Architecture;
use crate::{process, table};

/// One thing that a verb may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Parts of the pinned toolchain: clippy, rustfmt.
    Components,
    /// A core library for the BPF target, as source or compiled.
    BpfCore,
    /// The linker of the BPF target.
    BpfLinker,
    /// The toolchain target and compiler of static programs.
    StaticTarget,
    /// The same for the other architecture, and an emulator of it.
    ForeignTarget,
    /// The check of dependencies.
    CargoDeny,
    /// The driver of the fuzzer.
    CargoFuzz,
    /// The spelling check.
    Typos,
    /// The builder of the book.
    MdBook,
    /// The check of workflows of hosted CI.
    Actionlint,
    /// Programs that run on the lab's hosts.
    Lab,
    /// Routers to interoperate with: FRR, BIRD, GoBGP, ExaBGP.
    Routers,
    /// The API server's clients that users have: kubectl, helm.
    KubeClients,
    /// The check of alerts.
    Prometheus,
    /// Programs that load a Service: wrk, iperf3.
    Load,
    /// The browser that opens the status page.
    Browser,
    /// Programs that boot guests with other kernels, and programs inside the guests.
    Guests,
}

impl Part {
    /// All parts, in the order in which they are installed.
    const ALL: [Self; 17] = [
        Self::Components,
        Self::BpfCore,
        Self::BpfLinker,
        Self::StaticTarget,
        Self::ForeignTarget,
        Self::CargoDeny,
        Self::CargoFuzz,
        Self::Typos,
        Self::MdBook,
        Self::Actionlint,
        Self::Lab,
        Self::Routers,
        Self::KubeClients,
        Self::Prometheus,
        Self::Load,
        Self::Browser,
        Self::Guests,
    ];

    /// Whether a machine can do without it.
    const fn is_optional(self) -> bool {
        matches!(self, Self::Actionlint | Self::ForeignTarget)
    }

    fn name(self) -> String {
        match self {
            Self::Components => "clippy, rustfmt".to_owned(),
            Self::BpfCore => "core for BPF".to_owned(),
            Self::BpfLinker => format!("bpf-linker {}", linker::VERSION),
            Self::StaticTarget => format!("target {}", Architecture::NATIVE.target()),
            Self::ForeignTarget => format!("target {}", Architecture::FOREIGN.target()),
            Self::CargoDeny => cargo_tool::DENY.title(),
            Self::CargoFuzz => cargo_tool::FUZZ.title(),
            Self::Typos => cargo_tool::TYPOS.title(),
            Self::MdBook => cargo_tool::MDBOOK.title(),
            Self::Actionlint => format!("actionlint {}", actionlint::VERSION),
            Self::Lab => "programs of the lab".to_owned(),
            Self::Routers => "routers of the lab".to_owned(),
            Self::KubeClients => "kubectl, helm".to_owned(),
            Self::Prometheus => "prometheus, promtool".to_owned(),
            Self::Load => "wrk, iperf3".to_owned(),
            Self::Browser => "browser".to_owned(),
            Self::Guests => "programs of guests".to_owned(),
        }
    }

    /// Describes what is missing.
    fn missing(self) -> Result<Option<String>> {
        match self {
            Self::Components => toolchain::missing(&["clippy", "rustfmt"]),
            Self::BpfCore => bpf_core::missing(),
            Self::BpfLinker => linker::missing(),
            Self::StaticTarget => musl::missing(Architecture::NATIVE),
            Self::ForeignTarget => musl::missing(Architecture::FOREIGN),
            Self::CargoDeny => cargo_tool::DENY.missing(),
            Self::CargoFuzz => cargo_tool::FUZZ.missing(),
            Self::Typos => cargo_tool::TYPOS.missing(),
            Self::MdBook => cargo_tool::MDBOOK.missing(),
            Self::Actionlint => actionlint::missing(),
            Self::Lab => Ok(lab::missing(lab::HOSTS)),
            Self::Routers => Ok(lab::missing(lab::ROUTERS)),
            Self::KubeClients => kube_clients::missing(),
            Self::Prometheus => Ok(lab::missing(lab::ALERTS)),
            Self::Load => Ok(lab::missing(lab::LOAD)),
            Self::Browser => Ok(lab::missing(lab::BROWSER)),
            Self::Guests => Ok(lab::missing(lab::GUESTS)),
        }
    }

    /// Returns the Debian packages to install first, all in one run of the package manager.
    fn packages(self) -> Result<Vec<String>> {
        match self {
            Self::Components | Self::BpfCore => Ok(Vec::new()),
            Self::CargoDeny | Self::CargoFuzz | Self::Typos | Self::MdBook => Ok(Vec::new()),
            Self::Actionlint => actionlint::packages(),
            Self::BpfLinker => linker::packages(),
            Self::StaticTarget => Ok(musl::packages(Architecture::NATIVE)),
            Self::ForeignTarget => Ok(musl::packages(Architecture::FOREIGN)),
            Self::Lab => Ok(lab::packages(lab::HOSTS)),
            Self::Routers => Ok(lab::packages(lab::ROUTERS)),
            Self::KubeClients => kube_clients::packages(),
            Self::Prometheus => Ok(lab::packages(lab::ALERTS)),
            Self::Load => Ok(lab::packages(lab::LOAD)),
            Self::Browser => Ok(lab::packages(lab::BROWSER)),
            Self::Guests => Ok(lab::packages(lab::GUESTS)),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Self::Components => toolchain::add(&["clippy", "rustfmt"]),
            Self::BpfCore => bpf_core::install(),
            Self::BpfLinker => linker::install(),
            Self::StaticTarget => musl::install(Architecture::NATIVE),
            Self::ForeignTarget => musl::install(Architecture::FOREIGN),
            Self::CargoDeny => cargo_tool::DENY.install(),
            Self::CargoFuzz => cargo_tool::FUZZ.install(),
            Self::Typos => cargo_tool::TYPOS.install(),
            Self::MdBook => cargo_tool::MDBOOK.install(),
            Self::Actionlint => actionlint::install(),
            Self::KubeClients => kube_clients::install(),
            Self::Lab | Self::Routers | Self::Prometheus | Self::Load | Self::Browser | Self::Guests => {
                bail!("its Debian packages are not installed")
            }
        }
    }
}

/// Installs the parts that are missing, or says what to do by hand.
pub(crate) fn ensure(parts: &[Part]) -> Result<()> {
    provide_packages(parts)?;
    parts.iter().try_for_each(|&part| provide(part).map(drop))
}

/// Installs all parts and prints a table of them.
pub(crate) fn report() -> Result<ExitCode> {
    let packages = provide_packages(&Part::ALL);
    let results = Part::ALL.map(|part| (part, provide(part)));
    let rows = results.iter().map(|(part, result)| {
        let state = match result {
            Ok(State::Present) => "present",
            Ok(State::Installed) => "installed",
            Err(_) if part.is_optional() => "not available",
            Err(_) => "MISSING",
        };
        vec![part.name(), state.to_owned()]
    });
    table::print(&rows.collect::<Vec<_>>(), &[]);
    let required = results.into_iter().filter(|(part, _)| !part.is_optional());
    let mut code = ExitCode::SUCCESS;
    for error in packages.err().into_iter().chain(required.filter_map(|(_, result)| result.err())) {
        eprintln!("xtask: {error:#}");
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

enum State {
    Present,
    Installed,
}

fn provide_packages(parts: &[Part]) -> Result<()> {
    let mut names = Vec::new();
    for part in parts {
        names.extend(part.packages()?);
    }
    if names.is_empty() {
        return Ok(());
    }
    timed("packages", &names.join(" "), || packages::install(&names))
}

fn provide(part: Part) -> Result<State> {
    let Some(missing) = part.missing()? else { return Ok(State::Present) };
    timed(&part.name(), &missing, || part.install())?;
    match part.missing()? {
        None => Ok(State::Installed),
        Some(still) => bail!("{}: still missing after its installation: {still}", part.name()),
    }
}

/// Runs a step; prints what is missing before it, and the time after it.
fn timed(what: &str, missing: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("setup: {what}: {missing} …");
    let start = Instant::now();
    step()?;
    eprintln!("setup: {what}: done in {}", process::elapsed(start.elapsed()));
    Ok(())
}
