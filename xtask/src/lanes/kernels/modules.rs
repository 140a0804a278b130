//! Modules of a guest's kernel: the needed ones, each behind its dependencies.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};

/// Modules for the lab: interfaces, bridges, and kube-proxy's rules. Built-in features have no module.
const NEEDED: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "veth",
    "bridge",
    "br_netfilter",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_numgen",
    "nft_reject_ipv4",
    "nft_reject_ipv6",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
];

/// Modules for tests of machines: uplinks of other kinds, and kube-proxy's mode ipvs.
const OF_MACHINES: &[&str] =
    &["bonding", "8021q", "vrf", "dummy", "ip_vs", "ip_vs_rr", "ip_set_hash_ipport", "xt_set"];

/// A module, unpacked.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// Returns the modules below a directory in loading order; with `machines`, those of tests of machines, too.
pub(super) fn in_order(directory: &Path, machines: bool) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    find(directory, &mut files)?;
    let mut modules = Vec::new();
    for name in NEEDED.iter().chain(if machines { OF_MACHINES } else { &[] }) {
        add(name, &files, &mut modules)?;
    }
    ensure!(!modules.is_empty(), "no modules below {}", directory.display());
    Ok(modules)
}

fn add(name: &str, files: &BTreeMap<String, PathBuf>, modules: &mut Vec<Module>) -> Result<()> {
    let Some(file) = files.get(name) else { return Ok(()) };
    if modules.iter().any(|it| it.name == name) {
        return Ok(());
    }
    let content = read(file)?;
    for dependency in dependencies(&content).with_context(|| file.display().to_string())? {
        add(&dependency, files, modules)?;
    }
    modules.push(Module { name: name.to_owned(), content });
    Ok(())
}

/// Finds all modules below a directory, by their names in the kernel.
fn find(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if let Some((name, _)) =
            path.file_name().and_then(OsStr::to_str).and_then(|it| it.split_once(".ko"))
        {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// Reads a module, and unpacks it.
fn read(file: &Path) -> Result<Vec<u8>> {
    let unpack = match file.extension().and_then(OsStr::to_str) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return Ok(fs::read(file)?),
    };
    let output = Command::new(unpack).args(["--decompress", "--stdout"]).arg(file).output();
    let output = output.with_context(|| format!("cannot run {unpack}"))?;
    ensure!(output.status.success(), "{unpack}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Returns the names in `depends=` of a module.
fn dependencies(module: &[u8]) -> Result<Vec<String>> {
    let elf = object::File::parse(module)?;
    let section = elf.section_by_name(".modinfo").context("not a module: no section .modinfo")?;
    let text = String::from_utf8_lossy(section.data()?).into_owned();
    let names = text.split('\0').find_map(|line| line.strip_prefix("depends=")).unwrap_or_default();
    Ok(names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}
