//! What `fairlead doctor` says of this kernel.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::bpffs::Bpffs;
use fairlead_tests::lab::node::find_binary;
use lb_common::map_table::MAPS;
use lb_dataplane::object::{EMPTY_PROGRAM, PROGRAM};

/// How long it may take, on an emulated processor.
const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn the_doctor_finds_the_machine_fit_and_lists_every_map() -> Result<()> {
    let bpffs = Bpffs::mount()?;
    let started = Instant::now();
    let output = Command::new(find_binary()?).arg("doctor").arg("--bpffs").arg(bpffs.path()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    ensure!(started.elapsed() < WITHIN, "it took {:?}", started.elapsed());
    let is_listed = |name: &str| text.lines().any(|line| line.split_whitespace().next() == Some(name));
    let missing: Vec<_> =
        MAPS.iter().map(|map| map.name).chain([PROGRAM, EMPTY_PROGRAM]).filter(|it| !is_listed(it)).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing:\n{text}");
    Ok(())
}
