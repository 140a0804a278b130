//! Kernels of guests: Debian's packages, downloaded by apt from this machine's own archive and unpacked into
//! the cache. Of each series, the release that is the newest when the series is first used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{process, workspace};

/// A series of kernels, and Debian's suite with its packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) name: &'static str,
    suite: &'static str,
    /// Whether Fairlead must refuse it.
    pub(super) is_too_old: bool,
}

const fn series(name: &'static str, suite: &'static str) -> Series {
    Series { name, suite, is_too_old: false }
}

/// The series to test: those of Debian 11, 12 and 13, then those of their backports. Debian has no packages
/// of 5.15 and 6.6.
pub(super) const ALL: &[Series] = &[
    Series { is_too_old: true, ..series("5.10", "bullseye") },
    series("6.1", "bookworm"),
    series("6.12", "trixie"),
    series("6.16", "trixie-backports"),
    series("6.18", "trixie-backports"),
    series("7.2", "trixie-backports"),
    series("7.3", "trixie-backports"),
];

/// The keys that sign all suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The end of names of packages for virtual machines, which are the smallest.
const FLAVOUR: &str = "-cloud-amd64";
/// The packages of a kernel: one, or several from 6.19 on.
const PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// An unpacked kernel.
pub(super) struct Kernel {
    pub(super) series: Series,
    pub(super) release: String,
    pub(super) image: PathBuf,
    pub(super) modules: PathBuf,
}

impl Series {
    /// Returns the kernel from the cache, into which it is downloaded if it is missing.
    pub(super) fn provide(self) -> Result<Kernel> {
        let directory = workspace::cache()?.join("kernels").join(self.name);
        if let Some(kernel) = self.find(&directory)? {
            return Ok(kernel);
        }
        let draft = directory.with_file_name(format!("{}.draft", self.name));
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        fs::create_dir_all(&draft)?;
        self.fetch(&draft)
            .with_context(|| format!("cannot fetch Linux {} from {}", self.name, self.suite))?;
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::rename(&draft, &directory)?;
        self.find(&directory)?
            .with_context(|| format!("the packages of Linux {} contain no kernel", self.name))
    }

    /// Finds a kernel below a directory.
    fn find(self, directory: &Path) -> Result<Option<Kernel>> {
        for modules in
            ["lib/modules", "usr/lib/modules"].map(|it| directory.join(it)).iter().filter(|it| it.exists())
        {
            for entry in fs::read_dir(modules)? {
                let entry = entry?;
                let release = entry.file_name().to_string_lossy().into_owned();
                let images =
                    [directory.join("boot").join(format!("vmlinuz-{release}")), entry.path().join("vmlinuz")];
                if let Some(image) = images.into_iter().find(|it| it.exists()) {
                    return Ok(Some(Kernel { series: self, release, image, modules: entry.path() }));
                }
            }
        }
        Ok(None)
    }

    fn fetch(self, to: &Path) -> Result<()> {
        let apt = Apt::of(self.suite)?;
        let names = apt.names()?;
        let release = newest(self.name, &names).context("its archive has no package of it")?;
        let names_of_parts: Vec<String> = PARTS.map(|part| format!("{part}{release}{FLAVOUR}")).into();
        let parts: Vec<&String> = names_of_parts.iter().filter(|name| names.contains(name)).collect();
        eprintln!("kernels: {} …", parts.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(" "));
        process::output(apt.command("apt-get").args(["-qq", "download"]).args(&parts).current_dir(to))?;
        for entry in fs::read_dir(to)? {
            let package = entry?.path();
            process::output(process::command("dpkg-deb").arg("--extract").arg(&package).arg(to))?;
            fs::remove_file(package)?;
        }
        Ok(())
    }
}

/// Returns the newest release of a series among packages: `6.1.0-50` of `linux-image-6.1.0-50-cloud-amd64`. A
/// release in several packages counts only if all of them exist: archives remove them one by one.
fn newest(series: &str, packages: &[String]) -> Option<String> {
    let [image, binary, modules] = PARTS;
    let has = |part: &str, release: &str| packages.contains(&format!("{part}{release}{FLAVOUR}"));
    let releases = packages.iter().filter_map(|name| name.strip_prefix(image)?.strip_suffix(FLAVOUR));
    let of_series =
        releases.filter(|release| release.strip_prefix(series).is_some_and(|rest| rest.starts_with('.')));
    let whole = of_series.filter(|release| !has(binary, release) || has(modules, release));
    whole.max_by_key(|release| numbers(release)).map(str::to_owned)
}

fn numbers(release: &str) -> Vec<u32> {
    let digits = release.split(|letter: char| !letter.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

/// apt with a state of its own: it knows one suite, and no installed package.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn of(suite: &str) -> Result<Self> {
        let apt = Self { directory: workspace::cache()?.join("kernels/apt").join(suite) };
        for directory in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.directory.join(directory))?;
        }
        fs::write(apt.directory.join("status"), "")?;
        let source = format!("deb [signed-by={KEYRING}] {} {suite} main\n", archive()?);
        fs::write(apt.directory.join("sources"), source)?;
        process::output(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = process::command(program);
        for (option, place) in [
            ("Dir::Etc::SourceList", "sources"),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg("-o").arg(format!("{option}={}", self.directory.join(place).display()));
        }
        let others =
            ["Dir::Etc::SourceParts=/dev/null", "APT::Architectures=amd64", "Acquire::Languages=none"];
        // apt's own user may not write to a user's cache.
        for option in others.iter().chain(&["APT::Architecture=amd64", "APT::Sandbox::User=root"]) {
            command.args(["-o", option]);
        }
        command
    }

    /// Returns the names of all packages with kernels.
    fn names(&self) -> Result<Vec<String>> {
        let names = process::output(self.command("apt-cache").args(["pkgnames", "linux-"]))?;
        Ok(names.lines().filter(|name| name.ends_with(FLAVOUR)).map(str::to_owned).collect())
    }
}

/// Returns the address of this machine's archive of Debian.
fn archive() -> Result<String> {
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let list = process::output(process::command("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let Some(uri) = list.lines().find_map(|line| line.strip_prefix("Debian|Debian|")) else {
        bail!("cannot download Debian's kernels: this machine's apt has no archive of Debian");
    };
    ensure!(Path::new(KEYRING).exists(), "no {KEYRING}: install debian-archive-keyring");
    Ok(uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_of_a_series_is_taken() {
        let packages = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-51-cloud-amd64-unsigned",
            "linux-image-6.12.9+deb13-cloud-amd64",
            "linux-image-6.12.57+deb12-cloud-amd64",
            "linux-modules-6.12.99+deb13-cloud-amd64",
            "linux-image-7.2.9+deb13-cloud-amd64",
            "linux-binary-7.2.9+deb13-cloud-amd64",
            "linux-modules-7.2.9+deb13-cloud-amd64",
            "linux-image-7.2.11+deb13-cloud-amd64",
            "linux-binary-7.2.11+deb13-cloud-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest("6.1", &packages).as_deref(), Some("6.1.0-50"));
        assert_eq!(newest("6.12", &packages).as_deref(), Some("6.12.57+deb12"));
        assert_eq!(
            newest("7.2", &packages).as_deref(),
            Some("7.2.9+deb13"),
            "without modules it is of no use"
        );
        assert_eq!(newest("6.6", &packages), None);
    }
}
