//! The object in the hands of libbpf, which most tools load programs with.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramInfo;
use fairlead_tests::bpffs::Bpffs;
use lb_dataplane::object::{OBJECT, PROGRAM};
use tempfile::TempDir;

#[test]
fn bpftool_loads_the_object() -> Result<()> {
    let bpffs = Bpffs::mount()?;
    let directory = TempDir::new()?;
    let object = directory.path().join("fairlead-xdp");
    fs::write(&object, OBJECT)?;
    let pins = bpffs.path().join("programs");
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["prog", "loadall"]).arg(&object).arg(&pins);
    let output = bpftool.output().context("cannot run bpftool: `cargo xtask setup` installs it")?;
    ensure!(output.status.success(), "bpftool: {}", String::from_utf8_lossy(&output.stderr));
    let info = ProgramInfo::from_pin(pins.join(PROGRAM))?;
    ensure!(info.name_as_str() == Some(PROGRAM), "pinned {info:?}");
    Ok(())
}
