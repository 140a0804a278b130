//! The first file system of a guest: busybox, the lab's tools with their libraries, the agent, the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::modules::Module;
use crate::{machine, process, workspace};

/// The first process.
const INIT: &[u8] = include_bytes!("init");

/// Programs of the lab that busybox lacks, and the files that they read.
const TOOLS: [&str; 7] = ["ip", "nft", "ping", "ethtool", "sysctl", "nginx", "bpftool"];
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\nnogroup:x:65534:\n";

/// Directories for mounts and for files that are written.
const DIRECTORIES: [&str; 11] = [
    "/proc",
    "/sys",
    "/dev",
    "/tmp",
    "/run",
    "/root",
    "/var/tmp",
    "/var/log/nginx",
    "/var/lib/nginx",
    "/etc",
    "/bin",
];

/// Builds the part that all guests share. `tests` are programs with their names in the guest.
pub(super) fn common(agent: &Path, tests: &[(String, PathBuf)]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.directory(Path::new(directory));
    }
    archive.file(Path::new("/init"), 0o755, INIT);
    archive.file(Path::new("/etc/passwd"), 0o644, PASSWD);
    archive.file(Path::new("/etc/group"), 0o644, GROUP);
    let busybox = machine::program("busybox").context("busybox is not installed: run `cargo xtask setup`")?;
    archive.copy(&busybox, Path::new("/bin/busybox"))?;
    let mut programs = vec![(agent.to_owned(), PathBuf::from("/fairlead"))];
    for tool in TOOLS {
        let from = machine::program(tool)
            .with_context(|| format!("{tool} is not installed: run `cargo xtask setup`"))?;
        programs.push((from, Path::new("/usr/sbin").join(tool)));
    }
    programs.extend(tests.iter().map(|(name, from)| (from.clone(), Path::new("/tests").join(name))));
    for (from, to) in &programs {
        archive.file(to, 0o755, &without_symbols(from)?);
    }
    for library in libraries(programs.iter().map(|(from, _)| from.as_path()))? {
        archive.copy(&library, &library)?;
    }
    Ok(archive.finish())
}

/// Returns a program without its debug information, which is most of a test.
fn without_symbols(program: &Path) -> Result<Vec<u8>> {
    let stripped = workspace::target().join("kernels/stripped");
    process::output(process::command("strip").arg("-o").arg(&stripped).arg(program))?;
    let content = fs::read(&stripped)?;
    fs::remove_file(&stripped)?;
    Ok(content)
}

/// Builds the part for guests with this kernel.
pub(super) fn of_kernel(modules: &[Module]) -> Vec<u8> {
    let mut archive = Archive::default();
    let mut order = String::new();
    for module in modules {
        let file = format!("{}.ko", module.name);
        archive.file(&Path::new("/modules").join(&file), 0o644, &module.content);
        order += &format!("{file}\n");
    }
    archive.file(Path::new("/modules/order"), 0o644, order.as_bytes());
    archive.finish()
}

/// Returns the libraries that these programs are linked to, and their loader.
fn libraries<'a>(programs: impl Iterator<Item = &'a Path>) -> Result<BTreeSet<PathBuf>> {
    let mut libraries = BTreeSet::new();
    for program in programs {
        let list = process::output(process::command("ldd").arg(program))?;
        libraries.extend(list.lines().filter_map(library));
    }
    Ok(libraries)
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`
fn library(line: &str) -> Option<PathBuf> {
    line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::library;

    #[test]
    fn a_library_is_where_it_was_found() {
        let found = |path: &str| Some(PathBuf::from(path));
        assert_eq!(library("\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)"), found("/lib/x/libc.so.6"));
        assert_eq!(library("\t/lib64/ld.so.2 (0x7f)"), found("/lib64/ld.so.2"));
        assert_eq!(library("\tlinux-vdso.so.1 (0x7f)"), None);
    }
}
