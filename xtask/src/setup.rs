//! What a verb needs on this machine, and how it gets there.
//!
//! Every verb calls [`ensure`] with the parts that it needs. What is there costs a look at a few files; only
//! what is missing calls a package manager.

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
    /// What static programs are built with.
    StaticTarget,
    /// The judge of dependencies.
    CargoDeny,
    /// The driver of the fuzzer.
    CargoFuzz,
    /// What the lab's hosts run.
    Lab,
    /// The routers beside Fairlead: FRR, BIRD, GoBGP, ExaBGP.
    Routers,
    /// The clients of an API server that users have: kubectl, helm.
    KubeClients,
    /// What judges alerts.
    Promtool,
    /// What boots guests with other kernels.
    Guests,
}

impl Part {
    /// In the order in which they are provided.
    const ALL: [Self; 11] = [
        Self::Components,
        Self::BpfCore,
        Self::BpfLinker,
        Self::StaticTarget,
        Self::CargoDeny,
        Self::CargoFuzz,
        Self::Lab,
        Self::Routers,
        Self::KubeClients,
        Self::Promtool,
        Self::Guests,
    ];

    fn name(self) -> String {
        match self {
            Self::Components => "clippy, rustfmt".to_owned(),
            Self::BpfCore => "core for BPF".to_owned(),
            Self::BpfLinker => format!("bpf-linker {}", linker::VERSION),
            Self::StaticTarget => format!("target {}", musl::TARGET),
            Self::CargoDeny => cargo_tool::DENY.title(),
            Self::CargoFuzz => cargo_tool::FUZZ.title(),
            Self::Lab => "programs of the lab".to_owned(),
            Self::Routers => "routers of the lab".to_owned(),
            Self::KubeClients => "kubectl, helm".to_owned(),
            Self::Promtool => "promtool".to_owned(),
            Self::Guests => "programs of guests".to_owned(),
        }
    }

    /// What is missing, in words.
    fn missing(self) -> Result<Option<String>> {
        match self {
            Self::Components => toolchain::missing(&["clippy", "rustfmt"]),
            Self::BpfCore => bpf_core::missing(),
            Self::BpfLinker => linker::missing(),
            Self::StaticTarget => musl::missing(),
            Self::CargoDeny => cargo_tool::DENY.missing(),
            Self::CargoFuzz => cargo_tool::FUZZ.missing(),
            Self::Lab => Ok(lab::missing(lab::HOSTS)),
            Self::Routers => Ok(lab::missing(lab::ROUTERS)),
            Self::KubeClients => kube_clients::missing(),
            Self::Promtool => Ok(lab::missing(lab::ALERTS)),
            Self::Guests => Ok(lab::missing(lab::GUESTS)),
        }
    }

    /// Debian packages to install before anything else is tried, so that there is one run of the package manager.
    fn packages(self) -> Result<Vec<String>> {
        match self {
            Self::Components | Self::BpfCore | Self::CargoDeny | Self::CargoFuzz => Ok(Vec::new()),
            Self::BpfLinker => linker::packages(),
            Self::StaticTarget => Ok(musl::packages()),
            Self::Lab => Ok(lab::packages(lab::HOSTS)),
            Self::Routers => Ok(lab::packages(lab::ROUTERS)),
            Self::KubeClients => kube_clients::packages(),
            Self::Promtool => Ok(lab::packages(lab::ALERTS)),
            Self::Guests => Ok(lab::packages(lab::GUESTS)),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Self::Components => toolchain::add(&["clippy", "rustfmt"]),
            Self::BpfCore => bpf_core::install(),
            Self::BpfLinker => linker::install(),
            Self::StaticTarget => musl::install(),
            Self::CargoDeny => cargo_tool::DENY.install(),
            Self::CargoFuzz => cargo_tool::FUZZ.install(),
            Self::KubeClients => kube_clients::install(),
            Self::Lab | Self::Routers | Self::Promtool | Self::Guests => {
                bail!("its packages are not installed")
            }
        }
    }
}

/// Provides the parts, or says what is to be done by hand.
pub(crate) fn ensure(parts: &[Part]) -> Result<()> {
    provide_packages(parts)?;
    parts.iter().try_for_each(|&part| provide(part).map(drop))
}

/// Provides everything and prints a table of it.
pub(crate) fn report() -> Result<ExitCode> {
    let packages = provide_packages(&Part::ALL);
    let results = Part::ALL.map(|part| (part, provide(part)));
    let rows = results.iter().map(|(part, result)| {
        let state = match result {
            Ok(State::Present) => "there".to_owned(),
            Ok(State::Installed) => "installed".to_owned(),
            Err(_) => "MISSING".to_owned(),
        };
        vec![part.name(), state]
    });
    table::print(&rows.collect::<Vec<_>>(), &[]);
    let errors = packages.err().into_iter().chain(results.into_iter().filter_map(|(_, result)| result.err()));
    let mut code = ExitCode::SUCCESS;
    for error in errors {
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
    let mut wanted = Vec::new();
    for part in parts {
        wanted.extend(part.packages()?);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    timed("packages", &wanted.join(" "), || packages::install(&wanted))
}

fn provide(part: Part) -> Result<State> {
    let Some(missing) = part.missing()? else { return Ok(State::Present) };
    timed(&part.name(), &missing, || part.install())?;
    match part.missing()? {
        None => Ok(State::Installed),
        Some(still) => bail!("{}: {still}", part.name()),
    }
}

/// Says what is missing, and how long it took to get it.
fn timed(what: &str, missing: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("setup: {what}: {missing} …");
    let start = Instant::now();
    step()?;
    eprintln!("setup: {what}: done in {}", process::elapsed(start.elapsed()));
    Ok(())
}
